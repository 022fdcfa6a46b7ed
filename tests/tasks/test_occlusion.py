"""Occlusion: what its pictures hold, what counts as solved, and the gradient of its loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from meta.learning.inner import InnerSettings, solve
from meta.learning.method import Method
from taichisoft import (
    DepthSoftmax,
    FrontToBack,
    Gaussian,
    Heaviside,
    Mesh,
    Probabilistic,
    SoftRasterizer,
    Yager,
)
from tasks import OcclusionFamily, Split
from tasks.layer_draws import draw_layers
from tasks.layers import GRID, Layers, picture, with_wall
from tasks.outlines import (
    HELD_OUT_OUTLINES,
    TRAIN_OUTLINES,
    area,
    inside,
    tessellate,
    tessellated_faces,
)
from tests.zoo.tasks import CASES, SIZE, soft

FAMILY = CASES["occlusion"]
OUTLINES = {**TRAIN_OUTLINES, **HELD_OUT_OUTLINES}


def corners(vertices):
    return vertices[..., tessellated_faces(), :]


def three_squares(depth, offset) -> Layers:
    """Return squares with a side of 0.375 that do not turn, 12 cells of the grid."""
    square = 12 / GRID * TRAIN_OUTLINES["square"]
    return Layers(
        square.expand(3, -1, -1),
        torch.ones(3, 36, 3, dtype=torch.float64),
        torch.tensor(offset, dtype=torch.float64) / GRID,
        torch.tensor(depth, dtype=torch.float64),
    )


def central_difference(task, renderer, name: str, index: int, step: float = 1e-6) -> float:
    """Return the derivative of the summed loss in one number of an unknown, at the start."""
    losses = []
    for sign in (1, -1):
        unknowns = {key: value.contiguous() for key, value in task.init().items()}
        unknowns[name].view(-1)[index] += sign * step
        losses.append(task.loss(unknowns, renderer).sum().item())
    return (losses[0] - losses[1]) / (2 * step)


@pytest.mark.parametrize("outline", OUTLINES.values(), ids=OUTLINES)
def test_triangles_of_an_outline_fill_it_without_overlap(outline):
    areas = area(corners(tessellate(outline)))
    assert areas.min() > 1e-3
    torch.testing.assert_close(areas.sum(), area(outline))
    torch.testing.assert_close(area(outline), torch.ones((), dtype=torch.float64))


@pytest.mark.parametrize("outline", OUTLINES.values(), ids=OUTLINES)
def test_inside_is_where_the_triangles_are(outline):
    generator = torch.Generator().manual_seed(0)
    points = 2 * torch.rand(4000, 2, generator=generator, dtype=torch.float64) - 1
    in_triangles = inside(points, corners(tessellate(outline))).sum(0)
    assert torch.equal(in_triangles, inside(points, outline).long())
    assert abs(4 * in_triangles.double().mean() - 1) < 0.1


def test_splits_share_no_outline():
    for name, outline in TRAIN_OUTLINES.items():
        assert name not in HELD_OUT_OUTLINES
        for other in HELD_OUT_OUTLINES.values():
            assert not torch.allclose(outline, other)
    used = {}
    for split in Split:
        task = FAMILY.sample(0, 6, split)
        # Neither place nor angle nor size changes this number of an outline.
        radii = task.layers.outlines.norm(dim=-1)
        used[split] = (radii.amax(-1) / radii.amin(-1)).flatten()
    apart = (used[Split.TRAIN][:, None] - used[Split.HELD_OUT]).abs()
    assert apart.min() > 1e-3


def test_only_pairs_that_are_seen_count():
    pairs, shares = three_squares([0.0, 0.1, 0.2], [(0, 0), (9, 0), (9, 0)]).seen()
    expected = torch.zeros(3, 3, dtype=torch.bool)
    expected[0, 1] = expected[0, 2] = expected[1, 2] = True
    assert torch.equal(pairs, expected)
    torch.testing.assert_close(shares, torch.tensor([1.0, 0.75, 0.0], dtype=torch.float64))
    # The nearest hides all of what the others have in common.
    pairs, _ = three_squares([0.0, 0.1, 0.2], [(0, 0), (5, 0), (-5, 0)]).seen()
    expected[1, 2] = False
    assert torch.equal(pairs, expected)
    pairs, _ = three_squares([0.1, 0.0, 0.2], [(0, 0), (13, 0), (0, 13)]).seen()
    assert not pairs.any()


@pytest.mark.parametrize("planes", [3, 6])
@pytest.mark.parametrize("outlines", [TRAIN_OUTLINES, HELD_OUT_OUTLINES], ids=["train", "held-out"])
def test_every_plane_can_be_found(planes, outlines):
    layers, pairs = draw_layers(
        list(outlines.values()), planes, torch.Generator().manual_seed(planes)
    )
    again, shares = layers.seen()
    assert torch.equal(pairs, again)
    assert shares.min() > 0.3
    assert (pairs | pairs.T).any(0).all()
    assert not (pairs & pairs.T).any()
    near, far = pairs.nonzero().T
    assert (layers.depth[near] < layers.depth[far]).all()
    assert layers.depth.sort().values.diff().min() > 0.05


def test_starts_are_displaced_as_told_and_in_a_wrong_order():
    family = OcclusionFamily(image_size=SIZE, planes=4, displacement=(0.1, 0.2))
    task = family.sample(0, 12, Split.TRAIN)
    start = task.init()
    away = (start["offset"] - task.layers.offset).norm(dim=-1)
    assert 0.1 - 1e-6 <= away.min() < 0.13
    assert 0.17 < away.max() <= 0.2 + 1e-6
    share = task.error(start) - away.amax(-1)
    assert (share * task.pairs.sum((1, 2)) > 0.99).all()


def test_error_is_the_share_of_wrong_pairs_plus_the_largest_displacement():
    task = FAMILY.sample(0, 2, Split.TRAIN)
    unknowns = task.solution()
    unknowns["depth"] *= -1
    unknowns["offset"][1, 2] += torch.tensor([0.03, -0.04])
    unknowns["offset"][1, 0, 0] -= 0.02
    torch.testing.assert_close(task.error(unknowns), torch.tensor([1.0, 1.05]))
    equal = {**task.solution(), "depth": torch.zeros(2, 3)}
    torch.testing.assert_close(task.error(equal), torch.ones(2))
    torch.testing.assert_close(task.differentiable_error(equal), torch.full((2,), 0.5))
    assert task.success(torch.tensor([0.031, 0.032])).tolist() == [True, False]


def test_one_wrong_pair_is_never_a_success():
    largest = OcclusionFamily(planes=6)
    assert not FAMILY.sample(0, 1, Split.TRAIN).success(torch.tensor([1 / 15])).any()
    task = largest.sample(0, 4, Split.TRAIN)
    assert task.pairs.sum((1, 2)).max() <= 15


def test_smooth_error_follows_the_error():
    """Far from ties it is the same, and its gradient puts pairs in order and planes in place."""
    task = FAMILY.sample(1, 3, Split.TRAIN)
    wide = {name: value * (100 if name == "depth" else 1) for name, value in task.init().items()}
    torch.testing.assert_close(task.differentiable_error(wide), task.error(wide))
    unknowns = {name: value.requires_grad_() for name, value in task.init().items()}
    before = task.differentiable_error(unknowns)
    gradients = torch.autograd.grad(before.sum(), list(unknowns.values()))
    with torch.no_grad():
        stepped = {
            name: value - 1e-3 * gradient
            for (name, value), gradient in zip(unknowns.items(), gradients, strict=True)
        }
        assert (task.differentiable_error(stepped) < before).all()
    solution = {name: value.requires_grad_() for name, value in task.solution().items()}
    task.differentiable_error(solution).sum().backward()
    assert not solution["offset"].grad.any()
    assert solution["depth"].grad.isfinite().all()


def test_pictures_show_the_nearest_plane_on_grey():
    task = FAMILY.sample(2, 2, Split.TRAIN)
    layers = task.layers
    for problem in range(2):
        front = int(layers.depth[problem].argmin())
        target = task.target(problem)
        row = round(float((0.5 - layers.offset[problem, front, 1]) * SIZE[0] - 0.5))
        column = round(float(layers.offset[problem, front, 0] * SIZE[0] + SIZE[1] / 2 - 0.5))
        colors = layers.colors[problem, front]
        assert (target[row, column] >= colors.amin(0) - 1e-6).all()
        assert (target[row, column] <= colors.amax(0) + 1e-6).all()
        assert torch.equal(target[0, 0], torch.full((3,), 0.5))


def test_loss_does_not_depend_on_the_background_of_the_renderer():
    task = FAMILY.sample(0, 2, Split.TRAIN)
    on_white = soft()
    on_white.background = (1.0, 0.2, 0.7)
    torch.testing.assert_close(
        task.loss(task.init(), soft()), task.loss(task.init(), on_white), rtol=1e-5, atol=1e-7
    )


def test_depth_matters_only_through_its_differences():
    task = FAMILY.sample(0, 2, Split.TRAIN)
    moved = task.init()
    moved["depth"] += 3.0
    torch.testing.assert_close(
        task.loss(moved, soft()), task.loss(task.init(), soft()), rtol=1e-4, atol=0
    )


@pytest.mark.cpu_only
def test_gradient_of_the_loss_is_that_of_central_differences():
    family = OcclusionFamily(image_size=(12, 16), planes=3, dtype=torch.float64)
    task = family.sample(0, 1, Split.TRAIN)
    renderer = SoftRasterizer(Gaussian(0.6), occlusion=DepthSoftmax(0.2))
    unknowns = {name: value.requires_grad_() for name, value in task.init().items()}
    gradients = torch.autograd.grad(task.loss(unknowns, renderer).sum(), list(unknowns.values()))
    for name, gradient in zip(unknowns, gradients, strict=True):
        differences = [
            central_difference(task, renderer, name, index) for index in range(gradient.numel())
        ]
        expected = torch.tensor(differences, dtype=torch.float64).reshape(gradient.shape)
        assert (gradient - expected).abs().max() < 5e-9 * expected.abs().max()


def test_a_wide_occlusion_puts_planes_in_order():
    """From wrong orders in the right places, with gamma as far as the planes are apart."""
    family = OcclusionFamily(image_size=(32, 32), planes=3, displacement=(0.0, 0.0))
    task = family.sample(0, 4, Split.TRAIN)
    renderer = SoftRasterizer(Gaussian(0.3), occlusion=DepthSoftmax(0.1))
    settings = InnerSettings(steps=20, learning_rate=family.learning_rate)
    errors = solve(task, Method(renderer), settings).errors
    # A wrong pair of three is an error of 1/3.
    assert (errors[0] >= 1 / 3).all()
    assert (errors[-1] < 0.1).all()


WALLED = replace(FAMILY, background_gap=(1.0, 20.0))


def test_a_wall_changes_no_problem_and_no_picture():
    without, behind = (family.sample(3, 6, Split.TRAIN) for family in (FAMILY, WALLED))
    assert without.wall is None
    assert torch.equal(behind.targets, without.targets)
    assert torch.equal(behind.pairs, without.pairs)
    for name, value in without.init().items():
        assert torch.equal(behind.init()[name], value)
    for problem in range(6):
        seen = behind.views(behind.solution(), problem)
        torch.testing.assert_close(seen, behind.target(problem), rtol=0, atol=1e-6)


def test_walls_are_as_far_behind_as_told_and_those_of_the_seed():
    task = WALLED.sample(0, 40, Split.TRAIN)
    gaps = task.wall - task.layers.depth.amax(1)
    assert 1 - 1e-5 <= gaps.min() < 2
    assert 10 < gaps.max() <= 20 + 1e-5
    assert torch.equal(task.wall, WALLED.sample(0, 40, Split.TRAIN).wall)
    assert not torch.equal(task.wall, WALLED.sample(1, 40, Split.TRAIN).wall)
    same = replace(FAMILY, background_gap=(5.0, 5.0)).sample(0, 4, Split.TRAIN)
    torch.testing.assert_close(same.wall - same.layers.depth.amax(1), torch.full((4,), 5.0))


@pytest.mark.parametrize("size", [(12, 48), (48, 12)])
def test_a_wall_fills_the_picture(size):
    task = replace(WALLED, image_size=size).sample(0, 2, Split.TRAIN)
    mesh = with_wall(task.layers.at(**task.solution()), task.wall, size)
    wall = Mesh(mesh.vertices, mesh.faces[-1:], face_colors=mesh.face_colors[:, -1:])
    image = picture(wall, size, SoftRasterizer(Gaussian(8.0), background=(1.0, 0.0, 0.0)))
    torch.testing.assert_close(image, torch.full((2, *size, 3), 0.5))


@pytest.mark.parametrize(
    ("conorm", "close"),
    # The faces of a plane are equally deep, half in front of each other: under the probabilistic sum their
    # weights do not quite add up to alpha.
    [(Probabilistic(), 5e-3), (Yager(1.0), 1e-5)],
    ids=["probabilistic", "bounded"],
)
def test_front_to_back_a_wall_is_worth_the_background(conorm, close):
    """With a hard order its weight is what alpha lacks to 1, so that loss and gradients stay."""
    renderer = SoftRasterizer(Gaussian(0.6), conorm, FrontToBack(Heaviside()))
    found = []
    for family in (FAMILY, WALLED):
        task = replace(family, dtype=torch.float64).sample(0, 2, Split.TRAIN)
        unknowns = {name: value.requires_grad_() for name, value in task.init().items()}
        loss = task.loss(unknowns, renderer)
        found.append((loss, torch.autograd.grad(loss.sum(), unknowns["offset"])[0]))
    (loss, slope), (walled_loss, walled_slope) = found
    torch.testing.assert_close(walled_loss, loss, rtol=close, atol=0)
    atol = close * float(slope.abs().max())
    torch.testing.assert_close(walled_slope, slope, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("gap", "error", "message"),
    [
        (5.0, TypeError, "background_gap must be a pair of numbers, got 5.0"),
        ((0.0, 5.0), ValueError, r"background_gap must rise within \[0.1, 1000\]"),
        ((5.0, 1.0), ValueError, r"background_gap must rise within \[0.1, 1000\]"),
        ((5.0, float("nan")), ValueError, "background_gap"),
    ],
)
def test_wrong_gaps(gap, error, message):
    with pytest.raises(error, match=message):
        OcclusionFamily(background_gap=gap)
