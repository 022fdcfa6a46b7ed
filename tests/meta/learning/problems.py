"""Small exact problems for the tests of meta-learning, which need no rendering."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from meta.learning.method import Method
from meta.learning.objective import Objective, Outcome, Rollout
from meta.learning.settings import TrainSettings
from taichisoft import MonotoneSpline, Pixels, Positive, Situation, SoftRasterizer
from tasks import Split, Task, TaskFamily, Unknowns


def flat(method: nn.Module) -> Tensor:
    """Return all parameters as one vector."""
    return torch.cat([p.reshape(-1) for p in method.parameters()])


def spline_method(knots: int = 4, rate: Positive | float = 1.0) -> Method:
    """Return a method whose renderer has ``knots + 1`` parameters."""
    coverage = MonotoneSpline(Pixels(0.3, learn=True), knots=knots)
    return Method(SoftRasterizer(coverage), rate)


class ParameterObjective(Objective):
    """A function of the parameters alone; counts its evaluations."""

    def __init__(self, function):
        self.function = function
        self.count = 0

    def evaluate(self, method: Method) -> Outcome:
        """Return the value of the function."""
        self.count += 1
        return Outcome(float(self.function(flat(method))), 0.0, 0.0)

    @property
    def rollouts(self) -> tuple[Rollout, ...]:
        """There are none."""
        return ()

    def reduce(self, errors: Tensor, cap: float) -> Tensor:
        """Never called: there are no trajectories."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class PointTask(Task):
    """Points (P,) that go to where the scale of the softness is, and should go to a target."""

    start: Tensor
    goal: Tensor

    @property
    def count(self) -> int:
        """Number of points."""
        return len(self.start)

    def init(self) -> Unknowns:
        """Return the start."""
        return {"x": self.start.clone()}

    def solution(self) -> Unknowns:
        """Return the goal."""
        return {"x": self.goal.clone()}

    def loss(self, unknowns: Unknowns, renderer: SoftRasterizer) -> Tensor:
        """Return the squared distance from the scale."""
        return (unknowns["x"] - renderer.coverage.scale.in_pixels(1)) ** 2

    def error(self, unknowns: Unknowns) -> Tensor:
        """Return the distance from the goal."""
        return (unknowns["x"] - self.goal).abs()

    def situation(self) -> Situation:
        """Return one in which edges are 8 px long."""
        return Situation(edge_length=8.0)

    def success(self, error: Tensor) -> Tensor:
        """Return which are nearly there."""
        return error < 0.1

    def views(self, unknowns: Unknowns, problem: int) -> Tensor:
        """Return a blank."""
        return torch.zeros(2, 2)

    def target(self, problem: int) -> Tensor:
        """Return another blank."""
        return torch.ones(2, 2)


@dataclass(frozen=True)
class PointFamily(TaskFamily):
    """Points whose goal is 1: a softness with a scale of one pixel solves them all.

    They stand in for the pose family. Rates and errors are in pixels.
    """

    name = "pose"
    error_unit = "pixels"
    error_cap = 2.0
    learning_rate = 0.1

    def sample(self, seed: int, count: int, split: Split) -> PointTask:
        """Return the same points for both splits."""
        return self.draw(count, split, torch.Generator().manual_seed(seed))

    def draw(self, count: int, split: Split, generator: torch.Generator) -> PointTask:
        """Return points beyond the goal."""
        start = 1 + torch.rand(count, generator=generator, dtype=torch.float64)
        return PointTask(start, torch.ones(count, dtype=torch.float64))


TINY = {
    "families": ("pose",),
    "pose_problems": 4,
    "learn": ("coverage", "scale"),
    "coverage": "spline",
    "schedule": "constant",
    "scale": 0.3,
    "aggregation": "probabilistic",
    "es_pairs": 2,
    "es_sigma": 0.3,
    "inner_steps": 8,
    "outer_steps": 3,
    "checkpoint_every": 2,
    "learning_rate": 0.1,
}


def tiny(**changes) -> TrainSettings:
    """Return settings for three quick steps; changes have the names of `meta.learning.flat_settings`."""
    return TrainSettings.from_json(TINY | changes)
