"""Whoever runs an optimisation tells an annealed softness how far it is, or is told to."""

from __future__ import annotations

import copy
import math
import warnings

import pytest
import torch

import taichisoft as ts

MESH = ts.shapes.icosphere(1)
CAMERA = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(9, 12))
TARGET = torch.ones(1, 9, 12)


def annealed() -> ts.SoftRasterizer:
    """Return a renderer from 4 to 1/4 of a pixel, whose gamma goes from 0.9 to 0.1."""
    scale, gamma = ts.ExponentialAnnealing(4.0, 0.25), ts.AnnealedPositive(0.9, 0.1)
    return ts.SoftRasterizer(ts.Gaussian(scale), occlusion=ts.DepthSoftmax(gamma))


def backward(renderer: ts.SoftRasterizer, dtype, *, colour: bool = False) -> None:
    """Pass a gradient back through one render."""
    vertices = MESH.vertices.to(dtype).requires_grad_()
    mesh, camera = ts.Mesh(vertices, MESH.faces), CAMERA.to(dtype=dtype)
    if colour:
        image = renderer(mesh, camera, torch.ones_like(vertices))
        (image.color.sum() + image.depth.sum()).backward()
    else:
        ts.iou_loss(renderer.silhouette(mesh, camera), TARGET.to(dtype)).backward()


@pytest.mark.parametrize("of", ["renderer", "softness"])
def test_a_loop_that_anneals(of):
    renderer = annealed()
    found = []
    for step in getattr(renderer, of, renderer).anneal(5):
        scale = float(renderer.coverage.scale.in_pixels(9))
        found.append((step, scale, float(renderer.occlusion.gamma())))
    # The same factor every step, from the first number at the first step to the last at the last.
    expected = [(k, 4 * 16 ** (-k / 4), 0.9 * 9 ** (-k / 4)) for k in range(5)]
    for one, two in zip(found, expected, strict=True):
        assert one == pytest.approx(two)
    assert renderer.coverage.scale.progress == renderer.occlusion.gamma.progress == 1


def test_the_ends_of_a_loop_that_anneals():
    renderer = annealed()
    scale = renderer.coverage.scale
    assert [scale.progress for _ in renderer.anneal(1)] == [0.0]
    assert scale.progress == 1
    assert [scale.progress for _ in renderer.anneal(3)] == [0.0, 0.5, 1.0]
    for step in renderer.anneal(3):
        if step == 1:
            break
    assert scale.progress == 0.5
    assert list(renderer.anneal(0)) == []
    assert scale.progress == 1
    # A constant softness has nothing to follow.
    assert list(ts.SoftRasterizer().anneal(3)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (2.0, TypeError, "steps must be an int, got float"),
        (-1, ValueError, "steps must be at least 0, got -1"),
    ],
)
def test_a_bad_number_of_steps_is_an_error_before_the_loop(steps, error, message):
    with pytest.raises(error, match=message):
        annealed().anneal(steps)


@pytest.mark.parametrize("colour", [False, True], ids=["silhouette", "image"])
def test_ten_backward_passes_without_progress_warn_once_with_the_cure(colour, dtype):
    renderer = annealed()
    for _ in range(9):
        backward(renderer, dtype, colour=colour)
    with pytest.warns(UserWarning, match=r"for step in renderer\.anneal\(steps\):") as said:
        backward(renderer, dtype, colour=colour)
    # It points to the program, and not into torch or the library.
    assert [warning.filename for warning in said] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(12):
            backward(renderer, dtype, colour=colour)


def told(renderer: ts.SoftRasterizer) -> ts.SoftRasterizer:
    """Return it after it was told to stay as wide as at the start."""
    renderer.set_progress(0.0)
    return renderer


QUIET = {
    "constant": ts.SoftRasterizer,
    "told to stay": lambda: told(annealed()),
    "a copy of one that was told": lambda: copy.deepcopy(told(annealed())),
}


@pytest.mark.parametrize("make", QUIET.values(), ids=QUIET.keys())
def test_no_word_where_nothing_is_forgotten(make, dtype):
    renderer = make()
    for _ in range(12):
        backward(renderer, dtype)
    renderer = annealed()
    for _ in renderer.anneal(12):
        backward(renderer, dtype)


def test_no_word_without_gradients_or_about_many_of_one_render(dtype):
    renderer = annealed()
    mesh, camera = MESH.with_vertices(MESH.vertices.to(dtype)), CAMERA.to(dtype=dtype)
    for _ in range(12):
        renderer.silhouette(mesh, camera)
    mesh = mesh.with_vertices(mesh.vertices.clone().requires_grad_())
    alpha = renderer.silhouette(mesh, camera)
    for pixel in alpha.flatten()[:12]:
        pixel.backward(retain_graph=True)


def test_fit_without_its_renderer_warns(dtype):
    renderer = annealed()
    mesh, camera = MESH.with_vertices(MESH.vertices.to(dtype)), CAMERA.to(dtype=dtype)

    def loss(p):
        moved = mesh.with_vertices(mesh.vertices + p["offset"])
        return ts.iou_loss(renderer.silhouette(moved, camera), TARGET.to(dtype))

    start = {"offset": torch.zeros(3, dtype=dtype)}
    with pytest.warns(UserWarning, match=r"give ts\.fit the renderer") as said:
        ts.fit(loss, start, 12, progress=False)
    assert [warning.filename for warning in said] == [__file__]
    ts.fit(loss, start, 12, renderer=annealed(), progress=False)


def offset_of_the_mug(renderer: ts.SoftRasterizer, steps) -> float:
    """Return how far off the mug of the page on fitting is, in scene units, after its loop over steps."""
    mesh = ts.shapes.mug()
    camera = ts.Camera.look_at(eye=(1.0, 1.0, 3.0), fov=40, image_size=(64, 64))
    renderer.set_situation(ts.situation_of(mesh, camera, colors=False))
    target = ts.SoftRasterizer.hard().silhouette(mesh, camera)
    offset = torch.tensor([0.2, -0.1, 0.0], requires_grad=True)
    optimizer = torch.optim.Adam([offset], lr=0.02)
    for _ in steps:
        optimizer.zero_grad()
        moved = mesh.with_vertices(mesh.vertices + offset)
        ts.iou_loss(renderer.silhouette(moved, camera), target).backward()
        optimizer.step()
    return math.sqrt(float(offset.detach().square().sum()))


@pytest.mark.parametrize("name", ts.pretrained_names())
def test_a_shipped_softness_finds_the_mug_of_the_page_on_fitting(name):
    # Measured: general 0.079, occlusion 0.033, pose 0.043, shape2d 0.061, shape3d 0.012; it starts at 0.224.
    renderer = ts.SoftRasterizer.pretrained(name)
    assert offset_of_the_mug(renderer, renderer.anneal(60)) < 0.1
