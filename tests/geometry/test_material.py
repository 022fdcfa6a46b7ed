"""Materials of meshes and batches: what is kept, moved, packed and refused."""

from __future__ import annotations

import math

import pytest
import torch

import taichisoft as ts

pytestmark = pytest.mark.cpu_only

FACES = torch.tensor([[0, 1, 2], [0, 2, 3], [3, 2, 1]])
VERTICES = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
UV = torch.tensor([[0.0, 0], [1, 0], [0, 1], [0.5, 2], [-1, 0.5]])
UV_FACES = torch.tensor([[0, 1, 2], [2, 1, 4], [4, 3, 0]])
CHOSEN = torch.tensor([1, 0, 1])
PLAIN = ts.Material(torch.tensor([0.2, 0.5, 0.9]), name="plain")
IMAGE = ts.Material(image=torch.rand(4, 6, 3), image_opacity=torch.rand(4, 6))


def mesh(**change) -> ts.Mesh:
    """Return a mesh of three faces with two materials."""
    given = {
        "materials": (PLAIN, IMAGE),
        "face_materials": CHOSEN,
        "uv": UV,
        "uv_faces": UV_FACES,
    }
    return ts.Mesh(VERTICES, FACES, **{**given, **change})


def test_the_default_is_white():
    assert torch.equal(ts.Material().color, torch.ones(3))
    grey = ts.Material(image=torch.rand(2, 2, 1).double())
    assert torch.equal(grey.color, torch.ones(1).double())
    assert (grey.channels, grey.has_texels, grey.has_opacity) == (1, True, False)
    through = ts.Material(image_opacity=torch.rand(2, 2).double())
    assert torch.equal(through.color, torch.ones(3).double())
    assert (through.has_texels, through.has_opacity) == (True, True)
    assert (PLAIN.wrap_u, PLAIN.wrap_v, PLAIN.mipmaps) == (ts.Wrap.REPEAT, ts.Wrap.REPEAT, False)
    assert not PLAIN.has_texels


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"color": [1, 1, 1]}, TypeError, "color must be a Tensor, got list"),
        ({"color": torch.ones(1, 3)}, ValueError, r"color must have shape \(C,\)"),
        ({"color": torch.ones(0)}, ValueError, "color must not be empty"),
        ({"color": torch.ones(3).half()}, TypeError, "color must be of dtype"),
        ({"color": torch.full((3,), math.nan)}, ValueError, "color must be finite"),
        ({"image": torch.ones(4, 4)}, ValueError, r"image must have shape \(H, W, C\)"),
        ({"image": torch.ones(0, 4, 3)}, ValueError, "image must not be empty"),
        ({"image": torch.full((1, 1, 3), math.inf)}, ValueError, "image must be finite"),
        (
            {"image": torch.ones(2, 2, 4), "color": torch.ones(3)},
            ValueError,
            r"color must have shape \(4,\), got \(3,\)",
        ),
        (
            {"image": torch.ones(2, 2, 3), "color": torch.ones(3).double()},
            TypeError,
            "image must have the dtype of color",
        ),
        ({"opacity": 0.5}, TypeError, "opacity must be a Tensor"),
        ({"opacity": torch.ones(1)}, ValueError, "opacity must have shape"),
        ({"opacity": torch.tensor(1.5)}, ValueError, r"opacity must be in \[0, 1\], got 1.5"),
        ({"image_opacity": torch.ones(2)}, ValueError, r"image_opacity must have shape \(H, W\)"),
        (
            {"image": torch.ones(2, 2, 3), "image_opacity": torch.ones(2, 3)},
            ValueError,
            r"image_opacity must have shape \(2, 2\)",
        ),
        ({"image_opacity": -torch.ones(2, 2)}, ValueError, r"image_opacity must be in \[0, 1\]"),
        ({"wrap_v": "clamp"}, TypeError, "wrap_v must be a Wrap, got str"),
        ({"mipmaps": 1}, TypeError, "mipmaps must be a bool"),
        ({"name": None}, TypeError, "name must be a str"),
    ],
)
def test_bad_materials(change, error, message):
    with pytest.raises(error, match=message):
        ts.Material(**change)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"materials": [PLAIN, IMAGE]}, TypeError, "materials must be a tuple, got list"),
        ({"materials": ()}, ValueError, "materials must hold at least one material"),
        ({"materials": (PLAIN, UV)}, TypeError, r"materials\[1\] must be a Material, got Tensor"),
        (
            {"materials": (PLAIN, ts.Material(torch.ones(1)))},
            ValueError,
            r"materials\[1\] must have the 3 channels of materials\[0\], got 1",
        ),
        ({"materials": None}, ValueError, "face_materials must not be given without materials"),
        (
            {"materials": (PLAIN, PLAIN.to(dtype=torch.float64))},
            TypeError,
            r"color of materials\[1\] must have the dtype of vertices",
        ),
        ({"face_materials": CHOSEN[:2]}, ValueError, r"face_materials must have shape \(3,\)"),
        ({"face_materials": CHOSEN.int()}, TypeError, "face_materials must be of dtype"),
        ({"face_materials": CHOSEN + 1}, ValueError, "face_materials must index 2 materials"),
        ({"face_materials": CHOSEN - 1}, ValueError, "face_materials.*got -1"),
        ({"uv": None}, ValueError, r"uv must be given for the image of materials\[1\]"),
        ({"uv": None, "materials": (PLAIN, PLAIN)}, ValueError, "uv_faces must not be given with"),
        ({"uv": UV * math.nan}, ValueError, "uv must be finite"),
        ({"uv": UV.double()}, TypeError, "uv must have the dtype of vertices"),
        ({"uv": UV[:, :1]}, ValueError, r"uv must have shape \(T, 2\) or \(B, T, 2\)"),
        ({"uv_faces": None}, ValueError, "uv must have one row for each of the 4 vertices unless"),
        ({"uv_faces": UV_FACES[:1]}, ValueError, r"uv_faces must have shape \(3, 3\)"),
        ({"uv_faces": UV_FACES + 1}, ValueError, "uv_faces must index 5 rows of uv"),
        (
            {"vertex_colors": torch.ones(4, 2)},
            ValueError,
            "vertex_colors must have 1 channel or the 3 of the materials, got 2",
        ),
        (
            {"uv": UV.expand(3, 5, 2), "face_colors": torch.ones(2, 3, 3)},
            ValueError,
            "batch sizes.*face_colors has 2, uv has 3",
        ),
    ],
)
def test_bad_assignments(change, error, message):
    with pytest.raises(error, match=message):
        mesh(**change)


def test_operations_keep_materials():
    made = mesh(vertex_colors=torch.ones(4, 3))
    for kept in (
        made.with_vertices(VERTICES + 1),
        made.normalized(),
        made.with_vertex_colors(None),
        made.with_face_colors(torch.ones(3, 1)),
        made.with_face_opacity(torch.ones(3)),
    ):
        for name in ("materials", "face_materials", "uv", "uv_faces"):
            assert getattr(kept, name) is getattr(made, name)
    moved = made.to(dtype=torch.float64)
    assert moved.uv.dtype == torch.float64
    assert moved.uv_faces.dtype == torch.int64
    assert moved.materials[1].image_opacity.dtype == torch.float64
    assert [material.name for material in moved.materials] == ["plain", ""]
    with pytest.raises(TypeError, match=r"materials\[0\] must have the dtype of vertices"):
        made.with_vertex_colors(None).with_vertices(VERTICES.double())
    assert mesh(uv=UV.expand(3, 5, 2)).batch_size == 3


def test_other_materials():
    bare = ts.Mesh(VERTICES, FACES, uv=UV, uv_faces=UV_FACES)
    made = bare.with_materials([PLAIN, IMAGE], CHOSEN)
    assert made.materials == (PLAIN, IMAGE)
    assert made.face_materials is CHOSEN
    assert made.uv is UV
    other = made.with_materials((IMAGE, PLAIN))
    assert (other.materials, other.face_materials) == ((IMAGE, PLAIN), made.face_materials)
    assert made.with_materials([IMAGE, PLAIN], uv=UV + 1).uv_faces is UV_FACES
    assert made.with_materials([IMAGE], 0 * CHOSEN, UV[:4], FACES).uv_faces is FACES
    removed = made.with_materials(None)
    assert removed.materials is removed.face_materials is None
    assert removed.uv is UV
    with pytest.raises(TypeError, match="materials must be a tuple or list or NoneType"):
        made.with_materials(PLAIN)
    with pytest.raises(ValueError, match="face_materials must index 1 materials"):
        made.with_materials([PLAIN])


def test_a_batch_of_which_some_have_materials():
    uv = UV.clone().requires_grad_()
    plain = ts.Mesh(VERTICES, FACES[:2], materials=(PLAIN,))
    colored = ts.Mesh(VERTICES[:3], FACES[:1], vertex_colors=torch.rand(3, 1))
    batch = ts.MeshBatch.from_meshes([colored, mesh(uv=uv), plain])
    white, first, second = batch.materials
    assert torch.equal(white.color, torch.ones(3))
    assert (first, second) == (PLAIN, IMAGE)
    assert batch.face_materials.tolist() == [0, 2, 1, 2, 1, 1]
    assert batch.uv.shape == (7, 2)
    assert batch.uv_faces[1:4].tolist() == (UV_FACES + 1).tolist()
    assert torch.equal(batch.vertex_colors[0, :3], colored.vertex_colors)
    assert bool((batch.vertex_colors[1:] == 1).all())
    assert batch.to(dtype=torch.float64).materials[1].color.dtype == torch.float64
    one, two, three = batch.split()
    assert (one.materials, one.face_materials) == ((white,), None)
    assert (two.materials, two.face_materials.tolist()) == ((PLAIN, IMAGE), CHOSEN.tolist())
    assert torch.equal(two.uv, UV)
    assert torch.equal(two.uv_faces, UV_FACES)
    assert (three.materials, three.face_materials) == ((PLAIN,), None)
    (gradient,) = torch.autograd.grad(two.uv.sum(), uv)
    assert torch.equal(gradient, torch.ones(5, 2))


def test_batches_that_cannot_be():
    with pytest.raises(ValueError, match=r"meshes\[0\] must not be batched"):
        ts.MeshBatch.from_meshes([mesh(uv=UV[None])])
    grey = ts.Mesh(VERTICES, FACES, materials=(ts.Material(torch.ones(1)),))
    with pytest.raises(ValueError, match=r"meshes\[1\] must have materials of 3 channels .* got 1"):
        ts.MeshBatch.from_meshes([mesh(), grey])
    by_face = ts.Mesh(VERTICES, FACES, face_colors=torch.rand(3, 3))
    by_vertex = ts.Mesh(VERTICES, FACES, vertex_colors=torch.rand(4, 3))
    with pytest.raises(ValueError, match=r"meshes\[2\] must have the colours of meshes\[1\]"):
        ts.MeshBatch.from_meshes([mesh(), by_face, by_vertex])
    batch = ts.MeshBatch.from_meshes([mesh(), mesh()])
    assert len(batch.materials) == 2
    parts = (batch.vertices, batch.faces, batch.face_counts, batch.vertex_counts)
    with pytest.raises(TypeError, match="uv_faces must be a Tensor, got NoneType"):
        ts.MeshBatch(*parts, materials=batch.materials, uv=batch.uv)
    with pytest.raises(ValueError, match=r"uv must have shape \(T, 2\), got"):
        ts.MeshBatch(*parts, materials=batch.materials, uv=batch.uv[None], uv_faces=batch.uv_faces)
