"""Whoever solves problems tells a conditioned softness their situation, and no other."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from meta.learning.gradients import EvolutionStrategies, FirstOrder, PersistentEvolution
from meta.learning.gradients.steps import advance
from meta.learning.inner import InnerSettings, solve, start
from meta.learning.method import Method
from meta.learning.objective import Rollout, TrajectoryObjective, throughout
from taichisoft import ConditionedPositive, Gaussian, Pixels, Situation, SoftRasterizer
from tests.meta.learning.problems import PointTask

INNER = InnerSettings(4, 0.1)


@dataclass(frozen=True, eq=False)
class Scene(PointTask):
    """Points in a scene with edges of a length."""

    edge_length: float = 8.0

    def situation(self):
        """Return that of the scene."""
        return Situation(edge_length=self.edge_length)


class Unmeasured(PointTask):
    """Points whose situation nobody may ask for."""

    def situation(self):
        """Fail."""
        raise AssertionError("measured")


def scene(edge_length: float) -> Scene:
    """Return a point that starts at 1 and whose goal is there as well."""
    one = torch.ones(1, dtype=torch.float64)
    return Scene(one, one, edge_length)


def conditioned(exponent: float = 1.0) -> Method:
    """Return a method whose scale is 1 px at the reference, and proportional to the edges or nearly."""
    length = ConditionedPositive(1.0, {"edge_length": exponent}, learn=True)
    return Method(SoftRasterizer(Gaussian(Pixels(length))))


def test_the_renderer_is_told_before_the_first_step():
    # Edges of 8 px: the scale is 2 px, one away from where the point starts.
    assert solve(scene(8.0), conditioned(), INNER).losses[0] == pytest.approx(1.0)
    method = conditioned()
    advance(Rollout(scene(16.0), INNER, 2.0), method, start(scene(16.0)))
    assert method.renderer.coverage.scale.length.situation.edge_length == 16


def test_who_follows_nothing_does_not_pay():
    one = torch.ones(1, dtype=torch.float64)
    solve(Unmeasured(one, one), Method(SoftRasterizer(Gaussian(1.0))), INNER)
    with pytest.raises(AssertionError, match="measured"):
        solve(Unmeasured(one, one), conditioned(), INNER)


@pytest.mark.parametrize(
    "estimator",
    [FirstOrder(), EvolutionStrategies(0.01, 6), PersistentEvolution(0.01, 6, 4, 4)],
    ids=["first order", "evolution", "persistent"],
)
def test_estimators_tell_each_rollout_its_own(estimator):
    # Weights of nearly everything on one scene or the other: its feature is the ratio of the two slopes.
    for edge_length, other in ((8.0, 1.0), (2.0, 64.0)):
        rollouts = (
            Rollout(scene(edge_length), INNER, 2.0, weight=1.0),
            Rollout(scene(other), INNER, 2.0, weight=1e-9),
        )
        objective = TrajectoryObjective(rollouts, throughout)
        method = conditioned(0.5)
        estimate = estimator.estimate(objective, method, torch.Generator().manual_seed(0))
        by_value, by_weights = (
            next(g for name, g in estimate.gradients.items() if name.endswith(end))
            for end in ("log_value", "weights")
        )
        seen = Situation(edge_length=edge_length).features()
        assert by_value.abs() > 1e-3
        torch.testing.assert_close(by_weights / by_value, seen, rtol=0.02, atol=0.02)
