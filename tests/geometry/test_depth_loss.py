"""The loss on depth: its formula, its holes, its derivatives, and where it leaves a mesh."""

from __future__ import annotations

import math

import pytest
import torch

import taichisoft as ts
from tests.geometry.test_losses import random_images

HOLES = (math.nan, math.inf, -math.inf, 0.0)


def maps(*shape: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return depth, alpha and target of random numbers."""
    depth, alpha, target = (random_images(*shape, seed=i) for i in range(3))
    return depth + 2, alpha, target + 2


@pytest.mark.parametrize("hole", HOLES)
def test_it_is_the_mean_by_alpha_over_what_was_measured(hole):
    depth, alpha, target = maps(2, 3, 4)
    measured = random_images(2, 3, 4, seed=3) > 0.3
    expected = [
        (a * (d - t).square())[m].sum() / a[m].sum()
        for d, a, t, m in zip(depth, alpha, target, measured, strict=True)
    ]
    target = torch.where(measured, target, hole)
    found = ts.depth_mse(depth, alpha, target)
    torch.testing.assert_close(found, torch.stack(expected))
    torch.testing.assert_close(ts.depth_loss(depth, alpha, target), found.mean())
    one = target[:1]
    both = torch.cat(
        [ts.depth_mse(d[None], a[None], one) for d, a in zip(depth, alpha, strict=True)]
    )
    for shape in (one, one[0]):
        torch.testing.assert_close(ts.depth_mse(depth, alpha, shape), both)
    weight = random_images(3, 4, seed=4)
    mask = measured[0]
    found = ts.depth_mse(depth, alpha, target, mask=mask, weight=weight)
    torch.testing.assert_close(found, ts.depth_mse(depth, alpha * weight * mask, target))


def test_orthographic_depths_may_be_negative():
    depth, alpha, target = maps(1, 3, 4)
    torch.testing.assert_close(
        ts.depth_mse(depth - 9, alpha, target - 9), ts.depth_mse(depth, alpha, target)
    )


def test_gradients_with_alpha_as_a_constant():
    depth, alpha, target = maps(2, 2, 3)
    weight = random_images(2, 3, seed=4)
    alpha[0, 1, 1] = 0.0
    hole = torch.zeros(2, 2, 3, dtype=torch.bool)
    hole[0, 0, 0] = hole[1, 1, 2] = True

    def loss(depth, target, weight):
        return ts.depth_mse(depth, alpha, torch.where(hole, math.nan, target), weight=weight)

    inputs = tuple(x.clone().requires_grad_() for x in (depth, target, weight))
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs)
    alpha.requires_grad_()
    value = ts.depth_loss(depth.requires_grad_(), alpha, torch.where(hole, math.nan, target))
    first, none = torch.autograd.grad(value, (depth, alpha), create_graph=True, allow_unused=True)
    (second,) = torch.autograd.grad(first.square().sum(), depth)
    assert none is None
    assert torch.isfinite(second).all()
    assert not first[hole].any()


def test_what_sees_nothing_of_the_target_has_no_loss():
    depth, alpha, target = maps(3, 2, 2)
    target[0], alpha[1] = math.nan, 0.0
    depth.requires_grad_()
    value = ts.depth_mse(depth, alpha, target)
    assert value[:2].tolist() == [0.0, 0.0]
    (gradient,) = torch.autograd.grad(value.sum(), depth)
    assert not gradient[:2].any()
    assert gradient[2].all()


def test_along_the_view_axis_a_mesh_ends_where_it_is_and_by_mse_elsewhere():
    ball = ts.shapes.icosphere(1).to(dtype=torch.float64)
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(24, 24), dtype=torch.float64)
    target = ts.SoftRasterizer.hard()(ball, camera).depth
    holed = torch.where(target > 0, target, math.nan)
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5), culling=ts.Culling.BACK)
    start = torch.tensor([0.0, 0.0, 0.2], dtype=torch.float64)

    def found(loss) -> float:
        def of(parameters):
            return loss(renderer(ball.with_vertices(ball.vertices + parameters["shift"]), camera))

        best = ts.fit(of, {"shift": start}, 35, learning_rate=0.02, progress=False)
        return float(best.parameters["shift"].norm())

    by_depth = found(lambda i: ts.depth_loss(i.depth, i.alpha, holed))
    blended = found(lambda i: ts.mse_loss(i.alpha * i.depth, target))
    unweighted = found(lambda i: ts.mse_loss(i.depth, target))
    assert by_depth < 0.015
    assert blended > 3 * by_depth
    assert unweighted > 0.1


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"depth": torch.ones(4, 4)}, ValueError, r"depth must have shape \(B, H, W\)"),
        ({"alpha": torch.ones(1, 4, 4)}, ValueError, r"alpha must have shape \(2, 4, 4\)"),
        ({"alpha": torch.ones(2, 4, 4).double()}, TypeError, r"alpha must have the dtype of depth"),
        ({"target": torch.ones(2, 4, 4).bool()}, TypeError, r"target must be of dtype.*bool"),
        ({"target": torch.ones(4, 5)}, ValueError, r"target must have shape .*got \(4, 5\)"),
        ({"mask": torch.full((4, 4), -0.5)}, ValueError, r"mask must be in \[0, 1\], got -0.5"),
    ],
)
def test_bad_maps(change, error, match):
    given = {name: torch.ones(2, 4, 4) for name in ("depth", "alpha", "target")} | change
    with pytest.raises(error, match=match):
        ts.depth_loss(**given)
