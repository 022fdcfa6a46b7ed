"""Saving what was fitted: materials, images and UV come back, and what cannot be held is told."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import taichisoft as ts

STEP = 0.5 / 255 + 1e-6
FORMATS = (".obj", ".glb", ".gltf")


def painted(dtype=torch.float32) -> ts.Mesh:
    """Return a cube with two images, one of them through two materials, and two plain colours."""
    generator = torch.Generator().manual_seed(0)

    def levels(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=dtype)

    image, other, alpha = levels(3, 2, 3), levels(2, 5, 3), levels(2, 5)
    clamp = ts.Wrap.CLAMP
    materials = (
        ts.Material(levels(3), image, name="first"),
        ts.Material(levels(3), name="a plain  one", opacity=levels()),
        ts.Material(None, other, None, alpha, clamp, clamp, name="first"),
        ts.Material(levels(3), image, levels(), None, clamp, clamp),
        ts.Material(torch.ones(3, dtype=dtype)),
    )
    cube = ts.shapes.cube().to(dtype=dtype)
    return ts.Mesh(
        cube.vertices / 3,
        cube.faces,
        vertex_colors=levels(8, 3),
        materials=materials,
        face_materials=torch.tensor([0, 1, 2, 3, 4, 0, 0, 2, 1, 3, 4, 4]),
        uv=4 * levels(7, 2) - 1,
        uv_faces=torch.randint(7, (12, 3), generator=generator),
    )


def faces_of(mesh: ts.Mesh) -> list[tuple]:
    """Return all that a file says of each face, in an order that depends on positions alone."""
    rows = []
    uv_faces = mesh.faces if mesh.uv_faces is None else mesh.uv_faces
    for face in range(mesh.num_faces):
        material = mesh.materials[0 if mesh.face_materials is None else mesh.face_materials[face]]
        corners = mesh.faces[face]
        colors = torch.ones(3, 3) if mesh.vertex_colors is None else mesh.vertex_colors[corners]
        uv = mesh.uv[uv_faces[face]].double() if material.has_texels else torch.zeros(3, 2)
        start = min(range(3), key=lambda i: mesh.vertices[corners[i]].tolist())
        turned = [torch.roll(x.double(), -start, 0) for x in (mesh.vertices[corners], colors, uv)]
        rows.append((turned[0].tolist(), turned, material))
    return sorted(rows, key=lambda row: row[0])


def texels(material: ts.Material) -> torch.Tensor | None:
    """Return colours and opacity of an image, white or opaque where it has none."""
    if not material.has_texels:
        return None
    size = (material.image if material.image is not None else material.image_opacity).shape[:2]
    colors = torch.ones(*size, 3) if material.image is None else material.image
    opacity = torch.ones(size) if material.image_opacity is None else material.image_opacity
    return torch.cat([colors.double(), opacity.double()[..., None]], -1)


def assert_alike(found: ts.Mesh, expected: ts.Mesh, step: float = STEP) -> None:
    """Compare meshes face by face."""
    close = torch.testing.assert_close
    assert found.num_faces == expected.num_faces
    for (_, one, material), (_, other, wanted) in zip(
        faces_of(found), faces_of(expected), strict=True
    ):
        close(one[0], other[0], rtol=0, atol=1e-7)
        close(one[1], other[1], rtol=0, atol=step)
        close(one[2], other[2], rtol=0, atol=1e-6)
        close(material.color.double(), wanted.color.double(), rtol=0, atol=1e-6)
        opacities = [1.0 if m.opacity is None else m.opacity.item() for m in (material, wanted)]
        assert opacities[0] == pytest.approx(opacities[1], abs=1e-6)
        assert (texels(material) is None) == (texels(wanted) is None)
        if material.has_texels:
            close(texels(material), texels(wanted), rtol=0, atol=step)
            assert (material.wrap_u, material.wrap_v) == (wanted.wrap_u, wanted.wrap_v)


@pytest.mark.parametrize("suffix", FORMATS)
def test_materials_come_back(suffix, tmp_path, dtype):
    mesh = painted(dtype)
    path = tmp_path / f"my mesh{suffix}"
    ts.save_mesh(mesh, path)
    back = ts.load_mesh(path, dtype=dtype)
    assert_alike(back, mesh)
    if suffix == ".obj":
        assert back.faces.equal(mesh.faces)
        assert back.vertices.equal(mesh.vertices)
        assert back.uv.equal(mesh.uv)
    names = sorted({"first", "a plain one", "first_2", "material_3", "material_4"})
    assert sorted(material.name for material in back.materials) == names
    ts.save_mesh(back, path)  # once more, which changes nothing
    assert_alike(ts.load_mesh(path, dtype=dtype), back, 1e-6)
    pictures = sorted(file.name for file in tmp_path.glob("*.png"))
    start = {".obj": "my mesh_", ".gltf": "my mesh_gltf_"}.get(suffix)
    assert pictures == ([] if start is None else [f"{start}0.png", f"{start}1.png"])


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_was_saved_looks_the_same(suffix, tmp_path):
    mesh = painted()
    camera = ts.Camera.look_at((1.0, 0.7, -1.2), (0, 0, 0), image_size=(32, 32))
    render = ts.SoftRasterizer.hard()
    ts.save_mesh(mesh, tmp_path / f"a{suffix}")
    once = ts.load_mesh(tmp_path / f"a{suffix}")
    ts.save_mesh(once, tmp_path / f"b{suffix}")
    twice = ts.load_mesh(tmp_path / f"b{suffix}")
    first, second, third = (render(one, camera).rgba() for one in (mesh, once, twice))
    assert first[..., :3].std() > 0.1
    # vertex colours and texels are multiplied: half a step each
    torch.testing.assert_close(second, first, rtol=0, atol=1 / 255)
    torch.testing.assert_close(third, second, rtol=0, atol=1e-5)


@pytest.mark.parametrize("suffix", FORMATS)
def test_other_programs_read_what_was_saved(suffix, tmp_path):
    import trimesh

    ts.save_mesh(painted(), tmp_path / f"a{suffix}")
    scene = trimesh.load(tmp_path / f"a{suffix}", force="scene", process=False)
    assert sum(len(geometry.faces) for geometry in scene.geometry.values()) == 12
    size = painted().vertices.max().item()
    np.testing.assert_allclose(scene.bounds, [[-size] * 3, [size] * 3], atol=1e-6)
    sizes = set()
    for geometry in scene.geometry.values():
        material = geometry.visual.material
        image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        sizes.add(None if image is None else image.size)
    # trimesh knows no options of map_Kd, such as the -clamp of the other image
    assert sizes >= ({(2, 3)} if suffix == ".obj" else {(2, 3), (5, 2)})


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_textured_mesh_of_one_material(suffix, tmp_path):
    quad = ts.shapes.quad()
    uv = torch.tensor([[0.0, 0], [2, 0], [2, 1], [0, 1]])
    image = torch.arange(2 * 3 * 3).reshape(2, 3, 3) / 255
    mesh = ts.Mesh(quad.vertices, quad.faces, materials=(ts.Material(None, image),), uv=uv)
    ts.save_mesh(mesh, tmp_path / f"a{suffix}")
    back = ts.load_mesh(tmp_path / f"a{suffix}")
    assert back.vertices.equal(mesh.vertices)
    assert back.faces.equal(mesh.faces)
    torch.testing.assert_close(back.uv, uv)
    torch.testing.assert_close(back.materials[0].image, image, rtol=0, atol=1e-6)
    assert back.materials[0].image_opacity is None
    _, texture = ts.load_textured_mesh(tmp_path / f"a{suffix}")
    torch.testing.assert_close(texture.image, image, rtol=0, atol=1e-6)


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_image_of_opacity_alone(suffix, tmp_path):
    quad = ts.shapes.quad()
    opacity = torch.tensor([[0.0, 0.2], [0.4, 1.0]])
    material = ts.Material(image_opacity=opacity)
    ts.save_mesh(
        ts.Mesh(quad.vertices, quad.faces, materials=(material,), uv=quad.vertices[:, :2]),
        tmp_path / f"a{suffix}",
    )
    (back,) = ts.load_mesh(tmp_path / f"a{suffix}").materials
    torch.testing.assert_close(back.image_opacity, opacity, rtol=0, atol=1e-6)


def test_mirrored_images(tmp_path):
    quad = ts.shapes.quad()
    mirror = ts.Material(None, torch.rand(2, 2, 3), wrap_u=ts.Wrap.MIRROR, name="glossy")
    mesh = ts.Mesh(quad.vertices, quad.faces, materials=(mirror,), uv=quad.vertices[:, :2])
    ts.save_mesh(mesh, tmp_path / "a.glb")
    (back,) = ts.load_mesh(tmp_path / "a.glb").materials
    assert (back.wrap_u, back.wrap_v) == (ts.Wrap.MIRROR, ts.Wrap.REPEAT)
    with pytest.warns(
        UserWarning, match=r"one wrap, REPEAT or CLAMP.* 'glossy' is saved as REPEAT"
    ):
        ts.save_mesh(mesh, tmp_path / "a.obj")


@pytest.mark.parametrize("suffix", [*FORMATS, ".ply"])
def test_colours_a_little_outside_are_clamped_with_a_warning(suffix, tmp_path):
    cube = ts.shapes.cube()
    colors = torch.full((8, 3), 0.5)
    colors[0], colors[1] = 1.125, -0.0625
    with pytest.warns(
        UserWarning, match=r"vertex_colors is saved in \[0, 1\]: it .* by up to 0\.125"
    ):
        ts.save_mesh(cube.with_vertex_colors(colors), tmp_path / f"a{suffix}")
    back = ts.load_mesh(tmp_path / f"a{suffix}").vertex_colors
    torch.testing.assert_close(back, colors.clamp(0, 1), rtol=0, atol=STEP)


@pytest.mark.parametrize("suffix", FORMATS)
def test_images_and_factors_outside_are_clamped_too(suffix, tmp_path):
    quad = ts.shapes.quad()
    material = ts.Material(torch.tensor([1.25, 1, 1]), torch.full((1, 1, 3), -0.25))
    mesh = ts.Mesh(quad.vertices, quad.faces, materials=(material,), uv=quad.vertices[:, :2])
    with pytest.warns(UserWarning, match=r"materials\[0\] is saved in") as told:
        ts.save_mesh(mesh, tmp_path / f"a{suffix}")
    said = " ".join(str(one.message) for one in told)
    assert "image of materials[0]" in said
    assert "color of materials[0]" in said
    assert all(one.filename == __file__ for one in told)
    far = ts.Mesh(quad.vertices, quad.faces, materials=(ts.Material(torch.tensor([3.0, 1, 1])),))
    with pytest.raises(ValueError, match=r"color of materials\[0\] must be in \[0, 1\].*1 to 3"):
        ts.save_mesh(far, tmp_path / f"a{suffix}")


@pytest.mark.parametrize(
    ("suffix", "lost"),
    [
        (".ply", "uv, materials"),
        (".stl", "vertex_colors, uv, materials"),
        (".off", "vertex_colors, uv, materials"),
    ],
)
def test_materials_that_a_format_does_not_hold_are_named(suffix, lost, tmp_path):
    with pytest.warns(
        UserWarning, match=rf"\{suffix} files do not hold {lost}: left out of .*a\{suffix}"
    ):
        ts.save_mesh(painted(), tmp_path / f"a{suffix}")


def test_data_of_vertices_that_a_format_does_not_hold_are_named(tmp_path):
    cube = ts.shapes.cube()
    mesh = ts.Mesh(cube.vertices, cube.faces, vertex_data={"label": torch.arange(8)})
    with pytest.warns(UserWarning, match=r"\.glb files do not hold vertex_data"):
        ts.save_mesh(mesh, tmp_path / "a.glb")


def test_grey_becomes_rgb_and_other_channels_are_refused(tmp_path):
    quad = ts.shapes.quad()
    grey = ts.Material(torch.tensor([0.5]), torch.rand(2, 2, 1))
    mesh = ts.Mesh(quad.vertices, quad.faces, materials=(grey,), uv=quad.vertices[:, :2])
    ts.save_mesh(mesh, tmp_path / "a.glb")
    (back,) = ts.load_mesh(tmp_path / "a.glb").materials
    assert back.color.tolist() == [0.5] * 3
    torch.testing.assert_close(back.image, grey.image.expand(-1, -1, 3), rtol=0, atol=STEP)
    two = ts.Mesh(quad.vertices, quad.faces, materials=(ts.Material(torch.ones(2)),))
    with pytest.raises(ValueError, match=r"materials\[0\] must be grey or RGB.* got 2 channels"):
        ts.save_mesh(two, tmp_path / "a.glb")


def test_a_write_that_fails_leaves_the_old_files(tmp_path, monkeypatch):
    path = tmp_path / "a.obj"
    ts.save_mesh(painted(), path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    def refuse(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    with pytest.raises(OSError, match="No space left"):
        ts.save_mesh(ts.shapes.cube(), path)
    monkeypatch.undo()
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_obj_and_gltf_of_one_name_stay_apart(tmp_path):
    quad = ts.shapes.quad()
    for suffix, level in ((".obj", 0.2), (".gltf", 0.8)):
        material = ts.Material(None, torch.full((2, 2, 3), level))
        mesh = ts.Mesh(quad.vertices, quad.faces, materials=(material,), uv=quad.vertices[:, :2])
        ts.save_mesh(mesh, tmp_path / f"x{suffix}")
    for suffix, level in ((".obj", 0.2), (".gltf", 0.8)):
        image = ts.load_mesh(tmp_path / f"x{suffix}").materials[0].image
        assert image.flatten()[0].item() == pytest.approx(level, abs=1e-6)


def test_names_that_end_in_a_backslash(tmp_path):
    mesh = ts.Mesh(
        ts.shapes.cube().vertices,
        ts.shapes.cube().faces,
        materials=tuple(ts.Material(torch.ones(3), name=name) for name in ("a\\", "a \\ \\", "\\")),
        face_materials=torch.arange(12) % 3,
    )
    ts.save_mesh(mesh, tmp_path / "a.obj")
    back = ts.load_mesh(tmp_path / "a.obj")
    assert back.num_faces == 12
    assert [one.name for one in back.materials] == ["a", "a_2", "material_2"]


@pytest.mark.parametrize("data", [
    {"a b": torch.zeros(8)}, {"": torch.zeros(8)}, {"x": torch.zeros(8)}, {"é": torch.zeros(8)},
    {"red": torch.zeros(8)}, {name: torch.zeros(8) for name in ("nx", "ny", "nz")},
    {name: torch.zeros(8) for name in ("diffuse_red", "diffuse_green", "diffuse_blue")},
    {"half": torch.zeros(8).half()}, {"half": torch.zeros(8).bfloat16()}, {"c": torch.zeros(8) + 0j},
])  # fmt: skip
def test_data_of_vertices_that_ply_would_not_give_back(data, tmp_path):
    cube = ts.shapes.cube()
    colors = torch.ones(8, 3) if "red" in data else None
    mesh = ts.Mesh(cube.vertices, cube.faces, vertex_colors=colors, vertex_data=data)
    with pytest.raises(ValueError, match=rf"vertex_data.* got|vertex_data.*{next(iter(data))}"):
        ts.save_mesh(mesh, tmp_path / "a.ply")
    assert not (tmp_path / "a.ply").exists()


def test_data_with_single_names_of_colours_and_normals_come_back(tmp_path):
    cube = ts.shapes.cube()
    data = {name: torch.arange(8.0) for name in ("nx", "r", "alpha", "red")}
    ts.save_mesh(ts.Mesh(cube.vertices, cube.faces, vertex_data=data), tmp_path / "a.ply")
    back = ts.load_mesh(tmp_path / "a.ply")
    assert back.vertex_colors is None
    assert all(back.vertex_data[name].equal(x) for name, x in data.items())


def test_an_opaque_image_is_saved_as_rgb(tmp_path):
    quad = ts.shapes.quad()
    material = ts.Material(None, torch.rand(2, 2, 3), None, torch.ones(2, 2))
    mesh = ts.Mesh(quad.vertices, quad.faces, materials=(material,), uv=quad.vertices[:, :2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ts.save_mesh(mesh, tmp_path / "a.obj")
    with Image.open(tmp_path / "a_0.png") as image:
        assert image.mode == "RGB"
    assert "map_d" not in (tmp_path / "a.mtl").read_text()
