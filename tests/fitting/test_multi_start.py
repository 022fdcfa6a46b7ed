"""Many starts find what one misses."""

from __future__ import annotations

import math

import pytest
import torch

import taichisoft as ts
from taichisoft.geometry.rotations import angle_between, from_axis_angle, random_directions

SIZE = (32, 32)


def wells(p) -> torch.Tensor:
    """Two wells: at -1 with a value of 1, at 2 with a value of 0."""
    x = p["x"][:, 0]
    return torch.minimum((x + 1) ** 2 + 1, (x - 2) ** 2)


def turns(count: int, seed: int) -> torch.Tensor:
    """Return rotations as axes times angles up to a half turn, (count, 3)."""
    generator = torch.Generator().manual_seed(seed)
    angle = math.pi * torch.rand(count, 1, generator=generator, dtype=torch.float64)
    return random_directions(count, generator) * angle


def starts(*values: float) -> dict[str, torch.Tensor]:
    return {"x": torch.tensor(values, dtype=torch.float64)[:, None]}


def test_keeps_the_best_of_all_starts():
    found = ts.multi_start(wells, starts(-2.0, -0.5, 3.0), 200, learning_rate=0.1, progress=False)
    assert found.start == 2
    assert found.parameters["x"].shape == (1,)
    assert float(found.parameters["x"]) == pytest.approx(2.0, abs=1e-2)
    assert float(found.loss) == float(found.fit.loss.min())
    assert float(found.fit.loss[0]) == pytest.approx(1.0, abs=1e-3)
    assert found.chosen.tolist() == [0, 1, 2]


def test_starts_that_are_not_kept_are_not_optimised():
    sizes = []

    def loss(p):
        sizes.append(len(p["x"]))
        return wells(p)

    options = {"learning_rate": 0.1, "progress": False}
    found = ts.multi_start(loss, starts(-2.0, 9.0, 3.0, math.pi, 7.0), 50, keep=2, **options)
    assert sizes[0] == 5
    assert set(sizes[1:]) == {2}
    # The losses at the starts are 2, 49, 1, 1.3 and 25.
    assert found.chosen.tolist() == [2, 3]
    assert found.start in (2, 3)


def test_a_start_that_is_not_finite_is_left_out():
    def loss(p):
        return wells(p) * torch.where(p["x"][:, 0] > 5, math.nan, 1.0)

    found = ts.multi_start(loss, starts(9.0, 3.0), 50, keep=1, progress=False)
    assert found.start == 1


def test_starts_are_compared_at_the_first_softness():
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.ExponentialAnnealing(4.0, 1.0)))
    renderer.set_progress(1.0)
    seen = []

    def loss(p):
        seen.append(float(renderer.coverage.scale.in_pixels(1)))
        return wells(p)

    ts.multi_start(loss, starts(1.0, 2.0), 2, renderer=renderer, progress=False)
    # Then, before each step and after the last, what is judged at the end and what is minimised.
    assert seen == pytest.approx([4.0, 1.0, 4.0, 1.0, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("keep", "error", "message"),
    [
        (0, ValueError, "keep must be at least 1"),
        (4, ValueError, "keep must be at most the number of starts, 3, got 4"),
        (1.0, TypeError, "keep must be an int"),
    ],
)
def test_bad_keep(keep, error, message):
    with pytest.raises(error, match=message):
        ts.multi_start(wells, starts(1.0, 2.0, 3.0), keep=keep, progress=False)


def test_a_loss_for_each_start_is_needed():
    with pytest.raises(ValueError, match="what loss returns must have shape"):
        ts.multi_start(lambda p: wells(p).sum(), starts(1.0, 2.0), progress=False)


def test_finds_a_pose_that_a_single_start_misses(dtype):
    mesh = ts.shapes.mug().to(dtype=dtype)
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), image_size=SIZE, dtype=dtype)
    renderer = ts.SoftRasterizer(ts.Gaussian(0.2))
    truth, guess = turns(2, seed=4).to(dtype)

    def posed(turn):
        return mesh.with_vertices(mesh.vertices @ from_axis_angle(turn).mT)

    target = ts.SoftRasterizer.hard().silhouette(posed(truth), camera)

    def loss(p):
        seen = renderer.silhouette(posed(p["turn"]), camera)
        return 1 - ts.iou(seen, target.expand_as(seen))

    def solve(start, **options):
        options |= {"learning_rate": 0.1, "progress": False}
        found = ts.multi_start(loss, {"turn": start}, 30, **options)
        angle = angle_between(from_axis_angle(found.parameters["turn"]), from_axis_angle(truth))
        return float(found.loss), math.degrees(float(angle))

    alone, many = solve(guess[None]), solve(turns(40, seed=100).to(dtype), keep=4)
    assert alone[1] > 30
    assert many[0] < alone[0]
    assert many[1] < 5
