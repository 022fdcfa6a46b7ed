"""Meta-gradient estimators against exact derivatives, and the objective that they estimate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from meta.learning.gradients import (
    CovarianceAdaptation,
    EvolutionStrategies,
    FirstOrder,
    MetaGradient,
    OneSidedEvolution,
    PersistentEvolution,
    Truncated,
    Unrolled,
)
from meta.learning.gradients.first_order import direct_gradient
from meta.learning.group import Alone
from meta.learning.inner import InnerSettings
from meta.learning.method import Method
from meta.learning.objective import (
    Rollout,
    TrajectoryObjective,
    capped,
    compressed,
    final,
    frozen,
    late,
)
from taichisoft import Gaussian, MLPCoverage, Pixels, SoftRasterizer
from tasks import PoseFamily, Split
from tests.meta.learning.problems import ParameterObjective, PointFamily, flat, spline_method


def vector(estimate) -> torch.Tensor:
    """Return the gradients in the order of the parameters."""
    names = [name for name, _ in spline_method().named_parameters()]
    return torch.cat([estimate.vectors[name].reshape(-1) for name in names])


def scale_name(solver: Method) -> str:
    """Return the name of the parameter behind the scale in pixels of the coverage."""
    wanted = solver.renderer.coverage.scale.length.log_value
    (name,) = [name for name, p in solver.named_parameters() if p is wanted]
    return name


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def point_objective(window=late, count: int = 3, steps: int = 6) -> TrajectoryObjective:
    family = PointFamily()
    task = family.sample(1, count, Split.TRAIN)
    inner = InnerSettings(steps, family.learning_rate)
    return TrajectoryObjective((Rollout(task, inner, family.error_cap),), window)


ESTIMATORS = {
    "unrolled": Unrolled,
    "truncated": lambda: Truncated(4),
    "first-order": FirstOrder,
    "evolution": lambda: EvolutionStrategies(0.1, 2),
    "one-sided": lambda: OneSidedEvolution(0.1, 2),
    "persistent": lambda: PersistentEvolution(0.1, 2, horizon=6, steps=6),
}
# What remembers more than where an episode has come to.
REMEMBERING = {"cma": lambda: CovarianceAdaptation(0.1, 4)}


class Twice(Alone):
    """Two processes that have the same problems."""

    size, rank = 2, 0

    def sum(self, values):
        """Return what both of them have."""
        return 2 * values


EVERY = ESTIMATORS | REMEMBERING


@pytest.mark.parametrize("make", EVERY.values(), ids=list(EVERY))
class TestEveryEstimator:
    """What holds for all of them, through the one interface."""

    def test_shape_and_determinism(self, make: Callable[[], MetaGradient]):
        """The same numbers give the same estimate, and the method stays as it is."""
        solver, objective = spline_method(), point_objective()
        before = flat(solver).clone()
        one = make().estimate(objective, solver, seeded())
        two = make().estimate(objective, solver, seeded())
        names = [name for name, _ in solver.named_parameters()]
        assert list(one.vectors) == names
        for name, parameter in solver.named_parameters():
            assert one.vectors[name].shape == parameter.shape
            assert one.vectors[name].dtype == parameter.dtype
            assert not one.vectors[name].requires_grad
            assert torch.equal(one.vectors[name], two.vectors[name])
            assert parameter.grad is None
        assert one.outcome.value == two.outcome.value
        assert 0 < one.outcome.value < 1
        assert one.is_finite()
        assert one.norm() == pytest.approx(float(vector(one).norm()), rel=1e-12)
        assert torch.equal(flat(solver), before)

    def test_only_trainable_parameters(self, make: Callable[[], MetaGradient]):
        """What is fixed gets no gradient."""
        solver = spline_method()
        solver.renderer.coverage.weight.requires_grad_(False)
        estimate = make().estimate(point_objective(), solver, seeded())
        assert list(estimate.vectors) == [scale_name(solver)]
        assert estimate.norm() > 0

    def test_nothing_to_train(self, make: Callable[[], MetaGradient]):
        """A fixed softness is refused."""
        with pytest.raises(ValueError, match="method must have a parameter"):
            make().estimate(point_objective(), Method(SoftRasterizer(Gaussian(1.0))), seeded())

    def test_sums_over_processes_and_weighs_rollouts(self, make: Callable[[], MetaGradient]):
        """Halves of a rollout, on one process or on two, are the whole."""
        (rollout,) = point_objective().rollouts
        half = replace(rollout, weight=0.5)
        whole, halves, shared = (
            make().estimate(objective, spline_method(), seeded())
            for objective in (
                TrajectoryObjective((rollout,)),
                TrajectoryObjective((half, half)),
                TrajectoryObjective((half,), group=Twice()),
            )
        )
        for other in (halves, shared):
            torch.testing.assert_close(vector(other), vector(whole), rtol=1e-12, atol=1e-15)
            assert other.outcome.value == pytest.approx(whole.outcome.value, rel=1e-12)
            assert other.outcome.error_mean == pytest.approx(whole.outcome.error_mean, rel=1e-12)
        assert vector(whole).norm() > 0

    def test_before_a_step(self, make: Callable[[], MetaGradient]):
        """A state is empty then, and a wrong one is refused."""
        method = make()
        assert method.state_dict() == {}
        method.load_state_dict({})
        assert method.objective_step(7) == 7
        with pytest.raises(ValueError, match=r"state .*must .*got weight"):
            method.load_state_dict({"weight": 1})


@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=list(ESTIMATORS))
def test_keeps_nothing_between_episodes(make: Callable[[], MetaGradient]):
    method = make()
    method.estimate(point_objective(), spline_method(), seeded())
    assert method.state_dict() == {}
    assert method.objective_step(7) == 7


@pytest.mark.cpu_only
@pytest.mark.parametrize("biases", [True, False])
def test_first_order_agrees_with_central_differences(biases):
    family = PoseFamily(image_size=(12, 12), dtype=torch.float64)
    task = family.sample(3, 2, Split.TRAIN)
    solver = Method(SoftRasterizer(MLPCoverage(Pixels(0.5, learn=True), biases=biases)))
    unknowns = task.init()
    rollout = Rollout(task, InnerSettings(2, 0.05), family.error_cap)
    gradients = direct_gradient(rollout, solver, unknowns)
    for name, parameter in solver.named_parameters():
        for index in (0, parameter.numel() - 1):
            value = parameter.detach().view(-1)
            found = gradients[name].reshape(-1)[index]
            kept, losses = value[index].clone(), []
            for sign in (1, -1):
                value[index] = kept + sign * 1e-5
                losses.append(task.loss(unknowns, frozen(solver).renderer).mean())
            value[index] = kept
            expected = (losses[0] - losses[1]) / 2e-5
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)
            assert found != 0


@pytest.mark.cpu_only
def test_first_order_is_the_direct_gradient_where_trajectories_end():
    family = PoseFamily(image_size=(12, 12), dtype=torch.float64)
    rollouts = tuple(
        Rollout(
            family.sample(seed, 2, Split.TRAIN), InnerSettings(2, 0.05), family.error_cap, weight
        )
        for seed, weight in ((3, 0.25), (4, 0.75))
    )
    solver = Method(SoftRasterizer(Gaussian(Pixels(0.5, learn=True))))
    objective = TrajectoryObjective(rollouts)
    estimate = FirstOrder().estimate(objective, solver, seeded())
    outcome = objective.evaluate(solver)
    ends = [trajectory.unknowns for trajectory in outcome.trajectories]
    (name,) = estimate.gradients
    each = [
        direct_gradient(rollout, solver, end)[name]
        for rollout, end in zip(rollouts, ends, strict=True)
    ]
    expected = 0.25 * each[0] + 0.75 * each[1]
    assert float(estimate.gradients[name]) == pytest.approx(float(expected), rel=1e-12)
    assert estimate.outcome.value == outcome.value
    assert each[0] != each[1]


@pytest.mark.parametrize("name", ["unrolled", "truncated", "first-order", "persistent"])
def test_what_looks_inside_needs_rollouts(name):
    with pytest.raises(ValueError, match=r"objective must have rollouts for .*, it has none"):
        ESTIMATORS[name]().estimate(ParameterObjective(torch.sum), spline_method(), seeded())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EvolutionStrategies(0.0, 1), ValueError, "sigma must be finite and greater"),
        (lambda: EvolutionStrategies(0.1, 0), ValueError, "pairs must be at least 1, got 0"),
        (lambda: EvolutionStrategies(0.1, 1.5), TypeError, "pairs must be an int, got float"),
        (lambda: OneSidedEvolution(0.1, 0), ValueError, "count must be at least 1, got 0"),
        (lambda: PersistentEvolution(0.1, 1, 0, 4), ValueError, "horizon must be at least 1, got"),
        (lambda: PersistentEvolution(0.1, 1, 2, 0), ValueError, "steps must be at least 1, got 0"),
        (lambda: Truncated(0), ValueError, "horizon must be at least 1, got 0"),
        (lambda: TrajectoryObjective(()), ValueError, "rollouts must hold at least one"),
        (lambda: TrajectoryObjective([]), TypeError, "rollouts must be a tuple, got list"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


LATE_CAPS = ((0.5, 0.0), (0.25, 0.125))


def test_objective_windows():
    errors = torch.tensor([[9.0, 9.0], [3.0, 1.0], [1.0, 0.5], [0.5, 0.25], [1.0, 0.0]])
    # With a cap of 2: the last row, and the mean over the last two of four steps.
    last, before = ([math.log(1 + 20 * e) / math.log(21) for e in row] for row in LATE_CAPS)
    assert float(point_objective(final).reduce(errors, 2.0)) == pytest.approx(sum(last) / 2)
    assert float(point_objective(late).reduce(errors, 2.0)) == pytest.approx(sum(last + before) / 4)
    assert (late(1), late(4), late(5), final(5)) == (1, 3, 3, 5)


def test_objective_is_capped_and_survives_nan():
    errors = torch.tensor([torch.nan, torch.inf, 5.0, 1.0, 0.0])
    assert capped(errors, 2.0).tolist() == [1.0, 1.0, 1.0, 0.5, 0.0]
    assert compressed(errors, 2.0)[[0, 4]].tolist() == [1.0, 0.0]


def test_objective_averages_families_and_measures_only_what_counts():
    one, three = point_objective(count=1), point_objective(count=3)
    shares = zip(one.rollouts + three.rollouts, (0.4, 0.6), strict=True)
    both = TrajectoryObjective(tuple(replace(rollout, weight=w) for rollout, w in shares))
    solver = spline_method()
    outcomes = [objective.evaluate(solver) for objective in (one, three, both)]
    expected = 0.4 * outcomes[0].value + 0.6 * outcomes[1].value
    assert outcomes[2].value == pytest.approx(expected, rel=1e-12)
    assert [t.losses.shape for t in outcomes[2].trajectories] == [(6, 1), (6, 3)]
    errors = outcomes[0].trajectories[0].errors
    assert torch.equal(errors[:4], errors[:1].expand(4, 1))
    assert not torch.equal(errors[4], errors[3])
