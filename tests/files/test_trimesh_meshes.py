"""Meshes of trimesh and lists of PyTorch3D: there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

import taichisoft as ts

TEXELS = np.random.default_rng(0).integers(0, 255, (2, 3, 4), np.uint8)


@pytest.mark.parametrize("kind", ["vertex", "face"])
def test_colours_come_from_trimesh_and_go_back(kind, dtype):
    box = trimesh.creation.box()
    count = {"vertex": 8, "face": 12}[kind]
    colors = np.random.default_rng(1).integers(0, 255, (count, 4), np.uint8)
    colors[:, 3] = 255
    setattr(box.visual, f"{kind}_colors", colors)
    mesh = ts.Mesh.from_trimesh(box, dtype)
    assert mesh.vertices.dtype == dtype
    assert mesh.vertices.tolist() == box.vertices.tolist()
    assert mesh.faces.tolist() == box.faces.tolist()
    found = getattr(mesh, f"{kind}_colors")
    torch.testing.assert_close(found, torch.from_numpy(colors[:, :3]).to(dtype) / 255)
    assert getattr(mesh, f"{kind}_opacity") is None
    back = mesh.to_trimesh()
    np.testing.assert_array_equal(getattr(back.visual, f"{kind}_colors"), colors)
    np.testing.assert_array_equal(back.faces, box.faces)


def test_a_material_comes_from_trimesh_and_goes_back():
    uv = np.array([[0, 0], [2, 0], [2, 1.0]])
    image = Image.fromarray(TEXELS)
    factor = np.array([255, 51, 0, 102], np.uint8)
    material = trimesh.visual.material.PBRMaterial(
        "m", baseColorFactor=factor, baseColorTexture=image, alphaMode="BLEND"
    )
    visual = trimesh.visual.TextureVisuals(uv, material=material)
    triangle = trimesh.Trimesh(
        [[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], visual=visual, process=False
    )
    triangle.vertex_attributes["label"] = np.arange(3)
    mesh = ts.Mesh.from_trimesh(triangle, torch.float64)
    (found,) = mesh.materials
    assert mesh.uv.tolist() == uv.tolist()
    assert mesh.vertex_data["label"].tolist() == [0, 1, 2]
    assert (found.color.tolist(), found.opacity.item(), found.name) == ([1, 0.2, 0], 0.4, "m")
    levels = torch.from_numpy(TEXELS).double() / 255
    assert found.image.equal(levels[..., :3])
    assert found.image_opacity.equal(levels[..., 3])
    again = ts.Mesh.from_trimesh(mesh.to_trimesh(), torch.float64)
    assert again.materials[0].image.equal(found.image)
    assert again.materials[0].color.equal(found.color)
    assert again.materials[0].opacity.equal(found.opacity)
    assert again.uv.equal(mesh.uv)
    assert again.vertex_data["label"].equal(mesh.vertex_data["label"])


def triangle(material=None, image=None, **attributes) -> trimesh.Trimesh:
    """Return a textured triangle with other numbers of its vertices."""
    uv = np.array([[0, 0], [1, 0], [1, 1.0]])
    visual = trimesh.visual.TextureVisuals(uv, material=material, image=image)
    return trimesh.Trimesh(
        [[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], visual=visual, process=False,
        vertex_attributes=attributes,
    )  # fmt: skip


def test_an_image_without_a_colour_is_as_bright_as_it_is():
    image = Image.fromarray(TEXELS)
    (found,) = ts.Mesh.from_trimesh(triangle(image=image)).materials
    assert found.color.tolist() == [1, 1, 1]
    tinted = trimesh.visual.material.SimpleMaterial(image=image, diffuse=[255, 51, 0, 255])
    (found,) = ts.Mesh.from_trimesh(triangle(tinted)).materials
    assert found.color.tolist() == pytest.approx([1, 0.2, 0])
    (found,) = ts.Mesh.from_trimesh(triangle(trimesh.visual.material.SimpleMaterial())).materials
    assert found.color.tolist() == pytest.approx([0.4] * 3)


@pytest.mark.parametrize(
    ("mode", "opacity"),
    [
        ({}, lambda alpha: None),
        ({"alphaMode": "OPAQUE"}, lambda alpha: None),
        ({"alphaMode": "BLEND"}, lambda alpha: alpha),
        ({"alphaMode": "MASK"}, lambda alpha: (alpha >= 0.5).double()),
        ({"alphaMode": "MASK", "alphaCutoff": 0.25}, lambda alpha: (alpha >= 0.25).double()),
    ],
)
def test_modes_of_alpha(mode, opacity):
    image = Image.fromarray(TEXELS)
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image, **mode)
    (found,) = ts.Mesh.from_trimesh(triangle(material), torch.float64).materials
    expected = opacity(torch.from_numpy(TEXELS[..., 3]).double() / 255)
    assert found.opacity is None
    if expected is None:
        assert found.image_opacity is None
    else:
        assert found.image_opacity.equal(expected)


def test_numbers_of_vertices_of_every_type():
    good = {
        "big": np.arange(3, dtype=">f4"), "small": np.arange(3, dtype=np.uint16), "on": np.ones(3, bool),
        "half": np.ones(3, np.float16), "long": np.ones(3, np.longdouble), "far": np.arange(3, dtype=">i8"),
    }  # fmt: skip
    mesh = ts.Mesh.from_trimesh(triangle(**good))
    kinds = [torch.float32, torch.int64, torch.bool, torch.float16, torch.float64, torch.int64]
    assert [x.dtype for x in mesh.vertex_data.values()] == kinds
    assert mesh.vertex_data["big"].tolist() == mesh.vertex_data["far"].tolist() == [0, 1, 2]
    bad = {"word": np.array(["a", "b", "c"]), "rows": np.ones((3, 2))}
    with pytest.warns(UserWarning, match="one number for each vertex: word, rows left out"):
        assert ts.Mesh.from_trimesh(triangle(**bad)).vertex_data is None


def test_opacity_goes_beside_colours():
    cube = ts.shapes.cube()
    colors, opacity = torch.rand(8, 3), torch.linspace(0, 1, 8)
    mesh = ts.Mesh(cube.vertices, cube.faces, vertex_colors=colors, vertex_opacity=opacity)
    back = ts.Mesh.from_trimesh(mesh.to_trimesh())
    torch.testing.assert_close(back.vertex_opacity, opacity, rtol=0, atol=0.002)
    torch.testing.assert_close(back.vertex_colors, colors, rtol=0, atol=0.002)


def test_seams_repeat_vertices():
    quad = ts.shapes.quad()
    uv = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0.5, 0.5], [0, 1], [0, 0.25]])
    mesh = ts.Mesh(
        quad.vertices,
        quad.faces,
        materials=(ts.Material(None, torch.rand(2, 2, 3)),),
        uv=uv,
        uv_faces=torch.arange(6).reshape(2, 3),
    )
    given = mesh.to_trimesh()
    assert len(given.vertices) == 6
    np.testing.assert_allclose(given.vertices[given.faces], quad.vertices[quad.faces], atol=1e-7)
    np.testing.assert_allclose(given.visual.uv[given.faces], uv[mesh.uv_faces], atol=1e-7)


def test_what_trimesh_does_not_hold_is_named():
    cube = ts.shapes.cube()
    plain = ts.Material(torch.ones(3))
    two = ts.Mesh(cube.vertices, cube.faces, materials=(plain, plain), face_opacity=torch.ones(12))
    with pytest.warns(
        UserWarning, match="does not hold face_opacity, materials, of which there are sev"
    ):
        two.to_trimesh()
    one = ts.Mesh(cube.vertices, cube.faces, vertex_colors=torch.ones(8, 3), materials=(plain,))
    uv = ts.Mesh(cube.vertices, cube.faces, uv=torch.rand(8, 2), vertex_opacity=torch.ones(8))
    with pytest.warns(UserWarning, match="does not hold vertex_opacity, uv: left out"):
        uv.to_trimesh()
    clamped = ts.Material(None, torch.rand(2, 2, 3), wrap_u=ts.Wrap.CLAMP)
    with pytest.warns(UserWarning, match="does not hold wraps other than REPEAT"):
        uv.with_vertex_opacity(None).with_materials([clamped]).to_trimesh()
    with pytest.warns(UserWarning, match="does not hold vertex_colors") as told:
        one.to_trimesh()
    assert told[0].filename == __file__


def test_what_is_no_mesh_of_trimesh():
    with pytest.raises(TypeError, match=r"got a Scene: scene\.to_mesh\(\) joins its parts"):
        ts.Mesh.from_trimesh(trimesh.Scene())
    with pytest.raises(TypeError, match="mesh must be a Trimesh"):
        ts.Mesh.from_trimesh(ts.shapes.cube())
    with pytest.raises(TypeError, match="dtype must be"):
        ts.Mesh.from_trimesh(trimesh.creation.box(), torch.float16)
    cube = ts.shapes.cube()
    with pytest.raises(ValueError, match="mesh must not be batched, got vertices"):
        cube.with_vertices(cube.vertices[None]).to_trimesh()
    with pytest.raises(ValueError, match="mesh must not be batched, got vertex_colors"):
        cube.with_vertex_colors(torch.ones(1, 8, 3)).to_trimesh()
    four = ts.Material(torch.ones(4), image_opacity=torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"materials\[0\] must be grey or RGB .* got 4 channels"):
        cube.with_materials([four], uv=torch.rand(8, 2)).to_trimesh()
    several = trimesh.visual.material.MultiMaterial([trimesh.visual.material.SimpleMaterial()])
    with pytest.raises(TypeError, match="must be a PBRMaterial or a SimpleMaterial, got a MultiM"):
        ts.Mesh.from_trimesh(triangle(several))


def test_types_that_numpy_does_not_have_are_named():
    cube = ts.shapes.cube()
    short = ts.Mesh(
        cube.vertices, cube.faces, vertex_data={"heat": torch.zeros(8, dtype=torch.bfloat16)}
    )
    with pytest.raises(
        TypeError, match=r"^vertex_data\['heat'\] must be of a dtype .* got torch.bfloat16$"
    ):
        short.to_trimesh()


def test_lists_of_pytorch3d():
    meshes = [ts.shapes.cube(), ts.shapes.quad(), ts.shapes.icosphere(0)]
    vertices = [mesh.vertices.clone().requires_grad_() for mesh in meshes]
    batch = ts.MeshBatch.from_lists(vertices, [mesh.faces for mesh in meshes])
    assert batch.vertex_counts == tuple(mesh.num_vertices for mesh in meshes)
    back = batch.to_lists()
    for mesh, v, f in zip(meshes, *back, strict=True):
        assert v.equal(mesh.vertices)
        assert f.equal(mesh.faces)
    sum(v.sum() for v in back[0]).backward()
    assert all(v.grad.eq(1).all() for v in vertices)
    with pytest.raises(ValueError, match="faces must be given for each of 3 meshes, got 1"):
        ts.MeshBatch.from_lists(vertices, [meshes[0].faces])
