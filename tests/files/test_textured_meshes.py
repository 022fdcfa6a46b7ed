"""Reading textured meshes: both formats, the origin of UV, seams, what cannot be read."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import taichisoft as ts
from tests.helpers import pixel_camera

# A quad of 6 x 4 pixels in the image plane of `pixel_camera` (y down), its texture upright: the upper left
# corner has (u, v) = (0, 1). The second triangle has UV coordinates of its own: a seam along the diagonal.
OBJ = """
mtllib quad.mtl
v 0 0 1
v 6 0 1
v 6 4 1
v 0 4 1
vt 0 1
vt 1 1
vt 1 0
vt 1 1
vt 2 0
vt 1 0
usemtl painted
f 1/1 2/2 3/3
f 1/4 3/5 4/6
"""
PIXELS = np.random.default_rng(3).integers(0, 256, (4, 6, 3), np.uint8)


@pytest.fixture
def quad(tmp_path):
    """Return the path of a textured OBJ file."""
    Image.fromarray(PIXELS).save(tmp_path / "quad.png")
    (tmp_path / "quad.mtl").write_text("newmtl painted\nKd 1 1 1\nmap_Kd quad.png\n")
    (tmp_path / "quad.obj").write_text(OBJ)
    return tmp_path / "quad.obj"


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_a_textured_quad_shows_its_image_upright(quad, suffix, dtype):
    if suffix == ".glb":
        import trimesh

        glb = quad.with_suffix(".glb")
        trimesh.load(quad, force="mesh", process=False).export(glb)
        quad.unlink()
        quad = glb
    mesh, texture = ts.load_textured_mesh(quad, dtype=dtype)
    assert (mesh.num_vertices, mesh.num_faces) == (4, 2)
    assert texture.image.shape == (4, 6, 3)
    assert texture.opacity is None
    color = ts.SoftRasterizer.hard()(mesh, pixel_camera(4, 6, dtype), texture).color[0]
    expected = torch.from_numpy(PIXELS).to(dtype) / 255
    torch.testing.assert_close(color, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_a_fourth_channel_of_the_image_is_the_opacity_of_the_texture(quad, suffix):
    levels = np.random.default_rng(4).integers(0, 256, (4, 6, 1), np.uint8)
    Image.fromarray(np.concatenate([PIXELS, levels], -1)).save(quad.with_suffix(".png"))
    if suffix == ".glb":
        import trimesh

        glb = quad.with_suffix(".glb")
        loaded = trimesh.load(quad, force="mesh", process=False)
        loaded.visual.material = loaded.visual.material.to_pbr()
        loaded.visual.material.alphaMode = "BLEND"  # else opacity is to be left out
        loaded.export(glb)
        quad.unlink()
        quad = glb
    _, texture = ts.load_textured_mesh(quad, dtype=torch.float64)
    for found, expected in ((texture.image, PIXELS), (texture.opacity, levels[..., 0])):
        torch.testing.assert_close(found, torch.from_numpy(expected).double() / 255)


def test_options(quad):
    mesh, texture = ts.load_textured_mesh(
        str(quad), normalize=True, wrap=ts.Wrap.CLAMP, mipmaps=True
    )
    assert texture.mipmaps
    assert mesh.dtype == texture.image.dtype == torch.float32
    assert abs(float(mesh.vertices.norm(dim=1).max()) - 1) < 1e-6
    assert texture.wrap is ts.Wrap.CLAMP


def test_colours_of_vertices_are_left_out_with_a_warning(quad):
    loud = "v 0 0 1 0.5 1 1\nv 6 0 1 1 1 1\nv 6 4 1 1 1 1\nv 0 4 1 1 1 1\n"
    start, end = OBJ.index("v 0"), OBJ.index("vt")
    quad.write_text(OBJ[:start] + loud + OBJ[end:])
    with pytest.warns(
        UserWarning, match=r"quad\.obj: colours .* of vertices are left out; ts\.load_me"
    ):
        mesh, _ = ts.load_textured_mesh(quad)
    assert mesh.vertex_colors is None
    quad.write_text(OBJ[:start] + loud.replace("0.5", "1") + OBJ[end:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ts.load_textured_mesh(quad)


def test_files_without_a_texture(quad, tmp_path):
    (tmp_path / "quad.png").unlink()
    with pytest.raises(ValueError, match="path must hold a texture with a readable image"):
        ts.load_textured_mesh(quad)
    ts.save_mesh(ts.shapes.cube(), tmp_path / "cube.obj")
    with pytest.raises(ValueError, match="path must hold a mesh with UV coordinates"):
        ts.load_textured_mesh(tmp_path / "cube.obj")
    (tmp_path / "damaged.glb").write_bytes(b"glTF no more")
    with pytest.raises(ValueError, match=r"path must be a readable \.glb file"):
        ts.load_textured_mesh(tmp_path / "damaged.glb")


def test_an_obj_without_its_mtl_has_no_texture(quad):
    (quad.parent / "quad.mtl").unlink()
    with pytest.raises(ValueError, match="path must hold a texture with a readable image"):
        ts.load_textured_mesh(quad)


def test_hard_edges_are_kept(tmp_path):
    box = ts.shapes.cube()
    sides = torch.arange(36).reshape(12, 3)  # every face is apart
    material = ts.Material(None, torch.rand(2, 2, 3))
    mesh = ts.Mesh(
        box.vertices, box.faces, None, None, None, None, (material,), uv=box.vertices[:, :2]
    )
    for index, hard in ((sides, True), (None, False)):
        ts.save_mesh(replace(mesh, normal_faces=index), tmp_path / "box.obj")
        found, _ = ts.load_textured_mesh(tmp_path / "box.obj")
        assert (found.normal_faces is not None) == hard
        assert found.num_vertices == 8


def test_what_is_not_read_is_told_and_no_error(quad):
    quad.with_suffix(".mtl").write_text("newmtl painted\nmap_Kd quad.png\nd 1.5\nmap_d none.png\n")
    with pytest.warns(UserWarning, match=r"quad\.obj: ") as told:
        ts.load_textured_mesh(quad)
    said = " ".join(str(one.message) for one in told)
    assert "d is 1.5" in said
    assert "texture must be an existing file" in said
    quad.with_suffix(".png").unlink()
    with pytest.raises(
        ValueError, match=r"a readable image, got none in .*: texture must be an ex"
    ):
        ts.load_textured_mesh(quad)


def test_two_wraps_do_not_matter_where_one_is_given(tmp_path):
    quad = ts.shapes.quad()
    material = ts.Material(None, torch.rand(2, 2, 3), wrap_u=ts.Wrap.CLAMP)
    mesh = ts.Mesh(quad.vertices, quad.faces, materials=(material,), uv=quad.vertices[:, :2])
    ts.save_mesh(mesh, tmp_path / "a.glb")
    with pytest.raises(ValueError, match="image with one wrap, got two; give wrap="):
        ts.load_textured_mesh(tmp_path / "a.glb")
    _, texture = ts.load_textured_mesh(tmp_path / "a.glb", wrap=ts.Wrap.MIRROR)
    assert texture.wrap is ts.Wrap.MIRROR


def test_bad_arguments(quad, tmp_path):
    with pytest.raises(ValueError, match=r"path must end in one of \.obj, \.glb"):
        ts.load_textured_mesh(tmp_path / "mesh.ply")
    with pytest.raises(FileNotFoundError, match="path must be an existing file"):
        ts.load_textured_mesh(tmp_path / "none.obj")
    with pytest.raises(TypeError, match="dtype must be"):
        ts.load_textured_mesh(quad, dtype=torch.float16)
    with pytest.raises(TypeError, match="wrap must be a Wrap"):
        ts.load_textured_mesh(quad, wrap="clamp")
