"""Mesh and MeshBatch: what they accept, refuse, keep, and pass gradients through."""

from __future__ import annotations

import math

import pytest
import torch

from taichisoft import shapes
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch

FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])


def vertices(count: int = 4, *batch: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(*batch, count, 3, generator=generator, dtype=dtype)


def colored(count: int, faces: torch.Tensor, kind: str, dtype=torch.float64) -> Mesh:
    rows = {"none": 0, "vertex_colors": count, "face_colors": len(faces)}[kind]
    colors = {} if kind == "none" else {kind: torch.rand(rows, 2, dtype=dtype)}
    return Mesh(vertices(count, dtype=dtype), faces, **colors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("vertex_batch", "color_batch", "expected"),
    [((), None, 1), ((), (), 1), ((3,), (), 3), ((3,), (3,), 3), ((), (3,), 3), ((1,), (3,), 3)],
)
def test_counts_and_batch_size(dtype, vertex_batch, color_batch, expected):
    colors = None if color_batch is None else torch.rand(*color_batch, 2, 5, dtype=dtype)
    mesh = Mesh(vertices(4, *vertex_batch, dtype=dtype), FACES, face_colors=colors)
    assert (mesh.num_vertices, mesh.num_faces, mesh.batch_size) == (4, 2, expected)
    assert mesh.dtype == dtype
    assert mesh.device == torch.device("cpu")


def test_keeps_tensors_without_copying():
    v = vertices().requires_grad_()
    mesh = Mesh(v, FACES)
    assert mesh.vertices is v
    assert mesh.faces is FACES


@pytest.mark.parametrize("count", [0, 4])
def test_mesh_without_faces_is_legal(count):
    mesh = Mesh(vertices(count), torch.empty(0, 3, dtype=torch.int64))
    assert (mesh.num_vertices, mesh.num_faces, mesh.batch_size) == (count, 0, 1)
    assert mesh.normalized().num_vertices == count


def test_degenerate_faces_are_legal():
    assert Mesh(torch.zeros(3, 3), torch.tensor([[0, 0, 1], [2, 2, 2]])).num_faces == 2


NAN = vertices().index_fill(0, torch.tensor([2]), math.nan)
BAD_MESHES = {
    "vertices no tensor": ({"vertices": [[0.0, 0.0, 0.0]]}, TypeError, "vertices.*Tensor.*list"),
    "vertices half": ({"vertices": vertices().half()}, TypeError, "vertices.*float32.*float16"),
    "vertices integer": ({"vertices": vertices().long()}, TypeError, "vertices.*int64"),
    "vertices 2d": ({"vertices": torch.rand(4, 2)}, ValueError, r"vertices.*\(V, 3\).*\(4, 2\)"),
    "vertices 4 axes": ({"vertices": torch.rand(1, 1, 4, 3)}, ValueError, "vertices.*shape"),
    "vertices nan": ({"vertices": NAN}, ValueError, r"vertices.*finite.*nan.*\(2, 0\)"),
    "vertices inf": ({"vertices": vertices() / 0}, ValueError, "vertices.*finite.*inf"),
    "vertices sparse": ({"vertices": vertices().to_sparse()}, ValueError, "vertices.*dense"),
    "vertices meta": ({"faces": FACES.to("meta")}, ValueError, "faces.*device.*cpu.*meta"),
    "batch of none": ({"vertices": torch.rand(0, 4, 3)}, ValueError, "batch"),
    "faces int32": ({"faces": FACES.int()}, TypeError, "faces.*int64.*int32"),
    "faces quads": ({"faces": torch.tensor([[0, 1, 2, 3]])}, ValueError, r"faces.*\(F, 3\)"),
    "faces batched": ({"faces": FACES[None]}, ValueError, "faces.*shape"),
    "index too large": ({"faces": FACES + 1}, ValueError, "faces.*4 vertices.*got 4"),
    "index negative": ({"faces": FACES - 1}, ValueError, "faces.*got -1"),
    "both colours": (
        {"vertex_colors": torch.rand(4, 3), "face_colors": torch.rand(2, 3)},
        ValueError,
        "vertex_colors and face_colors",
    ),
    "colours of others": ({"vertex_colors": torch.rand(3, 3)}, ValueError, r"vertex_colors.*4, C"),
    "face colour rows": ({"face_colors": torch.rand(4, 3)}, ValueError, r"face_colors.*\(2, C\)"),
    "colour dtype": ({"face_colors": torch.rand(2, 3).double()}, TypeError, "face_colors.*float32"),
    "colour nan": ({"face_colors": torch.full((2, 1), math.nan)}, ValueError, "face_colors.*nan"),
    "colour batch": (
        {"vertices": vertices(4, 2), "vertex_colors": torch.rand(3, 4, 3)},
        ValueError,
        "vertices has 2, vertex_colors has 3",
    ),
}


@pytest.mark.parametrize(("change", "error", "match"), BAD_MESHES.values(), ids=BAD_MESHES)
def test_bad_arguments_are_named(change, error, match):
    with pytest.raises(error, match=match):
        Mesh(**{"vertices": vertices(), "faces": FACES, **change})


def test_is_frozen_and_compares_by_identity():
    mesh = Mesh(vertices(), FACES)
    with pytest.raises(AttributeError):
        mesh.vertices = vertices()
    assert mesh != Mesh(mesh.vertices, mesh.faces)


def test_with_vertices_keeps_the_rest():
    mesh = Mesh(vertices(), FACES, face_colors=torch.rand(2, 3))
    moved = mesh.with_vertices(vertices(4, 5))
    assert moved.batch_size == 5
    assert moved.faces is mesh.faces
    assert moved.face_colors is mesh.face_colors
    assert mesh.batch_size == 1


@pytest.mark.parametrize(
    ("new", "error", "match"),
    [
        (torch.rand(5, 3), ValueError, "vertices.*4.*got 5"),
        (NAN, ValueError, "vertices.*finite"),
        (torch.rand(4, 3).double(), TypeError, "face_colors.*float64"),
        (torch.rand(4), ValueError, "vertices.*shape"),
        (None, TypeError, "vertices.*NoneType"),
    ],
)
def test_with_vertices_checks_them(new, error, match):
    mesh = Mesh(vertices(), FACES, face_colors=torch.rand(2, 3))
    with pytest.raises(error, match=match):
        mesh.with_vertices(new)


def test_with_colors_replaces_either_kind():
    mesh = Mesh(vertices(), FACES, face_colors=torch.rand(2, 3))
    per_vertex = mesh.with_vertex_colors(torch.rand(4, 1))
    assert per_vertex.face_colors is None
    assert per_vertex.vertex_colors.shape == (4, 1)
    per_face = per_vertex.with_face_colors(torch.rand(6, 2, 7))
    assert per_face.vertex_colors is None
    assert per_face.batch_size == 6
    assert per_face.with_face_colors(None).face_colors is None
    with pytest.raises(ValueError, match=r"vertex_colors.*shape"):
        mesh.with_vertex_colors(torch.rand(2, 3))
    with pytest.raises(TypeError, match=r"face_colors"):
        mesh.with_face_colors(torch.rand(2, 3).double())


def test_to_changes_floats_only_and_is_differentiable():
    v = vertices().requires_grad_()
    mesh = Mesh(v, FACES, vertex_colors=torch.rand(4, 3)).to("cpu", torch.float64)
    assert mesh.vertices.dtype == mesh.vertex_colors.dtype == torch.float64
    assert mesh.faces.dtype == torch.int64
    mesh.vertices.sum().backward()
    torch.testing.assert_close(v.grad, torch.ones(4, 3))
    with pytest.raises(TypeError, match=r"dtype.*float16"):
        mesh.to(dtype=torch.float16)


def test_normalized_centres_each_mesh_and_scales_it_to_radius_one():
    v = vertices(4, 3, dtype=torch.float64) * torch.tensor([1e-3, 1.0, 1e3]).double()[:, None, None]
    out = Mesh(v + 7, FACES).normalized().vertices
    torch.testing.assert_close(out.norm(dim=-1).amax(-1), torch.ones(3).double())
    torch.testing.assert_close(out.amax(-2), -out.amin(-2))
    scale = (v[1, 1] - v[1, 0]) / (out[1, 1] - out[1, 0])
    torch.testing.assert_close(scale, scale[:1].expand(3))


def test_normalized_is_differentiable_even_for_a_point():
    point = torch.full((1, 3), 2.0, requires_grad=True)
    out = Mesh(point, torch.tensor([[0, 0, 0]])).normalized().vertices
    assert not out.any()
    out.sum().backward()
    assert torch.isfinite(point.grad).all()
    v = vertices(dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: Mesh(x, FACES).normalized().vertices, v)


@pytest.mark.parametrize("kind", ["none", "vertex_colors", "face_colors"])
def test_batch_packs_and_splits(kind):
    empty = torch.empty(0, 3, dtype=torch.int64)
    meshes = [colored(3, FACES[:1], kind), colored(6, FACES + 2, kind), colored(5, empty, kind)]
    batch = MeshBatch.from_meshes(meshes)
    assert batch.vertices.shape == (3, 6, 3)
    assert (batch.batch_size, batch.num_faces) == (3, 3)
    assert (batch.vertex_counts, batch.face_counts) == ((3, 6, 5), (1, 2, 0))
    assert batch.faces.tolist() == [[0, 1, 2], [8, 9, 10], [8, 10, 11]]
    assert not batch.vertices[0, 3:].any()
    for before, after in zip(meshes, batch.split(), strict=True):
        for name in ("vertices", "faces", "vertex_colors", "face_colors"):
            torch.testing.assert_close(getattr(after, name), getattr(before, name), rtol=0, atol=0)


@pytest.mark.parametrize("counts", [(0,), (0, 0), (0, 3)])
def test_batch_of_empty_meshes(counts):
    empty = torch.empty(0, 3, dtype=torch.int64)
    batch = MeshBatch.from_meshes([Mesh(vertices(count), empty) for count in counts])
    assert batch.vertices.shape == (len(counts), max(counts), 3)
    assert [mesh.num_vertices for mesh in batch.split()] == list(counts)


def test_gradients_pass_through_packing_and_splitting():
    first = vertices(3, dtype=torch.float64).requires_grad_()
    second = vertices(5, dtype=torch.float64).requires_grad_()

    def repack(a, b):
        batch = MeshBatch.from_meshes([Mesh(a, FACES[:1]), Mesh(b, FACES)])
        return tuple(mesh.vertices for mesh in batch.split())

    assert torch.autograd.gradcheck(repack, (first, second))


def test_batch_with_vertices_and_to():
    batch = MeshBatch.from_meshes([Mesh(vertices(3), FACES[:1]), Mesh(vertices(4), FACES)])
    moved = batch.with_vertices(batch.vertices + 1)
    torch.testing.assert_close(moved.split()[1].vertices, vertices(4) + 1)
    assert moved.faces is batch.faces
    double = batch.to(dtype=torch.float64)
    assert (double.dtype, double.device, double.faces.dtype) == (
        torch.float64,
        torch.device("cpu"),
        torch.int64,
    )
    with pytest.raises(ValueError, match=r"vertices.*\(2, 4, 3\)"):
        batch.with_vertices(torch.rand(2, 5, 3))
    with pytest.raises(ValueError, match=r"vertices.*finite"):
        batch.with_vertices(batch.vertices * math.nan)


MESH = Mesh(vertices(), FACES)
BAD_LISTS = {
    "none": ([], ValueError, "at least one"),
    "no mesh": ([MESH, FACES], TypeError, r"meshes\[1\].*Mesh.*Tensor"),
    "batched": ([MESH, Mesh(vertices(4, 2), FACES)], ValueError, r"meshes\[1\].*batched"),
    "dtypes": ([MESH, MESH.to(dtype=torch.float64)], TypeError, r"meshes\[1\].*float32"),
    "kinds": ([MESH, MESH.with_face_colors(torch.rand(2, 3))], ValueError, "no colours.*3 chann"),
    "channels": (
        [MESH.with_face_colors(torch.rand(2, c)) for c in (1, 3)],
        ValueError,
        r"meshes\[1\].*1 channels.*3 channels",
    ),
}


@pytest.mark.parametrize(("meshes", "error", "match"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_bad_lists_of_meshes(meshes, error, match):
    with pytest.raises(error, match=match):
        MeshBatch.from_meshes(meshes)


BAD_BATCHES = {
    "shape": ({"vertices": vertices(4)}, ValueError, "vertices.*Vmax"),
    "no mesh": ({"vertices": vertices(4, 0)}, ValueError, "at least one mesh"),
    "face counts": ({"face_counts": (2, 1)}, ValueError, r"faces.*\(3, 3\)"),
    "counts length": ({"vertex_counts": (4,)}, ValueError, "vertex_counts.*one entry per mesh"),
    "counts type": ({"face_counts": [2, 2]}, TypeError, "face_counts.*tuple.*list"),
    "count negative": ({"face_counts": (5, -1)}, ValueError, r"face_counts\[1\].*-1"),
    "count too large": ({"vertex_counts": (4, 5)}, ValueError, "vertex_counts.*4 rows"),
    "face of another": ({"faces": torch.cat([FACES, FACES])}, ValueError, "faces of mesh 1.*-4"),
    "padding used": ({"vertex_counts": (3, 4)}, ValueError, "faces of mesh 0.*3 vertices.*got 3"),
    "colours": ({"vertex_colors": torch.rand(4, 3)}, ValueError, "vertex_colors.*2, 4, C"),
    "both": (
        {"vertex_colors": torch.rand(2, 4, 1), "face_colors": torch.rand(4, 1)},
        ValueError,
        "not both",
    ),
}


@pytest.mark.parametrize(("change", "error", "match"), BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_bad_batches(change, error, match):
    good = {
        "vertices": vertices(4, 2),
        "faces": torch.cat([FACES, FACES + 4]),
        "face_counts": (2, 2),
        "vertex_counts": (4, 4),
    }
    assert MeshBatch(**good).batch_size == 2
    with pytest.raises(error, match=match):
        MeshBatch(**{**good, **change})


@pytest.mark.parametrize("size", [1e-30, 1e-22, 1e25, 1e30])
def test_normalized_of_any_size_in_float32(size):
    mesh = shapes.boot()
    unit = mesh.vertices.double() / mesh.vertices.double().abs().max()
    vertices = (size * unit).float().requires_grad_()
    normalized = mesh.with_vertices(vertices).normalized().vertices
    exact = vertices.detach().double()
    exact = exact - (exact.amin(0) + exact.amax(0)) / 2
    exact = exact / exact.norm(dim=1).max()
    torch.testing.assert_close(normalized.double(), exact, rtol=0, atol=1e-6)
    (slope,) = torch.autograd.grad(normalized[:, 0].sum(), vertices)
    assert slope.isfinite().all()
    (unscaled,) = torch.autograd.grad(
        mesh.with_vertices(start := unit.clone().requires_grad_())
        .normalized()
        .vertices[:, 0]
        .sum(),
        start,
    )
    torch.testing.assert_close(slope.double() * size, unscaled, rtol=1e-3, atol=1e-3)


def test_numbers_that_float32_does_not_hold_are_not_made_infinite():
    vertices = torch.zeros(3, 3, dtype=torch.float64)
    vertices[1, 2] = 1e300
    mesh = Mesh(vertices, torch.tensor([[0, 1, 2]]))
    with pytest.raises(
        ValueError, match=r"vertices in float32 must be finite, got inf at index \(1, 2\)"
    ):
        mesh.to(dtype=torch.float32)
    assert mesh.normalized().to(dtype=torch.float32).vertices.isfinite().all()
