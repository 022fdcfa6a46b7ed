"""PLY: colours of every type, and other numbers of vertices, which come back when they are saved."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch

import taichisoft as ts

HEAD = (
    "ply\nformat {} 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
)
FACES = "element face {}\nproperty list uchar int vertex_indices\n"
POSITIONS = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]


def colored(kind: str, rows: list[tuple]) -> str:
    """Return an ASCII file with red, green and blue of a type at each of four vertices."""
    lines = [" ".join(map(str, (*p, *c))) for p, c in zip(POSITIONS, rows, strict=True)]
    names = "".join(f"property {kind} {name}\n" for name in ("red", "green", "blue"))
    head = HEAD.format("ascii") + names + FACES.format(1) + "end_header\n"
    return head + "\n".join([*lines, "4 0 1 2 3"]) + "\n"


@pytest.mark.parametrize(
    ("kind", "row", "expected"),
    [
        ("ushort", (65535, 32768, 0), (1, 32768 / 65535, 0)),
        ("uint16", (255, 1, 0), (255 / 65535, 1 / 65535, 0)),
        ("uchar", (255, 128, 0), (1, 128 / 255, 0)),
        ("float", (1, 0.5, 0), (1, 0.5, 0)),
        ("double", (0.1, 0.123456789, 1.5), (0.1, 0.123456789, 1.5)),
        ("int", (255, 128, 0), (1, 128 / 255, 0)),
        ("int", (65535, 32768, 0), (1, 32768 / 65535, 0)),
    ],
)
def test_colors_of_every_type(kind, row, expected, tmp_path):
    (tmp_path / "a.ply").write_text(colored(kind, [row] * 4))
    mesh = ts.load_mesh(tmp_path / "a.ply", dtype=torch.float64)
    expected = torch.tensor([expected] * 4, dtype=torch.float64)
    torch.testing.assert_close(mesh.vertex_colors, expected, rtol=0, atol=1e-12)
    assert mesh.vertex_opacity is None


@pytest.mark.parametrize("order", ["little", "big"])
def test_colors_of_16_bits_and_other_numbers_in_a_binary_file(order, tmp_path):
    sign = "<" if order == "little" else ">"
    names = (
        "property ushort red\nproperty ushort green\nproperty ushort blue\nproperty ushort alpha\n"
    )
    names += "property double confidence\nproperty short label\n"
    head = HEAD.format(f"binary_{order}_endian") + names + FACES.format(2) + "end_header\n"
    rows = [
        struct.pack(f"{sign}3f4Hdh", *p, 65535, 32768, 0, 65535 - i, 0.1 * i, -i)
        for i, p in enumerate(POSITIONS)
    ]
    faces = struct.pack(f"{sign}B3iB3i", 3, 0, 1, 2, 3, 2, 3, 0)
    (tmp_path / "a.ply").write_bytes(head.encode() + b"".join(rows) + faces)
    mesh = ts.load_mesh(tmp_path / "a.ply", dtype=torch.float64)
    assert mesh.vertices.tolist() == [list(map(float, p)) for p in POSITIONS]
    assert mesh.faces.tolist() == [[0, 1, 2], [2, 3, 0]]
    assert mesh.vertex_colors[0].tolist() == [1, 32768 / 65535, 0]
    assert mesh.vertex_opacity.tolist() == [(65535 - i) / 65535 for i in range(4)]
    assert list(mesh.vertex_data) == ["confidence", "label"]
    assert mesh.vertex_data["confidence"].tolist() == [0.1 * i for i in range(4)]
    assert mesh.vertex_data["label"].tolist() == [0, -1, -2, -3]


def test_colors_of_polygons_are_those_of_their_triangles(tmp_path):
    names = "".join(f"property uchar {n}\n" for n in ("red", "green", "blue"))
    lines = [" ".join(map(str, p)) for p in POSITIONS]
    faces = ["4 0 1 2 3 255 0 0", "3 0 1 2 0 255 0", "4 3 2 1 0 0 0 255"]
    head = HEAD.format("ascii") + FACES.format(3) + names + "end_header\n"
    (tmp_path / "a.ply").write_text(head + "\n".join(lines + faces) + "\n")
    mesh = ts.load_mesh(tmp_path / "a.ply")
    assert mesh.faces.tolist() == [[0, 1, 2], [2, 3, 0], [0, 1, 2], [3, 2, 1], [1, 0, 3]]
    assert mesh.face_colors.argmax(1).tolist() == [0, 0, 1, 2, 2]


def test_colors_of_vertices_and_faces_are_said_to_be_too_many(tmp_path):
    text = colored("uchar", [(255, 0, 0)] * 4).replace(
        "indices\n", "indices\nproperty uchar red\nproperty uchar green\nproperty uchar blue\n"
    )
    (tmp_path / "a.ply").write_text(text.replace("4 0 1 2 3", "4 0 1 2 3 0 0 0"))
    with pytest.warns(UserWarning, match=r"a\.ply: there are colours of vertices and of faces"):
        mesh = ts.load_mesh(tmp_path / "a.ply")
    assert mesh.face_colors is None
    assert mesh.vertex_colors[0].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("int", (70000, 0, 0), "colours must be from 0 to 65535, got 0 to 70000"),
        ("int", (-1, 0, 0), "colours must be from 0 to 255, got -1 to 0"),
    ],
)
def test_colors_that_cannot_be(kind, row, message, tmp_path):
    (tmp_path / "a.ply").write_text(colored(kind, [row] * 4))
    with pytest.raises(ValueError, match=rf"a\.ply: {message}"):
        ts.load_mesh(tmp_path / "a.ply")


def test_images_lists_and_numbers_of_faces_are_said_to_be_left_out(tmp_path):
    head = HEAD.format("ascii").replace("1.0\n", "1.0\ncomment TextureFile my image.png\n")
    head += (
        FACES.format(1) + "property list uchar float texcoord\nproperty uchar quality\nend_header\n"
    )
    lines = [" ".join(map(str, p)) for p in POSITIONS]
    (tmp_path / "a.ply").write_text(head + "\n".join([*lines, "3 0 1 2 6 0 0 1 0 1 1 7"]) + "\n")
    with pytest.warns(UserWarning, match=r"a\.ply: ") as told:
        assert ts.load_mesh(tmp_path / "a.ply").num_faces == 1
    said = [str(one.message) for one in told]
    assert len(said) == 3
    assert said[0].endswith("a.ply: images are not read: my image.png")
    assert said[1].endswith("a.ply: lists are left out: texcoord of element face")
    assert said[2].endswith("a.ply: numbers of faces are left out: quality")


def test_data_of_vertices_come_back(tmp_path):
    cube = ts.shapes.cube()
    data = {
        "label": torch.arange(8),
        "large": torch.full((8,), 2**40),
        "seen": torch.tensor([True, False] * 4),
        "confidence": torch.linspace(0, 1, 8),
    }
    mesh = ts.Mesh(cube.vertices, cube.faces, vertex_data=data)
    ts.save_mesh(mesh, tmp_path / "a.ply")
    back = ts.load_mesh(tmp_path / "a.ply")
    assert list(back.vertex_data) == list(data)
    for name, value in data.items():
        assert back.vertex_data[name].equal(value.long() if name == "seen" else value)
    moved = back.with_vertices(back.vertices + 1).to(dtype=torch.float64)
    assert moved.vertex_data["confidence"].dtype == torch.float32
    assert moved.vertex_data["label"].dtype == torch.int64


def test_merging_keeps_vertices_apart_that_differ_in_their_data(tmp_path):
    corners = ts.shapes.cube().vertices[ts.shapes.cube().faces].reshape(-1, 3)
    label = torch.zeros(36, dtype=torch.int64)
    label[0] = 7
    mesh = ts.Mesh(corners, torch.arange(36).reshape(12, 3), vertex_data={"label": label})
    ts.save_mesh(mesh, tmp_path / "a.ply")
    merged = ts.load_mesh(tmp_path / "a.ply", merge=True)
    assert merged.num_vertices == 9
    assert merged.vertex_data["label"].tolist() == [7, *[0] * 8]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([1], TypeError, "vertex_data must be"),
        ({1: torch.zeros(8)}, TypeError, "names of vertex_data must be a str"),
        ({"a": np.zeros(8)}, TypeError, r"vertex_data\['a'\] must be a Tensor"),
        (
            {"a": torch.zeros(7)},
            ValueError,
            r"vertex_data\['a'\] must have shape \(8,\), got \(7,\)",
        ),
    ],
)
def test_data_that_cannot_be(data, error, message):
    cube = ts.shapes.cube()
    with pytest.raises(error, match=message):
        ts.Mesh(cube.vertices, cube.faces, vertex_data=data)
