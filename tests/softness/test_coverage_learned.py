"""The learned coverage functions: the network of the paper and the monotone spline."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from taichisoft.softness.coverage import Coverage, MLPCoverage, MonotoneSpline
from taichisoft.softness.occlusion import MonotoneDepth
from taichisoft.softness.scale import Pixels
from tests.helpers import soft, soup_setup
from tests.zoo.coverage import with_random_weights


def learned(scale: float) -> Pixels:
    return Pixels(scale, learn=True)


def grid(coverage: Coverage, count: int = 4001) -> torch.Tensor:
    domain = coverage.domain()
    return torch.linspace(domain.low, domain.high, count, dtype=torch.float64)


def values(coverage: Coverage, s: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return coverage(s)


@pytest.mark.parametrize("biases", [True, False])
def test_mlp_is_the_network_of_the_paper(biases):
    coverage = with_random_weights(MLPCoverage(biases=biases), 0.8, 2)
    weights = [layer.weight.detach().numpy() for layer in coverage.layers]
    offsets = [layer.bias.detach().numpy() if biases else 0 for layer in coverage.layers]
    assert [w.shape for w in weights] == [(4, 1), (4, 4), (4, 4), (4, 4), (1, 4)]
    for s in np.linspace(-3, 3, 7):
        skip = np.tanh(weights[0] @ [s] + offsets[0])
        hidden = np.tanh(weights[1] @ skip + offsets[1])
        hidden = np.tanh(weights[2] @ hidden + offsets[2])
        hidden = np.tanh(weights[3] @ hidden + offsets[3] + skip)
        expected = 1 / (1 + np.exp(-(weights[4] @ hidden + offsets[4])[0]))
        found = values(coverage, torch.tensor([s], dtype=torch.float64))
        assert float(found) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("biases", [True, False])
def test_every_weight_of_the_mlp_has_the_right_gradient(biases):
    # Applying an activation's derivative twice, or a wrong stride, shows in every entry.
    coverage = with_random_weights(MLPCoverage(biases=biases), 0.6, 3)
    s = torch.linspace(-3, 3, 13, dtype=torch.float64) + 0.1
    weight = torch.linspace(-1, 2, 13, dtype=torch.float64)
    (coverage(s) * weight).sum().backward()
    for name, parameter in coverage.layers.named_parameters():
        flat = parameter.data.reshape(-1)
        for index in range(len(flat)):
            kept = float(flat[index])
            ends = []
            for step in (1e-6, -1e-6):
                flat[index] = kept + step
                ends.append(float((values(coverage, s) * weight).sum()))
            flat[index] = kept
            expected = (ends[0] - ends[1]) / 2e-6
            found = float(parameter.grad.reshape(-1)[index])
            assert abs(found) > 1e-6, f"{name}[{index}] has no influence"
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-8), f"{name}[{index}]"


def test_every_weight_of_the_mlp_is_reached_through_a_render(dtype):
    renderer = soft(with_random_weights(MLPCoverage(learned(1.5)), 0.6, 3))
    setup = soup_setup(4, 6, (16, 20))
    image = renderer(*setup.build({n: x.to(dtype) for n, x in setup.leaves.items()}))
    weights = torch.linspace(0, 1, image.alpha.numel(), dtype=dtype).reshape(image.alpha.shape)
    (image.alpha * weights).sum().backward()
    for name, parameter in renderer.coverage.named_parameters():
        assert float(parameter.grad.abs().min()) > 1e-7, f"{name} has an entry without gradient"


def test_initial_mlp_is_near_the_normal_distribution_and_its_units_differ():
    coverage = MLPCoverage()
    s = grid(coverage)
    assert float(values(coverage, s).diff().min()) > 0
    assert float((values(coverage, s) - torch.special.ndtr(s)).abs().max()) < 0.03
    for layer in coverage.layers[:-1]:
        rows = layer.weight.detach()
        assert float(torch.pdist(rows).min()) > 1e-3
    again = MLPCoverage(seed=1)
    assert not torch.equal(again.layers[1].weight, coverage.layers[1].weight)
    assert torch.equal(MLPCoverage().layers[1].weight, coverage.layers[1].weight)


def test_slope_at_the_cut_off_does_not_hang_on_rounding():
    # The tail that is removed and the coverage at the cut-off are equal up to rounding, which falls to
    # either side as the weights change; the gradient there was lost half of the time.
    for step in range(50):
        coverage = MLPCoverage(1.0)
        with torch.no_grad():
            coverage.layers[0].weight[3, 0] += 1e-5 * step
        s = torch.tensor([-4.0, -3.0, 0.0], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(coverage.without_tail(s).sum(), s)
        (whole,) = torch.autograd.grad(coverage(s).sum(), s)
        assert slope[0] == pytest.approx(float(whole[0]), rel=0.1)
        assert slope[0] > 0


def test_a_network_that_covers_everything_gains_nothing_and_stays_finite():
    coverage = MLPCoverage()
    with torch.no_grad():
        coverage.layers[-1].bias.fill_(1e3)
    s = torch.linspace(-5, 5, 11, dtype=torch.float64)
    assert values(coverage, s).tolist() == [1.0] * 11
    assert coverage.without_tail(s).tolist() == [0.0] * 11


@pytest.mark.parametrize("size", [0.1, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("seed", range(5))
def test_spline_is_monotone_and_anchored_for_any_weights(size, seed):
    coverage = with_random_weights(MonotoneSpline(reach=3.0, knots=9), size, seed)
    s = torch.linspace(-4, 4, 8001, dtype=torch.float64)
    d = coverage(s)
    assert float(d[0].detach()) == 0
    assert float(d[-1].detach()) == pytest.approx(1, abs=1e-12)
    assert float(d.detach().diff().min()) >= -1e-12
    d.sum().backward()
    assert bool(coverage.weight.grad.isfinite().all())


@pytest.mark.parametrize("size", [1.0, 1e3])
def test_spline_with_any_weights_renders(size, dtype):
    renderer = soft(with_random_weights(MonotoneSpline(learned(1.5)), size, 4))
    setup = soup_setup(4, 6, (16, 20))
    leaves = {n: x.to(dtype).requires_grad_() for n, x in setup.leaves.items()}
    image = renderer(*setup.build(leaves))
    wanted = [*leaves.values(), *renderer.parameters()]
    loss = image.alpha.sum() + image.depth.sum() + image.color.sum()
    gradients = torch.autograd.grad(loss, wanted)
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_initial_spline_is_near_a_logistic_curve():
    s = torch.linspace(-4, 4, 401, dtype=torch.float64)
    coverage = MonotoneSpline()
    assert float((values(coverage, s) - torch.sigmoid(2 * s)).abs().max()) < 0.01


@pytest.mark.parametrize("reach", [1e-6, 4.0, 30.0, 37.8, 1e4])
def test_spline_starts_finite_whatever_its_reach(reach):
    for weight, s in (
        (
            MonotoneSpline(reach=reach).weight,
            torch.linspace(-reach, reach, 13, dtype=torch.float64),
        ),
        (MonotoneDepth(reach=reach).weight, torch.linspace(-reach, 0, 9, dtype=torch.float64)),
    ):
        assert bool(weight.isfinite().all())
        curve = (lambda x: torch.sigmoid(2 * x)) if len(s) == 13 else torch.exp
        expected = curve(s).diff() / curve(s).diff().sum()
        torch.testing.assert_close(
            torch.softmax(weight.detach(), 0), expected, rtol=1e-6, atol=1e-12
        )


@pytest.mark.parametrize(
    ("make_bad", "error", "message"),
    [
        (lambda: MLPCoverage(reach=0.0), ValueError, "reach must be"),
        (lambda: MonotoneSpline(knots=1), ValueError, "knots must be at least 2, got 1"),
        (lambda: MonotoneSpline(knots=2.5), TypeError, "knots must be an int, got float"),
        (lambda: MonotoneSpline(knots=257), ValueError, "knots must be at most 256, got 257"),
        (lambda: MonotoneDepth(knots=257), ValueError, "knots must be at most 256, got 257"),
        (lambda: MonotoneSpline(reach=-1.0), ValueError, "reach must be"),
    ],
)
def test_bad_arguments(make_bad, error, message):
    with pytest.raises(error, match=message):
        make_bad()
