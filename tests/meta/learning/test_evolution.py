"""Evolution strategies against the exact gradients of simple objectives, and of short trajectories."""

from __future__ import annotations

import math

import pytest
import torch

from meta.learning.gradients import (
    Evolution,
    EvolutionStrategies,
    OneSidedEvolution,
    PersistentEvolution,
    Truncated,
    Unrolled,
)
from meta.learning.gradients.evolution import directions
from meta.learning.inner import InnerSettings
from meta.learning.method import Method
from meta.learning.objective import Rollout, TrajectoryObjective, final
from taichisoft import Gaussian, LearnedAnnealing, SoftRasterizer
from tests.meta.learning.problems import ParameterObjective, PointTask, flat, spline_method

SIZE = 5
SLOPE = torch.tensor([1.0, -2.0, 0.5, 3.0, -0.25], dtype=torch.float64)
CURVATURE = torch.diag(torch.tensor([2.0, 1.0, 0.5, 1.5, 1.0], dtype=torch.float64))
CURVATURE[0, 1] = CURVATURE[1, 0] = 0.3


def every(steps: int) -> int:
    """Return the first step: all of them count."""
    return 1


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vector(estimate) -> torch.Tensor:
    return torch.cat([gradient.reshape(-1) for gradient in estimate.gradients.values()])


def linear(p):
    return SLOPE @ p + 4


def quadratic(p):
    return p @ CURVATURE @ p / 2 + SLOPE @ p


@pytest.mark.parametrize("sigma", [1e-3, 2.0])
def test_evolution_is_exact_for_a_linear_objective(sigma):
    objective, solver = ParameterObjective(linear), spline_method()
    estimate = EvolutionStrategies(sigma, SIZE).estimate(objective, solver, seeded())
    torch.testing.assert_close(vector(estimate), SLOPE, rtol=1e-10, atol=1e-10)
    assert estimate.outcome.value == pytest.approx(float(linear(flat(solver).detach())), rel=1e-12)
    assert objective.count == 2 * SIZE


def test_evolution_is_the_gradient_of_a_quadratic_objective():
    # Antithetic pairs cancel the curvature, so even a wide sigma leaves no bias.
    objective, solver = ParameterObjective(quadratic), spline_method()
    p = flat(solver).detach()
    exact = CURVATURE @ p + SLOPE
    estimate = EvolutionStrategies(0.7, 3 * SIZE).estimate(objective, solver, seeded())
    torch.testing.assert_close(vector(estimate), exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sigma", [1e-3, 2.0])
def test_one_sided_evolution_is_exact_for_a_linear_objective(sigma):
    objective, solver = ParameterObjective(linear), spline_method()
    estimate = OneSidedEvolution(sigma, SIZE).estimate(objective, solver, seeded())
    torch.testing.assert_close(vector(estimate), SLOPE, rtol=1e-10, atol=1e-10)
    value = float(linear(flat(solver).detach()))
    assert estimate.outcome.value == pytest.approx(value, rel=1e-12)
    assert objective.count == SIZE + 1


@pytest.mark.parametrize("method", [EvolutionStrategies(0.7, 2), OneSidedEvolution(0.7, 4)])
def test_evolution_with_few_directions_is_unbiased(method: Evolution):
    objective, solver = ParameterObjective(quadratic), spline_method()
    exact = CURVATURE @ flat(solver).detach() + SLOPE
    generator = seeded()
    draws = torch.stack([vector(method.estimate(objective, solver, generator)) for _ in range(600)])
    error_of_mean = draws.std(0) / math.sqrt(len(draws))
    assert (draws.std(0) > 0.3).all()
    assert ((draws.mean(0) - exact).abs() < 4 * error_of_mean).all()


def test_directions():
    found = directions(13, 6, seeded())
    assert found.shape == (13, 6)
    identity = 6 * torch.eye(6, dtype=torch.float64)
    for block in (found[:6], found[6:12]):
        torch.testing.assert_close(block @ block.mT, identity, rtol=0, atol=1e-12)
    assert float(found[12] @ found[12]) == pytest.approx(6, rel=1e-12)
    assert not torch.allclose(found[:6], found[6:12])
    # Uniform rotations: no sign is preferred.
    many = torch.cat([directions(1, 3, seeded(seed)) for seed in range(500)])
    assert (many.mean(0).abs() < 4 / math.sqrt(500)).all()


def test_evolution_sees_through_the_trajectory():
    # The points follow the scale, so the error depends on it; the direct derivative is another one.
    task = PointTask(torch.tensor([1.2, 1.9]).double(), torch.ones(2).double())
    objective = TrajectoryObjective((Rollout(task, InnerSettings(300, 0.1), 2.0),), final)
    estimate = EvolutionStrategies(1e-3, 10).estimate(objective, spline_method(), seeded())
    (scale,) = [name for name in estimate.gradients if name.endswith("log_value")]
    (weight,) = set(estimate.gradients) - {scale}
    # At the end x is the scale 0.3, whose error in caps is e = (1 - 0.3) / 2.
    slope = 20 / (1 + 20 * 0.35) / math.log(21)
    assert float(estimate.gradients[scale]) == pytest.approx(-slope * 0.3 / 2, rel=1e-3)
    assert float(estimate.gradients[weight].abs().max()) < 1e-7


def course() -> Method:
    """Return a method whose scale has a knot for each of four steps."""
    return Method(SoftRasterizer(Gaussian(LearnedAnnealing(1.2))))


def influences(window=final, steps: int = 4) -> TrajectoryObjective:
    """Return points that overshoot, so that early steps matter as much as late ones."""
    task = PointTask(torch.tensor([1.3, 1.6, 2.0]).double(), torch.ones(3).double())
    return TrajectoryObjective((Rollout(task, InnerSettings(steps, 0.2), 2.0),), window)


def episode(method: PersistentEvolution, objective, solver, generator) -> torch.Tensor:
    """Return the mean of the estimates of an episode."""
    found = [vector(method.estimate(objective, solver, generator)) for _ in range(method.segments)]
    return torch.stack(found).mean(0)


def test_persistent_evolution_has_no_bias_where_truncation_has():
    objective, solver = influences(), course()
    exact = vector(Unrolled().estimate(objective, solver, seeded()))
    cut = vector(Truncated(2).estimate(objective, solver, seeded()))
    method, generator = PersistentEvolution(1e-3, 4, horizon=2, steps=4), seeded()
    draws = torch.stack([episode(method, objective, solver, generator) for _ in range(60)])
    error_of_mean = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - exact).abs() < 4 * error_of_mean).all()
    # The first two knots shape the first segment alone, which has no error that counts.
    assert (cut[:2] == 0).any()
    assert ((draws.mean(0) - cut).abs() / error_of_mean).max() > 8


def test_persistent_evolution_of_whole_trajectories_is_antithetic_evolution():
    objective, solver = influences(), course()
    method = PersistentEvolution(0.1, 3, horizon=9, steps=4)
    found = method.estimate(objective, solver, seeded())
    expected = EvolutionStrategies(0.1, 3).estimate(objective, solver, seeded())
    torch.testing.assert_close(vector(found), vector(expected), rtol=1e-12, atol=1e-14)
    for name in ("value", "error_mean", "success"):
        value = getattr(expected.outcome, name)
        assert getattr(found.outcome, name) == pytest.approx(value, rel=1e-12)
    assert method.segments == 1


@pytest.mark.parametrize(("horizon", "segments"), [(2, 3), (4, 2), (5, 1)])
def test_shares_of_an_episode_add_up_to_the_objective(horizon, segments):
    objective, solver = influences(every, steps=5), course()
    method = PersistentEvolution(1e-7, 1, horizon, steps=5)
    outcomes = [
        method.estimate(objective, solver, seeded()).outcome for _ in range(method.segments)
    ]
    assert method.segments == segments
    whole = objective.evaluate(solver)
    mean = sum(outcome.value for outcome in outcomes) / segments
    assert mean == pytest.approx(whole.value, rel=1e-6)
    assert outcomes[-1].error_mean == pytest.approx(whole.error_mean, rel=1e-6)
    assert outcomes[-1].success == whole.success


def test_episodes_begin_every_so_many_steps():
    method = PersistentEvolution(0.1, 1, horizon=2, steps=5)
    assert [method.objective_step(step) for step in range(7)] == [0, 0, 0, 3, 3, 3, 6]


def learned(method: PersistentEvolution, solver: Method, steps: range) -> None:
    """Take outer steps down the gradient."""
    for step in steps:
        estimate = method.estimate(influences(every), solver, seeded(step))
        for name, parameter in solver.named_parameters():
            parameter.data -= 0.1 * estimate.gradients[name]


@pytest.mark.parametrize("stop", [4, 5, 7])
def test_persistent_evolution_continues_from_a_checkpoint(stop, tmp_path):
    def make():
        return PersistentEvolution(0.1, 2, horizon=1, steps=4)

    solver = course()
    learned(make(), solver, range(9))
    resumed, method = course(), make()
    learned(method, resumed, range(stop))
    torch.save(method.state_dict(), tmp_path / "state.pt")
    # What comes after the checkpoint is lost, in the file and in memory.
    before = flat(resumed).detach().clone()
    learned(method, resumed, range(stop, stop + 1))
    other = make()
    for estimator in (other, method):
        estimator.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        resumed.renderer.coverage.scale.log_factor.data.copy_(before)
        learned(estimator, resumed, range(stop, 9))
        assert torch.equal(flat(resumed), flat(solver))
    assert not torch.equal(before, flat(solver))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": 3}, "3 pairs, got directions of shape"),
        ({"horizon": 4}, "1 to 0 segments and 2 pairs"),
    ],
)
def test_a_state_of_other_settings_is_refused(changes, message):
    settings = {"pairs": 2, "horizon": 1, "steps": 4}
    method = PersistentEvolution(0.1, **settings)
    method.estimate(influences(), course(), seeded())
    with pytest.raises(ValueError, match=message):
        PersistentEvolution(0.1, **(settings | changes)).load_state_dict(method.state_dict())


def test_trajectories_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"rollouts of 6 inner steps, .* got one of 4"):
        PersistentEvolution(0.1, 1, 2, steps=6).estimate(influences(), course(), seeded())
