"""Unusual but valid mesh files, and damaged ones: each error names the file and what is wrong in it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from PIL import Image

import taichisoft as ts

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
TRIANGLE = [[0, 1, 2]]


def load(path, content: str | bytes) -> ts.Mesh:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return ts.load_mesh(path)


VALID_OBJ = {
    "tabs": SQUARE.replace(" ", "\t") + "f\t1\t2\t3\n",
    "leading blanks": "  " + SQUARE.replace("\n", "\n \t") + "  f 1 2 3\n",
    "comments": "# head\n" + SQUARE.replace("\n", " # here\n") + "f 1 2 3# f 9 9 9\n",
    "continued": SQUARE + "f 1 \\\n2 \\\n 3\n",
    "CRLF": (SQUARE + "f 1 2 3\n").replace("\n", "\r\n"),
    "continued CRLF": (SQUARE + "f 1 \\\n2 3\n").replace("\n", "\r\n"),
    "Latin-1": b"# Universit\xe4t\no Stra\xdfe\n" + SQUARE.encode() + b"f 1 2 3\n",
    "negative": SQUARE + "f -4 -3 -2\n",
    "negative in between": "v 0 0 0\nv 1 0 0\nv 1 1 0\nf -3 -2 -1\nv 0 1 0\n",
    "before its vertices": "f 1 2 3\n" + SQUARE,
    "normals": SQUARE + "vn 0 0 1\nvn 0 1 0\nf 1//1 2//2 3//1\n",
    "no line break at the end": SQUARE + "f 1 2 3",
    "weights": SQUARE.replace(" 0\n", " 0 1.0\n") + "f 1 2 3\n",
    "byte order mark": b"\xef\xbb\xbf" + SQUARE.encode() + b"f 1 2 3\n",
}


@pytest.mark.parametrize("name", VALID_OBJ)
def test_valid_obj(name, tmp_path):
    mesh = load(tmp_path / "mesh.obj", VALID_OBJ[name])
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == TRIANGLE


PLY = (
    "ply\nformat {}\ncomment Stra\xdfe\nelement vertex 3\nproperty float x\nproperty float y\n"
    "property float z\nelement face {}\nproperty list uchar int vertex_indices\nend_header\n"
)
ASCII = PLY.format("ascii 1.0", 2) + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n3 2 1 0\n"
POINTS = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
FACES = struct.pack("<B3iB3i", 3, 0, 1, 2, 3, 2, 1, 0)
BINARY = PLY.format("binary_little_endian 1.0", 2).encode("latin-1") + POINTS + FACES
STL = bytes(80) + struct.pack("<I12fH", 1, *[0.0] * 6, 1, 0, 0, 0, 1, 0, 0)
TEXT_STL = (
    "solid vertex of \xfcber\n  facet normal 0 0 1\n    outer loop\n      vertex 0 0 0\n      vertex 1 0 0\n"
    "      vertex 0 1e0 0\n    endloop\n  endfacet\nendsolid\n"
)
OFF = "OFF # a comment\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


def test_whole_files_are_read(tmp_path):
    for name, content, faces in (
        ("a.ply", ASCII.encode("latin-1"), [[0, 1, 2], [2, 1, 0]]),
        ("b.ply", BINARY, [[0, 1, 2], [2, 1, 0]]),
        ("c.stl", STL, TRIANGLE),
        ("d.stl", TEXT_STL.encode("latin-1"), TRIANGLE),
        ("e.off", OFF, TRIANGLE),
        ("f.off", OFF.replace("OFF # a comment\n", "OFF ").replace("\n", "\r\n"), TRIANGLE),
    ):
        mesh = load(tmp_path / name, content)
        corners = mesh.vertices[mesh.faces[0]].tolist()
        assert corners == [[0, 0, 0], [1, 0, 0], [0, 1, 0]], name
        assert len(mesh.faces) == len(faces)


DAMAGED = {
    "index 0": ("a.obj", SQUARE + "f 0 1 2\n", "line 5: indices of v count from 1, .* got 0"),
    "index too large": ("a.obj", SQUARE + "f 1 2 5\n", "line 5: a face needs vertex 5, and there are 4"),
    "negative index": ("a.obj", SQUARE + "f -5 1 2\n", "line 5: indices .* back to -4, got -5"),
    "no index": ("a.obj", SQUARE + "f 1 x 2\n", "line 5: a whole number was expected, got 'x'"),
    "two corners": ("a.obj", SQUARE + "f 1 2\n", "line 5: a face must have 3 corners or more, got 2"),
    "two numbers": ("a.obj", SQUARE + "v 1 2\nf 1 2 3\n", "line 5: vertices must be 3 numbers"),
    "obj 1e300": ("a.obj", SQUARE + "v 1e300 0 0\nf 1 2 5\n", "line 5: vertices must be finite.*1e300"),
    "obj inf": ("a.obj", SQUARE + "v 0 -inf 0\nf 1 2 5\n", "line 5: vertices must be finite.*-inf"),
    "continued at the end": ("a.obj", SQUARE + "f 1 2 \\", "line 5 is continued, and the file ends"),
    "truncated ascii": ("a.ply", ASCII[:-8], "the header states 5 rows, and there are 4"),
    "one row more": ("a.ply", ASCII + "3 0 1 2\n", "the header states 5 rows, and there are 6"),
    "fewer stated": ("a.ply", ASCII.replace("face 2", "face 1"), "states 4 rows, and there are 5"),
    "cut row": ("a.ply", ASCII[:-3], "row 1 of element face must have 4 numbers, got 3"),
    "ply index": ("a.ply", ASCII.replace("2 1 0", "3 1 0"), "row 1 of element face needs a vertex"),
    "ply nan": ("a.ply", ASCII.replace("1 0 0", "1 nan 0"), "row 1 of .* vertex: .* finite.*got nan"),
    "ply word": ("a.ply", ASCII.replace("1 0 0", "1 x 0"), "row 1 of .* a number was expected, got 'x'"),
    "ply 1e300": ("a.ply", ASCII.replace("1 0 0", "1 1e300 0"), "row 1 of .* finite.*got 1e.300"),
    "no end_header": ("a.ply", ASCII[:90], "the header has no end_header"),
    "truncated binary": ("a.ply", BINARY[:-1], "2 rows of element face take 26 bytes, and there are 25"),
    "no faces left": ("a.ply", BINARY[:-26], "data end before the first row of element face"),
    "more stated": ("a.ply", BINARY.replace(b"face 2", b"face 9"), "9 rows of element face take 117"),
    "bytes more": ("a.ply", BINARY + b"ab", "2 bytes more than the header states"),
    "inf in binary": (
        "a.ply",
        BINARY.replace(POINTS, POINTS[:16] + struct.pack("<f", np.inf) + POINTS[20:]),
        "vertices must be finite in float32, got .*inf.* of vertex 1",
    ),
    "truncated stl": ("a.stl", STL[:-7], "1 faces are stated, which take 134 bytes, got 127"),
    "short stl": ("a.stl", STL[:60], "a binary file has 84 bytes or more, got 60"),
    "nan in stl": ("a.stl", STL[:96] + b"\xff\xff\xff\xff" + STL[100:], "vertices must be finite.*nan"),
    "cut text stl": ("a.stl", TEXT_STL[:-9], "the file ends before endsolid"),
    "two vertices": ("a.stl", TEXT_STL.replace("      vertex 1 0 0\n", ""), "line 6: .* 3 corners"),
    "no loop": ("a.stl", TEXT_STL.replace("outer loop", ""), "line 4 cannot be read: 'vertex 0 0 0'"),
    "1e300 in stl": ("a.stl", TEXT_STL.replace("1e0", "1e300"), "line 6: .* finite .*1e.300"),
    "cut off": ("a.off", OFF[:-8], "3 vertices and 1 faces are stated, and 3 lines follow"),
    "line more": ("a.off", OFF + "3 0 1 2\n", "1 faces are stated, and 5 lines follow"),
    "cut face": ("a.off", OFF[:-3], "face 0 must have 3 corners or more, and 3 are stated"),
    "off index": ("a.off", OFF.replace("1 2\n", "1 3\n"), "face 0 needs vertex 3"),
    "negative off": ("a.off", OFF.replace("1 2\n", "1 -1\n"), "face 0 needs vertex -1"),
    "off inf": ("a.off", OFF.replace("0 1 0", "0 inf 0"), "vertex 2: .*finite.*got inf"),
    "counts": ("a.off", OFF.replace("3 1 0", "3"), "the numbers of vertices and faces are missing"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_files(name, content, message, tmp_path):
    with pytest.raises(ValueError, match=rf"path must be a readable .*{name}: (?s:.*){message}"):
        load(tmp_path / name, content)


def test_damaged_glb(tmp_path):
    path = tmp_path / "mesh.glb"
    ts.save_mesh(ts.shapes.cube(), path)
    whole = path.read_bytes()
    with pytest.raises(ValueError, match=rf"mesh\.glb: {len(whole)} bytes are stated, got"):
        load(path, whole[:-4])
    with pytest.raises(ValueError, match=r"mesh\.glb: vertices must be finite"):
        load(path, whole[:-12] + b"\xff" * 12)


def test_large_numbers_are_refused_in_float64_and_normalised_too(tmp_path):
    path = tmp_path / "mesh.obj"
    path.write_text(SQUARE + "v 1e300 0 0\nf 1 2 5\n")
    for options in ({"dtype": torch.float64}, {"normalize": True}):
        with pytest.raises(ValueError, match=r"mesh\.obj.*line 5"):
            ts.load_mesh(path, **options)


TEXTURED = "mtllib {}\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt .25 .5\nvt 1 0\nvt 0 1\nusemtl m\u00e4\nf 1/1 2/2 3/3\n"
RED = np.dstack([np.full((2, 3), 200), np.zeros((2, 3)), np.zeros((2, 3))]).astype(np.uint8)


@pytest.mark.parametrize(
    ("options", "scale", "offset"),
    [
        ("", (1, 1), (0, 0)),
        ("-s 2 3 1 -o 0.5 0.25 0 ", (2, 3), (0.5, 0.25)),
        ("-clamp on -bm 1.0 -s 2 ", (2, 1), (0, 0)),
        ("-blendu on -mm 0 1 -imfchan l -texres 256 ", (1, 1), (0, 0)),
    ],
)
@pytest.mark.parametrize("image", ["red.png", "a red  wall.png", "2 walls.png", "maps\\red.png"])
def test_options_and_names_of_map_kd(options, scale, offset, image, tmp_path):
    (tmp_path / "maps").mkdir()
    Image.fromarray(RED).save(tmp_path / image.replace("\\", "/"))
    mtl = f"# \xe4\r\nnewmtl m\xe4\r\nKd 1 1 1\r\nmap_Kd {options}{image}\r\n"
    (tmp_path / "my materials.mtl").write_bytes(mtl.encode("latin-1"))
    (tmp_path / "mesh.obj").write_text(TEXTURED.format("my materials.mtl"), encoding="utf-8")
    mesh, texture = ts.load_textured_mesh(tmp_path / "mesh.obj")
    np.testing.assert_array_equal((255 * texture.image).round().numpy(), RED)
    expected = np.array([[0.25, 0.5], [1, 0], [0, 1]]) * scale + offset
    corners = texture.uv[texture.uv_faces[0]].numpy()
    np.testing.assert_allclose(corners, expected, rtol=0, atol=1e-6)
    assert mesh.vertices[mesh.faces[0]].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_textures_of_16_bits_and_turned_ones(tmp_path):
    (tmp_path / "m.mtl").write_text("newmtl m\u00e4\nmap_Kd grey.png\n", encoding="utf-8")
    (tmp_path / "mesh.obj").write_text(TEXTURED.format("m.mtl"), encoding="utf-8")
    grey = np.array([[0, 257 * 10, 257 * 90], [65535, 257 * 200, 257]], np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(grey).save(tmp_path / "grey.png", exif=exif)
    _, texture = ts.load_textured_mesh(tmp_path / "mesh.obj")
    expected = (grey[::-1, ::-1] / 65535).astype(np.float32)
    np.testing.assert_allclose(texture.image[..., 0].numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("map_Kd none.png", r"mesh\.obj: texture must be an existing file, got .*none\.png"),
        ("map_Kd text.png", r"mesh\.obj: texture must be a readable image, got .*text\.png"),
        (
            "map_Kd -new 1 a.png",
            r"mesh\.obj: m\.mtl, line 2: the option -new of map_Kd is not known",
        ),
        ("map_Kd -s 1 2 3", r"mesh\.obj: m\.mtl, line 2: map_Kd names no image|existing file"),
        ("map_Kd -clamp on", r"mesh\.obj: m\.mtl, line 2: map_Kd names no image"),
    ],
)
def test_images_that_cannot_be_read(line, message, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "m.mtl").write_text(f"newmtl m\u00e4\n{line}\n", encoding="utf-8")
    (tmp_path / "mesh.obj").write_text(TEXTURED.format("m.mtl"), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        ts.load_textured_mesh(tmp_path / "mesh.obj")
