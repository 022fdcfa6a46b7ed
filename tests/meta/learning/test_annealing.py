"""Annealed scales follow the inner steps of solving a problem."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

from meta.learning.gradients import EvolutionStrategies, FirstOrder
from meta.learning.inner import InnerSettings, solve
from meta.learning.method import Method
from meta.learning.objective import Rollout, TrajectoryObjective, late
from taichisoft import Gaussian, Pixels, SoftRasterizer
from taichisoft.softness.annealing import CosineAnnealing, ExponentialAnnealing, LearnedAnnealing
from tasks import Split
from tests.meta.learning.problems import PointFamily, PointTask


@dataclass(frozen=True, eq=False)
class Watched(PointTask):
    """Points that record the scale at every loss."""

    scales: list[float] = field(default_factory=list)

    def loss(self, unknowns, renderer):
        """Return the loss of the points, which follow the scale."""
        self.scales.append(float(renderer.coverage.scale.in_pixels(1).detach()))
        return super().loss(unknowns, renderer)


def watched() -> Watched:
    """Return three points."""
    points = PointFamily().sample(0, 3, Split.TRAIN)
    return Watched(points.start, points.goal)


def objective(task: PointTask, steps: int) -> TrajectoryObjective:
    """Return the mean error over the late half of the steps."""
    return TrajectoryObjective((Rollout(task, InnerSettings(steps, 0.1), 2.0),), late)


@pytest.mark.parametrize(
    ("scale", "steps", "wanted"),
    [
        (lambda: ExponentialAnnealing(16.0, 1.0), 5, [16.0, 8.0, 4.0, 2.0, 1.0]),
        (lambda: CosineAnnealing(3.0, 1.0), 3, [3.0, 2.0, 1.0]),
        (lambda: CosineAnnealing(3.0, 1.0), 1, [3.0]),
        (lambda: LearnedAnnealing(0.5), 4, [0.5] * 4),
        (lambda: Pixels(0.7), 3, [0.7] * 3),
    ],
)
def test_scale_follows_the_steps(scale, steps, wanted):
    task, renderer = watched(), SoftRasterizer(Gaussian(scale()))
    # The second time as well: the progress starts anew.
    for _ in range(2):
        solve(task, Method(renderer), InnerSettings(steps, 0.1))
    assert task.scales == pytest.approx(2 * wanted, rel=1e-14)


def test_evaluation_does_not_move_the_softness_that_is_learned():
    renderer = SoftRasterizer(Gaussian(ExponentialAnnealing(4.0, 1.0)))
    objective(watched(), 4).evaluate(Method(renderer))
    assert renderer.coverage.scale.progress == 0


def test_evolution_learns_the_whole_course():
    scale = LearnedAnnealing(0.5)
    renderer = SoftRasterizer(Gaussian(scale))
    method = EvolutionStrategies(0.05, 4)
    estimate = method.estimate(
        objective(watched(), 12), Method(renderer), torch.Generator().manual_seed(0)
    )
    (gradient,) = estimate.gradients.values()
    # The points are beyond the goal of 1 and go down to 0.5: a wider softness would do better, early or late.
    assert gradient.shape == scale.log_factor.shape
    assert (gradient.abs() > 1e-4).all()


def test_first_order_looks_at_the_end_of_the_course():
    ends = Pixels(4.0, learn=True), Pixels(0.5, learn=True)
    renderer = SoftRasterizer(Gaussian(CosineAnnealing(*ends)))
    generator = torch.Generator().manual_seed(0)
    estimate = FirstOrder().estimate(objective(watched(), 4), Method(renderer), generator)
    first, last = (
        gradient for name, gradient in estimate.gradients.items() if name.endswith("log_value")
    )
    assert first == 0
    assert last != 0
    assert renderer.coverage.scale.progress == 0
