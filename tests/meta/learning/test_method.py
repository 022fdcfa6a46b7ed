"""The rate of a method: what it does to a step, and what the estimators see of it."""

from __future__ import annotations

import pytest
import torch

from meta.learning.gradients import EvolutionStrategies, FirstOrder, Unrolled
from meta.learning.inner import AdamState, InnerSettings, adam_step, solve
from meta.learning.method import Method
from meta.learning.objective import Rollout, TrajectoryObjective, final
from taichisoft import Gaussian, Pixels, Positive, SoftRasterizer
from tests.meta.learning.problems import PointTask
from tests.meta.learning.test_inner import SETTINGS, unknowns


def points() -> PointTask:
    return PointTask(torch.tensor([1.2, 1.9]).double(), torch.ones(2).double())


def method(rate: Positive | float, learn: bool = False) -> Method:
    return Method(SoftRasterizer(Gaussian(Pixels(0.3, learn=learn))), rate)


def objective() -> TrajectoryObjective:
    return TrajectoryObjective((Rollout(points(), InnerSettings(4, 0.05), 2.0),), final)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_rate_of_one_changes_no_bit():
    dtypes = {"a": torch.float32, "b": torch.float64}
    start, gradients = unknowns(dtypes, 0), unknowns(dtypes, 1)
    zeros = {k: torch.zeros_like(v) for k, v in start.items()}
    state = AdamState(start, zeros, dict(zeros), 0)
    plain = adam_step(state, gradients, SETTINGS)
    one = adam_step(state, gradients, SETTINGS, Positive(1.0)())
    for name, value in plain.unknowns.items():
        assert torch.equal(one.unknowns[name], value)
        assert one.unknowns[name].dtype == dtypes[name]


def test_the_rate_multiplies_the_learning_rate():
    faster = solve(points(), method(1.7), InnerSettings(5, 0.1)).unknowns["x"]
    same = solve(points(), method(1.0), InnerSettings(5, 1.7 * 0.1)).unknowns["x"]
    torch.testing.assert_close(faster, same, rtol=1e-14, atol=0)
    assert not torch.equal(same, solve(points(), method(1.0), InnerSettings(5, 0.1)).unknowns["x"])


def test_values_and_derivatives_see_the_same_slope_of_the_rate():
    # Steps of sign 1 and length 0.05 r, so that x = x0 - 4 * 0.05 r, nearly.
    solver = method(Positive(1.0, learn=True))
    exact, smooth = (
        estimator.estimate(objective(), solver, seeded()).gradients["rate.log_value"]
        for estimator in (Unrolled(), EvolutionStrategies(1e-4, 1))
    )
    assert float(exact) == pytest.approx(float(smooth), rel=1e-5)
    assert float(exact) < -1e-3


@pytest.mark.parametrize("learn", [True, False])
def test_first_order_does_not_see_the_rate(learn):
    solver = method(Positive(1.3, learn=True), learn)
    found = FirstOrder().estimate(objective(), solver, seeded()).gradients
    assert float(found.pop("rate.log_value")) == 0
    assert [float(gradient) != 0 for gradient in found.values()] == [True] * learn


def test_only_a_learned_rate_is_told():
    assert method(2.0).learned_rate(0.5) == {}
    (rate,) = method(Positive(2.0, learn=True)).learned_rate(0.5).values()
    assert rate == pytest.approx(1.0)
    with pytest.raises(TypeError, match="renderer must be a SoftRasterizer"):
        Method(Gaussian(1.0))
