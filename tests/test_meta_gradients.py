"""Meta-gradient estimators against exact derivatives, and the objective that they estimate."""

from __future__ import annotations

import math

import pytest
import torch

from meta.gradients import EvolutionStrategies, FirstOrder, MetaGradient
from meta.gradients.evolution import directions
from meta.gradients.first_order import direct_gradient
from meta.inner import InnerSettings
from meta.objective import Rollout, TrajectoryObjective, capped, compressed, final, frozen, late
from taichisoft import Gaussian, MLPCoverage, Pixels, SoftRasterizer
from tasks import PoseFamily, Split
from tests.meta_problems import ParameterObjective, PointFamily, flat, spline_renderer

SIZE = 5
SLOPE = torch.tensor([1.0, -2.0, 0.5, 3.0, -0.25], dtype=torch.float64)
CURVATURE = torch.diag(torch.tensor([2.0, 1.0, 0.5, 1.5, 1.0], dtype=torch.float64))
CURVATURE[0, 1] = CURVATURE[1, 0] = 0.3


def linear(p):
    return SLOPE @ p + 4


def quadratic(p):
    return p @ CURVATURE @ p / 2 + SLOPE @ p


def vector(estimate) -> torch.Tensor:
    """Return the gradients in the order of the parameters."""
    names = [name for name, _ in spline_renderer().named_parameters()]
    return torch.cat([estimate.gradients[name].reshape(-1) for name in names])


def scale_name(renderer: SoftRasterizer) -> str:
    """Return the name of the parameter behind the scale in pixels of the coverage."""
    wanted = renderer.coverage.scale.length.log_value
    (name,) = [name for name, p in renderer.named_parameters() if p is wanted]
    return name


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def point_objective(window=late, count: int = 3, steps: int = 6) -> TrajectoryObjective:
    family = PointFamily()
    task = family.sample(1, count, Split.TRAIN)
    inner = InnerSettings(steps, family.learning_rate)
    return TrajectoryObjective((Rollout(task, inner, family.error_cap),), window)


@pytest.mark.parametrize(
    "method", [EvolutionStrategies(0.1, 2), FirstOrder()], ids=["evolution", "first-order"]
)
class TestEveryEstimator:
    """What holds for all of them, through the one interface."""

    def test_shape_and_determinism(self, method: MetaGradient):
        """The same numbers give the same estimate, and the renderer stays as it is."""
        renderer, objective = spline_renderer(), point_objective()
        before = flat(renderer).clone()
        one = method.estimate(objective, renderer, seeded())
        two = method.estimate(objective, renderer, seeded())
        names = [name for name, _ in renderer.named_parameters()]
        assert list(one.gradients) == names
        for name, parameter in renderer.named_parameters():
            assert one.gradients[name].shape == parameter.shape
            assert one.gradients[name].dtype == parameter.dtype
            assert not one.gradients[name].requires_grad
            assert torch.equal(one.gradients[name], two.gradients[name])
            assert parameter.grad is None
        assert one.outcome.value == two.outcome.value
        assert 0 < one.outcome.value < 1
        assert one.is_finite()
        assert one.norm() == pytest.approx(float(vector(one).norm()), rel=1e-12)
        assert torch.equal(flat(renderer), before)

    def test_only_trainable_parameters(self, method: MetaGradient):
        """What is fixed gets no gradient."""
        renderer = spline_renderer()
        renderer.coverage.weight.requires_grad_(False)
        estimate = method.estimate(point_objective(), renderer, seeded())
        assert list(estimate.gradients) == [scale_name(renderer)]
        assert estimate.norm() > 0

    def test_nothing_to_train(self, method: MetaGradient):
        """A fixed softness is refused."""
        with pytest.raises(ValueError, match="renderer must have a parameter"):
            method.estimate(point_objective(), SoftRasterizer(Gaussian(1.0)), seeded())


@pytest.mark.parametrize("sigma", [1e-3, 2.0])
def test_evolution_is_exact_for_a_linear_objective(sigma):
    objective, renderer = ParameterObjective(linear), spline_renderer()
    estimate = EvolutionStrategies(sigma, SIZE).estimate(objective, renderer, seeded())
    torch.testing.assert_close(vector(estimate), SLOPE, rtol=1e-10, atol=1e-10)
    assert estimate.outcome.value == pytest.approx(
        float(linear(flat(renderer).detach())), rel=1e-12
    )
    assert objective.count == 2 * SIZE


def test_evolution_is_the_gradient_of_a_quadratic_objective():
    # Antithetic pairs cancel the curvature, so even a wide sigma leaves no bias.
    objective, renderer = ParameterObjective(quadratic), spline_renderer()
    p = flat(renderer).detach()
    exact = CURVATURE @ p + SLOPE
    estimate = EvolutionStrategies(0.7, 3 * SIZE).estimate(objective, renderer, seeded())
    torch.testing.assert_close(vector(estimate), exact, rtol=1e-10, atol=1e-10)


def test_evolution_with_few_pairs_is_unbiased():
    objective, renderer = ParameterObjective(quadratic), spline_renderer()
    exact = CURVATURE @ flat(renderer).detach() + SLOPE
    method, generator = EvolutionStrategies(0.7, 2), seeded()
    draws = torch.stack(
        [vector(method.estimate(objective, renderer, generator)) for _ in range(800)]
    )
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
    renderer, objective = spline_renderer(), point_objective(final, steps=300)
    scale = scale_name(renderer)
    estimate = EvolutionStrategies(1e-3, 10).estimate(objective, renderer, seeded())
    # At the end x is the scale 0.3, whose error in caps is e = (1 - 0.3) / 2.
    slope = 20 / (1 + 20 * 0.35) / math.log(21)
    assert float(estimate.gradients[scale]) == pytest.approx(-slope * 0.3 / 2, rel=1e-3)
    assert (
        float(estimate.gradients[scale.replace("scale.length.log_value", "weight")].abs().max())
        < 1e-7
    )


@pytest.mark.cpu_only
@pytest.mark.parametrize("biases", [True, False])
def test_first_order_agrees_with_central_differences(biases):
    family = PoseFamily(image_size=(12, 12), dtype=torch.float64)
    task = family.sample(3, 2, Split.TRAIN)
    renderer = SoftRasterizer(MLPCoverage(Pixels(0.5, learn=True), biases=biases))
    unknowns = task.init()
    rollout = Rollout(task, InnerSettings(2, 0.05), family.error_cap)
    gradients = direct_gradient(rollout, renderer, unknowns)
    for name, parameter in renderer.named_parameters():
        for index in (0, parameter.numel() - 1):
            value = parameter.detach().view(-1)
            found = gradients[name].reshape(-1)[index]
            kept, losses = value[index].clone(), []
            for sign in (1, -1):
                value[index] = kept + sign * 1e-5
                losses.append(task.loss(unknowns, frozen(renderer)).mean())
            value[index] = kept
            expected = (losses[0] - losses[1]) / 2e-5
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)
            assert found != 0


@pytest.mark.cpu_only
def test_first_order_is_the_direct_gradient_where_trajectories_end():
    family = PoseFamily(image_size=(12, 12), dtype=torch.float64)
    rollouts = tuple(
        Rollout(family.sample(seed, 2, Split.TRAIN), InnerSettings(2, 0.05), family.error_cap)
        for seed in (3, 4)
    )
    renderer = SoftRasterizer(Gaussian(Pixels(0.5, learn=True)))
    objective = TrajectoryObjective(rollouts)
    estimate = FirstOrder().estimate(objective, renderer, seeded())
    outcome = objective.evaluate(renderer)
    ends = [trajectory.unknowns for trajectory in outcome.trajectories]
    (name,) = estimate.gradients
    each = [
        direct_gradient(rollout, renderer, end)[name]
        for rollout, end in zip(rollouts, ends, strict=True)
    ]
    assert float(estimate.gradients[name]) == pytest.approx(float(sum(each)) / 2, rel=1e-12)
    assert estimate.outcome.value == outcome.value
    assert each[0] != each[1]


def test_first_order_needs_rollouts():
    with pytest.raises(ValueError, match="objective must have rollouts"):
        FirstOrder().estimate(ParameterObjective(linear), spline_renderer(), seeded())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EvolutionStrategies(0.0, 1), ValueError, "sigma must be finite and greater"),
        (lambda: EvolutionStrategies(0.1, 0), ValueError, "pairs must be at least 1, got 0"),
        (lambda: EvolutionStrategies(0.1, 1.5), TypeError, "pairs must be an int, got float"),
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
    both = TrajectoryObjective(one.rollouts + three.rollouts)
    renderer = spline_renderer()
    outcomes = [objective.evaluate(renderer) for objective in (one, three, both)]
    assert outcomes[2].value == pytest.approx((outcomes[0].value + outcomes[1].value) / 2)
    assert [t.losses.shape for t in outcomes[2].trajectories] == [(6, 1), (6, 3)]
    errors = outcomes[0].trajectories[0].errors
    assert torch.equal(errors[:4], errors[:1].expand(4, 1))
    assert not torch.equal(errors[4], errors[3])
