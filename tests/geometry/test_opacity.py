"""Opacity of meshes and batches: what is kept, moved, packed and refused."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from taichisoft.geometry.attributes import colors_of, joined, opacity_of, with_opacity

pytestmark = pytest.mark.cpu_only

FACES = torch.tensor([[0, 1, 2], [0, 2, 3], [3, 2, 1]])
VERTICES = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
OF_VERTICES = torch.tensor([0.0, 0.25, 0.5, 1.0])
OF_FACES = torch.tensor([0.1, 0.2, 0.3])


def mesh(**look) -> ts.Mesh:
    """Return a mesh of four vertices and three faces."""
    return ts.Mesh(VERTICES, FACES, **look)


def test_operations_keep_opacity():
    colors = torch.rand(4, 3, generator=torch.Generator().manual_seed(1))
    for name, value in (("vertex_opacity", OF_VERTICES), ("face_opacity", OF_FACES)):
        made = mesh(vertex_colors=colors, **{name: value})
        for kept in (
            made.with_vertices(VERTICES + 1),
            made.normalized(),
            made.with_vertex_colors(None),
            made.with_face_colors(torch.zeros(3, 1)),
        ):
            assert getattr(kept, name) is value
        moved = made.to(dtype=torch.float64)
        assert getattr(moved, name).dtype == torch.float64
        assert torch.equal(getattr(moved, name).float(), value)


def test_one_kind_of_opacity_takes_the_place_of_the_other():
    made = mesh(vertex_opacity=OF_VERTICES)
    by_face = made.with_face_opacity(OF_FACES)
    assert by_face.vertex_opacity is None
    assert by_face.face_opacity is OF_FACES
    back = by_face.with_vertex_opacity(OF_VERTICES)
    assert back.face_opacity is None
    assert back.vertex_opacity is OF_VERTICES
    for opaque in (back.with_vertex_opacity(None), back.with_face_opacity(None)):
        assert opaque.vertex_opacity is opaque.face_opacity is None


def test_opacity_may_have_the_only_batch_axis():
    assert mesh().batch_size == 1
    assert mesh(vertex_opacity=OF_VERTICES).batch_size == 1
    assert mesh(vertex_opacity=OF_VERTICES.expand(5, 4)).batch_size == 5
    assert mesh(face_opacity=OF_FACES.expand(2, 3)).batch_size == 2
    with pytest.raises(ValueError, match=r"batch sizes must be equal or 1.*face_opacity has 2"):
        ts.Mesh(VERTICES.expand(3, 4, 3), FACES, face_opacity=OF_FACES.expand(2, 3))


@pytest.mark.parametrize(
    ("look", "error", "message"),
    [
        ({"vertex_opacity": OF_FACES}, ValueError, r"vertex_opacity must have shape \(4,\)"),
        ({"face_opacity": OF_FACES[:, None]}, ValueError, "face_opacity must have shape"),
        ({"face_opacity": 0.5}, TypeError, "face_opacity must be a Tensor"),
        ({"face_opacity": OF_FACES.double()}, TypeError, "face_opacity must have the dtype"),
        ({"face_opacity": OF_FACES + 1}, ValueError, r"face_opacity must be in \[0, 1\], got 1.3"),
        ({"vertex_opacity": -OF_VERTICES}, ValueError, r"in \[0, 1\], got -1"),
        ({"vertex_opacity": OF_VERTICES / 0}, ValueError, "vertex_opacity must be finite"),
        (
            {"vertex_opacity": OF_VERTICES, "face_opacity": OF_FACES},
            ValueError,
            "vertex_opacity and face_opacity must not both",
        ),
    ],
)
def test_bad_opacity(look, error, message):
    with pytest.raises(error, match=message):
        mesh(**look)


def test_a_batch_of_which_some_have_opacity():
    small = ts.Mesh(VERTICES[:3], FACES[:1])
    whole = mesh(vertex_opacity=OF_VERTICES.clone().requires_grad_())
    batch = ts.MeshBatch.from_meshes([small, whole])
    expected = torch.stack([torch.tensor([1.0, 1, 1, 0]), OF_VERTICES])
    torch.testing.assert_close(batch.vertex_opacity, expected)
    assert batch.to(dtype=torch.float64).vertex_opacity.dtype == torch.float64
    first, second = batch.split()
    assert torch.equal(first.vertex_opacity, torch.ones(3))
    assert torch.equal(second.vertex_opacity, OF_VERTICES)
    (gradient,) = torch.autograd.grad(second.vertex_opacity.sum(), whole.vertex_opacity)
    assert torch.equal(gradient, torch.ones(4))
    batch = ts.MeshBatch.from_meshes([mesh(face_opacity=OF_FACES), small])
    torch.testing.assert_close(batch.face_opacity, torch.tensor([0.1, 0.2, 0.3, 1]))
    assert [len(m.face_opacity) for m in batch.split()] == [3, 1]
    opaque = ts.MeshBatch.from_meshes([small, mesh()])
    assert opaque.vertex_opacity is opaque.face_opacity is None
    assert opaque.split()[0].vertex_opacity is None


def test_batches_that_cannot_be():
    by_vertex, by_face = mesh(vertex_opacity=OF_VERTICES), mesh(face_opacity=OF_FACES)
    with pytest.raises(ValueError, match="meshes must not have vertex_opacity and face_opacity"):
        ts.MeshBatch.from_meshes([by_vertex, by_face])
    with pytest.raises(ValueError, match=r"meshes\[0\] must not be batched"):
        ts.MeshBatch.from_meshes([mesh(face_opacity=OF_FACES[None])])
    batch = ts.MeshBatch.from_meshes([by_vertex, by_vertex])
    with pytest.raises(ValueError, match=r"face_opacity must have shape \(6,\)"):
        ts.MeshBatch(
            batch.vertices,
            batch.faces,
            batch.face_counts,
            batch.vertex_counts,
            face_opacity=OF_FACES,
        )


def test_the_argument_opacity_is_told_apart_by_its_length():
    made = mesh(face_opacity=OF_FACES)
    number = torch.tensor(0.5, requires_grad=True)
    for given in (0.5, number):
        found = with_opacity(made, given)
        assert found.face_opacity is None
        assert torch.equal(found.vertex_opacity.detach(), torch.full((4,), 0.5))
    (gradient,) = torch.autograd.grad(found.vertex_opacity.sum(), number)
    assert gradient == 4
    assert with_opacity(made, OF_VERTICES).vertex_opacity is OF_VERTICES
    assert with_opacity(mesh(vertex_opacity=OF_VERTICES), OF_FACES).face_opacity is OF_FACES
    assert with_opacity(made, OF_FACES.expand(2, 3)).batch_size == 2
    batch = ts.MeshBatch.from_meshes([made, made])
    assert torch.equal(with_opacity(batch, 0.25).vertex_opacity, torch.full((2, 4), 0.25))
    assert with_opacity(batch, 0.25).face_opacity is None


@pytest.mark.parametrize(
    ("opacity", "error", "message"),
    [
        ("half", TypeError, "opacity must be a number, got str"),
        (True, TypeError, "opacity must be a number, got bool"),
        (1.5, ValueError, r"opacity must be in \[0, 1\], got 1.5"),
        (OF_VERTICES - 0.5, ValueError, r"opacity must be in \[0, 1\], got -0.5"),
        (OF_VERTICES.double(), TypeError, "opacity must have the dtype of vertices"),
        (torch.ones(5), ValueError, r"opacity must be one number or have shape .* got \(5,\)"),
        (torch.ones(1, 1, 4), ValueError, "opacity must be one number or have shape"),
    ],
)
def test_bad_arguments(opacity, error, message):
    with pytest.raises(error, match=message):
        with_opacity(mesh(), opacity)


def test_a_batch_of_different_meshes_takes_one_number():
    batch = ts.MeshBatch.from_meshes([mesh(), mesh()])
    with pytest.raises(ValueError, match="opacity must be one number for a batch"):
        with_opacity(batch, OF_VERTICES)


@pytest.mark.parametrize("opaque", ["vertex_opacity", "face_opacity"])
@pytest.mark.parametrize("colored", ["vertex_colors", "face_colors"])
def test_joined_attributes_are_those_of_each_corner(colored, opaque):
    generator = torch.Generator().manual_seed(3)
    rows = {"vertex": 4, "face": 3}
    kind, other = colored.split("_")[0], opaque.split("_")[0]
    for batches in ((), (2,)):
        colors = torch.rand(rows[kind], 2, generator=generator)
        opacity = torch.rand(*batches, rows[other], generator=generator)
        made = mesh(**{colored: colors, opaque: opacity})
        found = joined(colors_of(made), opacity_of(made)).corners()
        for image in range(max(batches, default=1)):
            own = opacity[image] if batches else opacity
            for face in range(3):
                for corner in range(3):
                    vertex = int(FACES[face, corner])
                    color = colors[vertex if kind == "vertex" else face]
                    share = own[vertex if other == "vertex" else face]
                    row = found[image, 3 * face + corner]
                    assert torch.equal(row, torch.cat([color, share[None]]))


def test_joined_attributes_of_vertices_keep_their_rows():
    made = mesh(vertex_colors=torch.ones(4, 3), vertex_opacity=OF_VERTICES)
    found = joined(colors_of(made), opacity_of(made))
    assert found.index is made.faces
    assert found.values.shape == (4, 4)
