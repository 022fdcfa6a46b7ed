"""What tensors and records of them look like when printed."""

from __future__ import annotations

import math

import pytest
import torch

import taichisoft as ts
from taichisoft.base.words import counted, in_words

pytestmark = pytest.mark.cpu_only


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.tensor([[0.25, -1.0]]), "(1, 2) float32, -1 to 0.25"),
        (torch.full((3,), 2.0, dtype=torch.float64), "(3,) float64, 2"),
        (torch.tensor(1.5, requires_grad=True), "() float32, 1.5, requires grad"),
        (torch.tensor([1.0, math.nan, math.inf]), "(3,) float32, 1, 2 not finite"),
        (torch.tensor([math.nan]), "(1,) float32, 1 not finite"),
        (torch.tensor([[7, 123456789]]), "(1, 2) int64, 7 to 123456789"),
        (torch.tensor([True, False, True]), "(3,) bool, 2 of 3 true"),
        (torch.tensor([3, 65535]).to(torch.uint16), "(2,) uint16, 3 to 65535"),
        (torch.tensor([3, 7]).to(torch.uint64), "(2,) uint64, 3 to 7"),
        (torch.tensor([0.5, 2.0]).to(torch.float8_e5m2), "(2,) float8_e5m2, 0.5 to 2"),
        (torch.tensor([0.5, 2.0]).bfloat16(), "(2,) bfloat16, 0.5 to 2"),
        (torch.zeros(0, 3), "(0, 3) float32"),
        (torch.zeros(2, device="meta"), "(2,) float32 on meta"),
        (torch.eye(2).to_sparse(), "(2, 2) float32"),
    ],
)
def test_a_tensor_in_words(value, words):
    assert in_words(value) == words


def test_words_within_a_transform():
    seen = []

    def function(x):
        seen.append(in_words(x))
        return (x**2).sum()

    torch.func.grad(function)(torch.tensor([1.0, 3.0]))
    torch.func.vmap(function)(torch.tensor([[1.0, 3.0], [0.0, 5.0]]))
    assert "1 to 3" in seen[0]
    assert "0 to 5" in seen[1]


def test_counting():
    assert counted(1, "face", "faces") == "1 face"
    assert counted(0, "face", "faces") == "0 faces"


def records():
    """Yield name, record, and words that its text has."""
    ball = ts.shapes.icosphere(1)
    colored = ball.with_vertex_colors(torch.rand(42, 3).requires_grad_())
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(4, 6))
    yield ball, ("mesh of 42 vertices, 80 faces", "faces: (80, 3) int64, 0 to 41")
    yield colored, ("vertex_colors: (42, 3)", "requires grad")
    yield ball.with_vertices(torch.zeros(5, 42, 3)), ("5 meshes of 42 vertices",)
    yield ts.MeshBatch.from_meshes([ball] * 100), ("batch of 100 meshes, 4200 vertices", "...")
    data = {"quality": torch.linspace(0, 1, 42), "b": torch.rand(42), "c": torch.rand(42)}
    measured = ts.Mesh(ball.vertices, ball.faces, vertex_data=data)
    yield measured, ("vertex_data: {'quality': (42,) float32, 0 to 1; 'b': (42,)",)
    views = ts.Views((camera,) * 300, tuple(f"images/{i:06}.png" for i in range(300)))
    yield (
        views,
        ("300 views", "1 perspective camera of 4 x 6 pixels, ", "'images/000000.png', ", "..."),
    )
    yield camera, ("1 perspective camera of 4 x 6 pixels", "near: 0.01")
    yield (
        ts.Camera.orthographic(torch.eye(3), image_size=(4, 6), up=(1.0, 1.0, 1.0)),
        ("3 orthographic cameras",),
    )
    yield ts.SoftRasterizer()(colored, camera), ("1 image of 4 x 6 pixels", "alpha: (1, 4, 6)")
    yield ts.Texture(torch.rand(8, 9, 3), torch.rand(42, 2)), ("texture of 8 x 9 texels", "Wrap")
    fit = ts.fit(
        lambda p: p[0].square().sum(), [torch.ones(500)], 3, progress=False, snapshot_every=1
    )
    yield fit, ("loss",)
    yield fit.history, ("4 snapshots",)
    yield fit.history.snapshots[0], ("after 0 steps: 0 (500,) float32, 1",)


def test_records_print_in_a_few_lines():
    for record, words in records():
        text = repr(record)
        assert all(word in text for word in words), text
        assert "tensor(" not in text
        assert text.count("\n") < 10, text
        assert len(text) < 1000, text


def test_a_large_mesh_prints_in_few_lines_and_keeps_no_graph():
    count = 100_000
    vertices = torch.rand(count, 3, requires_grad=True)
    mesh = ts.Mesh(2 * vertices, torch.arange(3 * count).reshape(count, 3) % count)
    before = mesh.vertices.grad_fn
    lines = repr(mesh).split("\n")
    assert lines[0] == "mesh of 100000 vertices, 100000 faces"
    assert len(lines) == 3
    assert mesh.vertices.grad_fn is before


def test_several_records_print_as_their_titles():
    wood, plain = ts.Material(torch.rand(3), name="wood"), ts.Material()
    faces = torch.tensor([[0, 1, 2]])
    mesh = ts.Mesh(torch.rand(3, 3), faces, materials=(wood, plain))
    assert "materials: material 'wood', material\n" in repr(mesh) + "\n"
    many = ts.Mesh(torch.rand(3, 3), faces, materials=(plain,) * 9)
    assert f"materials: {'material, ' * 6}..." in repr(many)
