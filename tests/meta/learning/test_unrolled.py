"""Unrolled and truncated meta-gradients against central differences of the outer loss."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from meta.learning.gradients import MetaGradient, Truncated, Unrolled
from meta.learning.inner import InnerSettings, solve
from meta.learning.method import Method
from meta.learning.objective import Rollout, TrajectoryObjective, final, frozen, late
from meta.learning.outer import OuterOptimizer
from tasks import PoseFamily, Split, TaskFamily
from tests.helpers import normal_like
from tests.meta.learning.outer_loss import (
    PLANES,
    POSE,
    SHAPE,
    objective_of,
    outer_loss,
    problems,
    seeded,
)
from tests.meta.learning.problems import PointFamily, PointTask, flat, spline_method

pytestmark = pytest.mark.cpu_only


def learned(value: float) -> ts.Pixels:
    return ts.Pixels(value, learn=True)


def positive(value: float) -> ts.Positive:
    return ts.Positive(value, learn=True)


def solver(*parts, rate: ts.Positive | float = 1.0, **named) -> Method:
    return Method(ts.SoftRasterizer(*parts, **named), rate)


# Problems, and what is learned of softness and rate.
CASES: dict[str, tuple[TaskFamily, Callable[[], Method]]] = {
    "spline": (POSE, lambda: solver(ts.MonotoneSpline(learned(0.4), knots=4))),
    "network": (POSE, lambda: solver(ts.MLPCoverage(learned(0.4)))),
    "exponential annealing": (
        POSE,
        lambda: solver(ts.Gaussian(ts.ExponentialAnnealing(learned(0.8), learned(0.3)))),
    ),
    "cosine annealing": (
        POSE,
        lambda: solver(ts.Gaussian(ts.CosineAnnealing(learned(0.8), learned(0.3)))),
    ),
    "learned annealing": (POSE, lambda: solver(ts.Gaussian(ts.LearnedAnnealing(0.4)))),
    "p of Hamacher": (
        POSE,
        lambda: solver(ts.Gaussian(learned(0.4)), ts.Hamacher(positive(0.7))),
    ),
    "generator": (POSE, lambda: solver(ts.Gaussian(0.4), ts.MonotoneGenerator())),
    "gamma": (
        PLANES,
        lambda: solver(ts.Gaussian(learned(0.5)), occlusion=ts.DepthSoftmax(positive(0.1))),
    ),
    "depth curve": (
        PLANES,
        lambda: solver(ts.Gaussian(learned(0.5)), occlusion=ts.MonotoneDepth(0.2)),
    ),
    "rate": (POSE, lambda: solver(ts.Gaussian(learned(0.4)), rate=positive(1.3))),
    "shape": (SHAPE, lambda: solver(ts.MonotoneSpline(learned(0.5), knots=4))),
}


# The objective jumps where a pixel's nearest edge changes on the way, so that steps must be tiny. What is
# left is rounding, 1e-16 / 1e-7, some of it grown on the way; up to 7e-9 was met.
STEP, ROUNDING = 1e-7, 1.5e-8


def compare_with_central_differences(
    found: dict[str, Tensor],
    method: Method,
    loss: Callable[[Method], Tensor],
) -> None:
    """Assert that each parameter's gradient is the slope of a loss along a random direction."""
    noise, slopes = torch.Generator().manual_seed(1), []
    for name, parameter in method.named_parameters():
        direction, kept = normal_like(parameter, noise).to(parameter), parameter.detach().clone()
        values = []
        for step in (STEP, -STEP):
            parameter.data.copy_(kept + step * direction)
            values.append(float(loss(frozen(method))))
        parameter.data.copy_(kept)
        slopes.append((values[0] - values[1]) / (2 * STEP))
        slope = float((found[name] * direction).sum())
        assert slope == pytest.approx(slopes[-1], rel=0, abs=ROUNDING), name
    assert max(abs(slope) for slope in slopes) > 1e-4, "nothing to compare"


@pytest.mark.parametrize("name", CASES)
def test_unrolled_agrees_with_central_differences(name):
    family, make = CASES[name]
    objective, method = objective_of(problems(family), family, 5), make()
    estimate = Unrolled().estimate(objective, method, seeded())
    compare_with_central_differences(
        estimate.gradients, method, lambda moved: outer_loss(objective, moved)
    )
    assert estimate.outcome.value == objective.evaluate(method).value


def truncated(objective: TrajectoryObjective, method: Method, horizon: int) -> dict[str, Tensor]:
    """Return the truncated gradient, compared with central differences from fixed borders."""
    (rollout,) = objective.rollouts
    steps, states = rollout.inner.steps, []
    solve(rollout.task, frozen(method), rollout.inner, on_step=states.append)
    borders = {step: states[step] for step in range(steps) if (steps - step) % horizon == 0}
    estimate = Truncated(horizon).estimate(objective, method, seeded())
    compare_with_central_differences(
        estimate.gradients, method, lambda moved: outer_loss(objective, moved, borders)
    )
    assert estimate.outcome.value == objective.evaluate(method).value
    return estimate.gradients


@pytest.mark.parametrize("window", [late, final])
@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_truncated_agrees_with_central_differences_from_fixed_borders(horizon, window):
    family, make = CASES["exponential annealing"]
    objective, method = objective_of(problems(family), family, 5, window), make()
    found = truncated(objective, method, horizon)
    for name, gradient in swept(objective, method).items():
        assert (found[name] - gradient).abs() > 1e-3 * gradient.abs()


def test_single_steps_of_a_straight_through_softness_are_exact():
    # Through several, they are not: the image passes the slope on, which is not its own.
    coverage = ts.StraightThrough(ts.Logistic(learned(0.3)), ts.MLPCoverage(), learned(1.0))
    truncated(objective_of(problems(POSE), POSE, 4), solver(coverage), horizon=1)


@pytest.mark.parametrize("horizon", [5, 50])
def test_truncated_after_all_steps_is_unrolled(horizon):
    family, make = CASES["spline"]
    objective = objective_of(problems(family), family, 5)
    whole, cut = (
        estimator.estimate(objective, make(), seeded())
        for estimator in (Unrolled(), Truncated(horizon))
    )
    for name, gradient in whole.gradients.items():
        assert torch.equal(cut.gradients[name], gradient)


def test_truncated_does_not_render_segments_without_errors_that_count():
    renders = []

    class Counting(PointTask):
        def loss(self, unknowns, method):
            renders.append(1)
            return super().loss(unknowns, method)

    points = PointFamily().sample(0, 2, Split.TRAIN)
    objective = objective_of(Counting(points.start, points.goal), PointFamily(), 12, final)
    Truncated(4).estimate(objective, spline_method(), seeded())
    assert len(renders) == 12 + 4


def whole_graph(objective: TrajectoryObjective, method: Method) -> dict[str, Tensor]:
    """Return the gradient by a graph of all steps at once."""
    parameters = dict(method.named_parameters())
    loss = outer_loss(objective, method, graph=True)
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))


def swept(objective: TrajectoryObjective, method: Method) -> dict[str, Tensor]:
    return Unrolled().estimate(objective, method, seeded()).gradients


@pytest.mark.parametrize(("family", "tolerance"), [(POSE, 1e-11), (PoseFamily((16, 16)), 1e-3)])
def test_sweep_is_the_gradient_of_the_whole_graph(family, tolerance):
    objective = objective_of(problems(family), family, 5)
    method = CASES["spline"][1]()
    expected = whole_graph(objective, method)
    for name, gradient in swept(objective, method).items():
        bound = tolerance * float(expected[name].abs().max())
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=bound)


class Kept:
    """A tensor that autograd keeps for a backward pass."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor


def peak_of_kept_tensors(work: Callable[[], object]) -> int:
    """Return the largest number of bytes that autograd kept at any time."""
    now = peak = 0

    def dropped(size: int) -> None:
        nonlocal now
        now -= size

    def pack(tensor: Tensor) -> Kept:
        nonlocal now, peak
        kept, size = Kept(tensor.detach()), tensor.numel() * tensor.element_size()
        now, peak = now + size, max(peak, now + size)
        weakref.finalize(kept, dropped, size)
        return kept

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor):
        work()
    return peak


@pytest.mark.parametrize(("gradient", "grows"), [(swept, False), (whole_graph, True)])
def test_memory_does_not_grow_with_the_steps(gradient, grows):
    task, method = POSE.sample(3, 1, Split.TRAIN), CASES["p of Hamacher"][1]()
    peaks = []
    for steps in (3, 9):
        # So slow that the fragments of all steps are the same.
        objective = TrajectoryObjective((Rollout(task, InnerSettings(steps, 1e-9), 60.0),))
        peaks.append(peak_of_kept_tensors(lambda o=objective: gradient(o, method)))
    few, many = peaks
    assert few > 100_000, "images were kept"
    assert many == few if not grows else many > 2.5 * few


class Broken(PointTask):
    """Points whose error has no derivative."""

    def differentiable_error(self, unknowns):
        """Return the error, with a slope that is not a number."""
        return self.error(unknowns) + 0 * (unknowns["x"] - unknowns["x"].detach()).sqrt()


@pytest.mark.parametrize("estimator", [Unrolled(), Truncated(2)])
def test_a_gradient_that_is_not_finite_is_skipped_and_counted(estimator: MetaGradient):
    points = PointFamily().sample(0, 2, Split.TRAIN)
    objective = objective_of(Broken(points.start, points.goal), PointFamily(), 4)
    method = spline_method()
    before = flat(method).clone()
    estimate = estimator.estimate(objective, method, seeded())
    assert estimate.outcome.value == objective.evaluate(method).value
    assert not estimate.is_finite()
    outer = OuterOptimizer(method, learning_rate=0.1, steps=3, clip=1.0)
    outer.step(estimate, 0)
    assert outer.skipped == 1
    assert torch.equal(flat(method), before)
