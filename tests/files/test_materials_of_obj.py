"""Materials of OBJ files: images and plain colours, UV, what is missing, and what comes back when saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import taichisoft as ts

# Two quads side by side, of two triangles each, and one triangle more.
POSITIONS = "".join(f"v {x} {y} 1\n" for y in (0, 4) for x in (0, 4, 8))
UV = "vt 0 0\nvt 2.5 0\nvt 2.5 1\nvt 0 1\n"
RED = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
ALPHA = np.random.default_rng(1).integers(0, 255, (4, 2, 4), np.uint8)


def write(folder, faces: str, mtl: str | None, head: str = POSITIONS + UV):
    """Write an OBJ file with two images beside it, and return its path."""
    Image.fromarray(RED).save(folder / "red.png")
    Image.fromarray(ALPHA).save(folder / "alpha.png")
    if mtl is not None:
        (folder / "a.mtl").write_text(mtl)
    (folder / "a.obj").write_text("mtllib a.mtl\n" + head + faces)
    return folder / "a.obj"


def levels(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).double() / 255


def names(mesh: ts.Mesh) -> list[str]:
    """Return the name of the material of each face."""
    chosen = [0] * mesh.num_faces if mesh.face_materials is None else mesh.face_materials.tolist()
    return [mesh.materials[index].name for index in chosen]


MIXED = """newmtl image
Kd 0.5 1 0.25 # a factor
map_Kd red.png
newmtl plain
Kd 0.1 0.2 0.3
d 0.5
newmtl unused
map_Kd none.png
newmtl glass
Tr 0.25
map_Kd -clamp on alpha.png
"""


def test_images_and_plain_colours_are_mixed(tmp_path):
    faces = "usemtl image\nf 1/1 2/2 5/3 4/4\nusemtl plain\nf 2 3 6\nusemtl glass\nf 2/1 6/2 5/3\n"
    mesh = ts.load_mesh(write(tmp_path, faces, MIXED), dtype=torch.float64)
    assert mesh.num_vertices == 6
    assert names(mesh) == ["image", "image", "plain", "glass"]
    image, plain, glass = mesh.materials
    assert image.image.equal(levels(RED))
    assert image.color.tolist() == [0.5, 1, 0.25]
    assert image.opacity is image.image_opacity is None
    assert (image.wrap_u, image.wrap_v) == (ts.Wrap.REPEAT, ts.Wrap.REPEAT)
    assert plain.image is None
    assert plain.color.tolist() == [0.1, 0.2, 0.3]
    assert plain.opacity.item() == 0.5
    assert glass.image.equal(levels(ALPHA[..., :3]))
    assert glass.image_opacity.equal(levels(ALPHA[..., 3]))
    assert glass.opacity.item() == 0.75
    assert (glass.wrap_u, glass.wrap_v) == (ts.Wrap.CLAMP, ts.Wrap.CLAMP)
    assert mesh.uv[mesh.uv_faces[1]].tolist() == [[2.5, 1], [0, 1], [0, 0]]
    assert mesh.uv[mesh.uv_faces[3]].tolist() == [[0, 0], [2.5, 0], [2.5, 1]]


def test_faces_without_a_material_beside_others_are_white(tmp_path):
    mesh = ts.load_mesh(write(tmp_path, "f 1 2 4\nusemtl plain\nf 2 3 6\n", MIXED))
    assert names(mesh) == ["", "plain"]
    assert mesh.materials[mesh.face_materials[0]].color.tolist() == [1, 1, 1]
    assert mesh.uv is None


def test_the_only_material_is_that_of_all_faces_if_none_names_it(tmp_path):
    mesh = ts.load_mesh(
        write(tmp_path, "f 1/1 2/2 4/4\n", "newmtl a\nKd 0.5 0 0\nmap_Kd red.png\n")
    )
    assert names(mesh) == ["a"]
    assert mesh.materials[0].image is not None
    with pytest.warns(UserWarning, match=r"a\.obj: no face says which of the materials image, pl"):
        mesh = ts.load_mesh(write(tmp_path, "f 1/1 2/2 4/4\n", MIXED))
    assert mesh.materials is None


def test_each_image_has_its_own_scale_and_offset(tmp_path):
    mtl = "newmtl a\nmap_Kd -s 2 3 -o 0.5 0.25 red.png\nnewmtl b\nmap_Kd red.png\n"
    faces = "usemtl a\nf 1/1 2/2 4/4\nusemtl b\nf 2/1 3/2 5/4\n"
    mesh = ts.load_mesh(write(tmp_path, faces, mtl), dtype=torch.float64)
    corners = mesh.uv[mesh.uv_faces]
    assert corners[0].tolist() == [[0.5, 0.25], [5.5, 0.25], [0.5, 3.25]]
    assert corners[1].tolist() == [[0, 0], [2.5, 0], [0, 1]]


def test_opacity_of_map_d(tmp_path):
    grey = np.array([[0, 128, 255], [10, 20, 30]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    mtl = "newmtl a\nmap_Kd red.png\nmap_d grey.png\n"
    mesh = ts.load_mesh(write(tmp_path, "usemtl a\nf 1/1 2/2 4/4\n", mtl), dtype=torch.float64)
    torch.testing.assert_close(mesh.materials[0].image_opacity, levels(grey))


def test_opacity_of_another_size_than_the_colours(tmp_path):
    even = np.full((4, 6), 51, np.uint8)
    even[:, 4:] = 255
    Image.fromarray(even).save(tmp_path / "even.png")
    mtl = "newmtl a\nmap_Kd red.png\nmap_d even.png\n"
    mesh = ts.load_mesh(write(tmp_path, "usemtl a\nf 1/1 2/2 4/4\n", mtl), dtype=torch.float64)
    opacity = mesh.materials[0].image_opacity
    assert opacity.shape == (2, 3)
    assert opacity[:, 0].tolist() == pytest.approx([0.2, 0.2], abs=1e-6)
    assert (opacity[:, 2] > 0.8).all()


@pytest.mark.parametrize("alpha", [128, 255])
def test_opacity_of_the_image_of_the_colours_is_its_fourth_channel(alpha, tmp_path):
    texels = np.concatenate([RED, np.full((2, 3, 1), alpha, np.uint8)], -1)
    Image.fromarray(texels).save(tmp_path / "both.png")
    mtl = "newmtl a\nmap_Kd both.png\nmap_d both.png\n"
    (material,) = ts.load_mesh(write(tmp_path, "usemtl a\nf 1/1 2/2 4/4\n", mtl)).materials
    if alpha == 255:
        assert material.image_opacity is None
    else:
        assert material.image_opacity.eq(material.image_opacity.new_tensor(alpha / 255)).all()


@pytest.mark.parametrize(
    ("mtl", "told", "expected"),
    [
        ("Kd spectral x.rfl", "a.mtl, line 2: Kd spectral is not read", {"color": [1, 1, 1]}),
        ("Kd xyz 0.1 0.2 0.3", "line 2: Kd xyz is not read", {"color": [1, 1, 1]}),
        ("Kd 1 0 0.5 1", "Kd has 4 numbers, the first three are read", {"color": [1, 0, 0.5]}),
        ("d 1.5", "line 2: d is 1.5, 1 is taken", {"opacity": None}),
        ("Tr -0.5", "line 2: Tr is -0.5, 0 is taken", {"opacity": None}),
        ("d -halo 0.5", "line 2: d?.*-halo is not read", {"opacity": 0.5}),
        ("map_Kd -s 2 red.png\nmap_d grey.png", "others of map_d are not read", {}),
        ("map_Kd -mm 0.1 0.5 red.png", "map_Kd: -mm 0.1 0.5 is not read", {}),
        ("map_d -imfchan r grey.png", "map_d: -imfchan r is not read", {}),
        ("map_Kd -blendu off red.png", "map_Kd: -blendu off is not read", {}),
    ],
)
def test_what_is_valid_and_not_read_is_told(mtl, told, expected, tmp_path):
    Image.fromarray(RED[..., 0]).save(tmp_path / "grey.png")
    path = write(tmp_path, "usemtl a\nf 1/1 2/2 4/4\n", f"newmtl a\n{mtl}\n")
    with pytest.warns(UserWarning, match=rf"a\.obj: .*{told}"):
        (material,) = ts.load_mesh(path).materials
    for name, value in expected.items():
        found = getattr(material, name)
        assert (found if found is None else found.tolist()) == value
    assert material.has_texels == ("map" in mtl)


def test_tabs_and_options_that_change_nothing(tmp_path):
    mtl = "newmtl a\nmap_Kd\t-s\t2\t3\t-mm\t0.0 1\t-blendu on\t-t 0 0\tred.png\n"
    mesh = ts.load_mesh(write(tmp_path, "usemtl a\nf 1/1 2/2 4/4\n", mtl))
    assert mesh.materials[0].image is not None
    assert mesh.uv[mesh.uv_faces[0]].tolist() == [[0, 0], [5, 0], [0, 3]]


@pytest.mark.parametrize(
    ("rows", "told", "colored"),
    [
        (["0 0 0 1 0 0", "1 0 0"], "2 of 4 vertices have no colour", False),
        (["0 0 0 1 0 0 0.5", "1 0 0 1 0 0 1"], "what follows the colours .* is left out", True),
    ],
)
def test_colours_of_vertices_that_are_left_out_are_told(rows, told, colored, tmp_path):
    lines = [f"v {rows[i % 2]}" for i in range(4)]
    (tmp_path / "a.obj").write_text("\n".join([*lines, "f 1 2 3"]))
    with pytest.warns(UserWarning, match=rf"a\.obj: {told}"):
        mesh = ts.load_mesh(tmp_path / "a.obj")
    assert (mesh.vertex_colors is not None) == colored


def test_vertex_colors_of_8_bits_are_recognised_and_kept_beside_materials(tmp_path):
    head = POSITIONS.replace(" 1\n", " 1 255 51 0\n") + UV
    mesh = ts.load_mesh(write(tmp_path, "usemtl plain\nf 1 2 4\n", MIXED, head))
    assert mesh.vertex_colors[0].tolist() == pytest.approx([1, 0.2, 0])
    assert mesh.materials[0].color.tolist() == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("colors", "expected"),
    [
        (["1 0 0"], [1, 0, 0]),
        (["1 0.5 0.25"], [1, 0.5, 0.25]),
        (["1.5 0.5 0.25"], [1.5, 0.5, 0.25]),
        (["2 0 1"], [2 / 255, 0, 1 / 255]),
        (["254.5 51 0"], [254.5 / 255, 0.2, 0]),
        (["0 0 0", "1 1 255"], [0, 0, 0]),
    ],
)
def test_the_rule_for_vertex_colors(colors, expected, tmp_path):
    rows = [colors[i % len(colors)] for i in range(4)]
    lines = [f"v {i} {i * i} 0 {row}" for i, row in enumerate(rows)]
    (tmp_path / "a.obj").write_text("\n".join([*lines, "f 1 2 3"]))
    mesh = ts.load_mesh(tmp_path / "a.obj", dtype=torch.float64)
    assert mesh.vertex_colors[0].tolist() == pytest.approx(expected, abs=1e-12)


def test_vertex_colors_that_cannot_be(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0 300 0 0\n" * 3 + "f 1 2 3\n")
    with pytest.raises(ValueError, match=r"a\.obj: colours must be in .* got 0 to 300"):
        ts.load_mesh(tmp_path / "a.obj")


def test_what_is_missing_is_told(tmp_path):
    path = write(tmp_path, "usemtl a\nf 1/1 2/2 4/4\n", "newmtl a\nKd 1 0 0\nmap_Kd none.png\n")
    with pytest.warns(UserWarning, match=r"a\.obj: texture must be an existing file, got .*none"):
        mesh = ts.load_mesh(path)
    assert mesh.materials[0].color.tolist() == [1, 0, 0]
    assert mesh.materials[0].image is None
    bare = ts.load_mesh(path, materials=False)
    assert bare.materials is bare.uv is None
    path = write(tmp_path, "usemtl b\nf 1/1 2/2 4/4\n", "newmtl a\n")
    with pytest.warns(UserWarning, match=r"a\.obj: no MTL file has the materials b"):
        assert names(ts.load_mesh(path)) == ["b"]


def test_faces_with_an_image_but_without_coordinates(tmp_path):
    faces = "usemtl image\nf 1/1 2/2 5/3\nf 2 3 6\n"
    with pytest.warns(UserWarning, match="faces of material 'image' have no UV coordinates"):
        mesh = ts.load_mesh(write(tmp_path, faces, MIXED))
    first, second = (mesh.materials[index] for index in mesh.face_materials)
    assert first.image is not None
    assert second.image is None
    assert second.color.equal(first.color)
    with pytest.warns(UserWarning, match="faces of material 'image' have no UV coordinates"):
        mesh = ts.load_mesh(write(tmp_path, "usemtl image\nf 2 3 6\n", MIXED, POSITIONS))
    assert mesh.materials[0].image is mesh.uv is None


@pytest.mark.parametrize(
    ("faces", "mtl", "message"),
    [
        ("f 1/1 2/2 3/9\n", "", "line 12: a face needs vt 9, and there are 4"),
        ("f 1/1 2/2 3/-9\n", "", "line 12: indices of vt count from 1, or from -1 back to -4, got -9"),
        ("f 1//1 2//1 3//1\n", "", "line 12: a face needs vn 1, and there are 0"),
        ("usemtl a\nf 1 2 3\n", "newmtl a\nKd 1 x 1\n", "a.mtl, line 2: Kd must be numbers, got 1 x 1"),
        ("usemtl a\nf 1 2 3\n", "newmtl a\nKd 1 1\n", "a.mtl, line 2: Kd must be one number or three"),
        ("usemtl a\nf 1 2 3\n", "newmtl a\nd 1 2\n", "a.mtl, line 2: d must be one number, got 1 2"),
        ("usemtl a\nf 1 2 3\n", "newmtl a\nd x\n", "a.mtl, line 2: d must be numbers, got x"),
        (
            "usemtl a\nf 1 2 3\n", "newmtl a\nmap_Kd -s wall.png\n",
            "a.mtl, line 2: -s of map_Kd must be followed by numbers",
        ),
    ],
)  # fmt: skip
def test_what_is_damaged(faces, mtl, message, tmp_path):
    with pytest.raises(ValueError, match=rf"path must be a readable .*a\.obj: {message}"):
        ts.load_mesh(write(tmp_path, faces, mtl))


def test_several_materials_are_no_single_texture(tmp_path):
    faces = "usemtl image\nf 1/1 2/2 5/3 4/4\nusemtl plain\nf 2 3 6\n"
    with pytest.raises(ValueError, match=r"one material, got 2; ts\.load_mesh reads it .*a\.obj"):
        ts.load_textured_mesh(write(tmp_path, faces, MIXED))
    path = write(tmp_path, "usemtl image\nf 1/1 2/2 5/3 4/4\n", MIXED)
    _, texture = ts.load_textured_mesh(path, dtype=torch.float64)
    factor = torch.tensor([0.5, 1, 0.25], dtype=torch.float64)
    torch.testing.assert_close(texture.image, levels(RED) * factor)
