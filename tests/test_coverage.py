"""Properties of every coverage function, its closed form against SciPy, and the learned ones."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

import taichisoft as ts
from taichisoft import reference
from taichisoft.table import tabulate
from tests.helpers import AGGREGATIONS, COVERAGES, learned, pixel_camera, soft, soup_setup

SYMMETRIC = ("gaussian", "logistic", "squared_logistic", "uniform", "mlp_without_biases")
MONOTONE = tuple(name for name in COVERAGES if not name.startswith("mlp")) + ("random_spline",)
SCIPY = {
    "gaussian": scipy.stats.norm.cdf,
    "logistic": scipy.stats.logistic.cdf,
    "squared_logistic": lambda s: scipy.stats.logistic.cdf(s * np.abs(s)),
    "uniform": lambda s: scipy.stats.uniform.cdf(s, loc=-1, scale=2),
    "exponential_reversed": lambda s: scipy.stats.expon.sf(-s),
    "gamma_reversed_half": lambda s: scipy.stats.gamma.sf(-s, 0.5),
    "squared_gamma_reversed": lambda s: scipy.stats.gamma.sf(-s * np.abs(s), 2.0),
}
# Largest error of alpha made by the tables with 1,024 cells, over the domain, twice what was measured.
TABULATION = {
    "gaussian": 1e-6,
    "logistic": 2e-10,
    "squared_logistic": 1.4e-6,
    "uniform": 6e-6,
    "exponential_reversed": 1e-4,
    "gamma_reversed_half": 1e-2,
    "squared_gamma_reversed": 1.6e-5,
    "mlp": 8e-9,
    "mlp_without_biases": 2e-8,
    "spline": 1.5e-4,
    "random_spline": 1e-3,
}


def make(name: str) -> ts.Coverage:
    """Return a coverage by name; the extra one is a spline with random weights."""
    if name != "random_spline":
        return COVERAGES[name](1.0)
    return with_random_weights(ts.MonotoneSpline(learned(1.0)), 2.0, 1)


@torch.no_grad()
def with_random_weights(coverage: ts.Coverage, size: float, seed: int) -> ts.Coverage:
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in coverage.named_parameters():
        if not name.startswith("scale"):
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.copy_(size * noise)
    return coverage


def grid(coverage: ts.Coverage, count: int = 4001) -> torch.Tensor:
    domain = coverage.domain()
    return torch.linspace(domain.low, domain.high, count, dtype=torch.float64)


def values(coverage: ts.Coverage, s: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return coverage(s)


ALL = (*COVERAGES, "random_spline")


@pytest.mark.parametrize("name", SCIPY)
def test_equals_scipy(name):
    s = torch.linspace(-9, 9, 1800, dtype=torch.float64)  # without 0, the kink of some
    np.testing.assert_allclose(values(make(name), s).numpy(), SCIPY[name](s.numpy()), atol=2e-12)


def test_heaviside_is_the_step_that_includes_the_boundary():
    s = torch.tensor([-1e9, -1e-300, 0.0, 1e-300, 1e9], dtype=torch.float64)
    assert values(ts.Heaviside(), s).tolist() == [0, 0, 1, 1, 1]
    assert ts.Heaviside().without_tail(s).tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("name", ALL)
def test_within_zero_and_one_and_finite_at_extremes(name):
    coverage = make(name)
    s = torch.cat([grid(coverage), torch.tensor([-1e300, -1e9, -30, 0, 30, 1e9, 1e300]).double()])
    s = s.requires_grad_()
    d = coverage.without_tail(s)
    (slope,) = torch.autograd.grad(d.sum(), s)
    assert float(d.detach().min()) >= 0
    assert float(d.detach().max()) <= 1
    assert bool(slope.isfinite().all())


@pytest.mark.parametrize("name", MONOTONE)
def test_monotone(name):
    coverage = make(name)
    assert float(values(coverage, grid(coverage)).diff().min()) >= -1e-15


@pytest.mark.parametrize("name", ALL)
def test_vanishes_at_the_cut_off_and_is_constant_above(name):
    coverage = make(name)
    domain = coverage.domain()
    ends = torch.tensor([-1e6, domain.low, domain.high, 1e6], dtype=torch.float64)
    with torch.no_grad():
        below, low, high, above = coverage.without_tail(ends).tolist()
    assert below == low == 0
    assert above == high
    assert high > (0.9 if name.startswith("mlp") else 1 - 2e-6)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_one_half_on_the_boundary_and_odd_about_it(name):
    s = torch.linspace(0, 5, 501, dtype=torch.float64)
    coverage = make(name)
    assert float(values(coverage, s[:1])) == pytest.approx(0.5, abs=1e-15)
    torch.testing.assert_close(values(coverage, -s), 1 - values(coverage, s), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["exponential_reversed", "gamma_reversed_half"])
def test_reversed_ones_are_full_on_the_boundary(name):
    with torch.no_grad():
        assert float(make(name).without_tail(torch.zeros(1, dtype=torch.float64))) == 1


@pytest.mark.parametrize("name", ALL)
def test_slope_is_the_derivative(name):
    coverage = make(name)
    domain = coverage.domain()
    # Off the boundary, where the reversed ones have a kink or an infinite slope.
    s = torch.linspace(0.9 * domain.low, -0.2, 41, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(coverage(s).sum(), s)
    step = 1e-6
    with torch.no_grad():
        expected = (coverage(s + step) - coverage(s - step)) / (2 * step)
    torch.testing.assert_close(slope, expected, atol=2e-9, rtol=2e-7)


@pytest.mark.parametrize("name", [n for n in ALL if n != "random_spline"])
def test_rendered_coverage_scales_with_pixels(name, dtype):
    # Twice the scale in twice the scene is the same picture at every other sample.
    corners = torch.tensor([[4.0, -300, 1], [4.0, 300, 1], [900, 0, 1]], dtype=dtype)
    face = torch.tensor([[0, 1, 2]])
    profiles = []
    for factor in (1, 3):
        mesh = ts.Mesh(corners * torch.tensor([factor, factor, 1]), face)
        renderer = soft(COVERAGES[name](0.8 * factor))
        with torch.no_grad():
            alpha = renderer.silhouette(mesh, pixel_camera(1, 12 * factor, dtype))[0, 0]
        # Pixel centres j + 1/2 become 3 j + 3/2, which is the centre of pixel 3 j + 1.
        profiles.append(alpha if factor == 1 else alpha[1::3])
    torch.testing.assert_close(profiles[0], profiles[1], atol=2e-6, rtol=0)
    assert float(profiles[0].std()) > 0.05


@pytest.mark.parametrize("name", ALL)
def test_error_of_tabulation(name):
    coverage = make(name)
    s = grid(coverage, 30_011)
    with torch.no_grad():
        exact = coverage.without_tail(s)
        direct = tabulate(
            coverage.without_tail, coverage.without_tail(s[-1:])[0], coverage.domain()
        )
        errors = [float((direct(s) - exact).abs().max())]
        for aggregation in (AGGREGATIONS[n]() for n in AGGREGATIONS):
            renderer = ts.SoftRasterizer(coverage, aggregation)
            table = renderer.curves(64)[0].table
            errors.append(float((aggregation.inverse(table(s)) - exact).abs().max()))
    assert max(errors) <= TABULATION[name], f"errors {errors}"
    assert max(errors) > TABULATION[name] / 4, f"the bound is loose: {errors}"


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("name", [n for n in ALL if n != "random_spline"])
def test_rendered_image_is_the_exact_one(name, aggregation, dtype):
    # The engine, with its tables, against the twin that evaluates the functions themselves.
    setup = soup_setup(4, 6, (16, 20))
    renderer = soft(name, aggregation)
    with torch.no_grad():
        exact = reference.render(renderer, *setup.build(setup.leaves)).alpha
        found = renderer(*setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})).alpha
    assert float((found.double() - exact).abs().max()) < 5 * TABULATION[name] + 3e-5


@pytest.mark.parametrize("biases", [True, False])
def test_mlp_is_the_network_of_the_paper(biases):
    coverage = with_random_weights(ts.MLPCoverage(biases=biases), 0.8, 2)
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
    coverage = with_random_weights(ts.MLPCoverage(biases=biases), 0.6, 3)
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
    renderer = soft(with_random_weights(ts.MLPCoverage(learned(1.5)), 0.6, 3))
    setup = soup_setup(4, 6, (16, 20))
    image = renderer(*setup.build({n: x.to(dtype) for n, x in setup.leaves.items()}))
    weights = torch.linspace(0, 1, image.alpha.numel(), dtype=dtype).reshape(image.alpha.shape)
    (image.alpha * weights).sum().backward()
    for name, parameter in renderer.coverage.named_parameters():
        assert float(parameter.grad.abs().min()) > 1e-7, f"{name} has an entry without gradient"


def test_initial_mlp_is_near_the_normal_distribution_and_its_units_differ():
    coverage = ts.MLPCoverage()
    s = grid(coverage)
    assert float(values(coverage, s).diff().min()) > 0
    assert float((values(coverage, s) - torch.special.ndtr(s)).abs().max()) < 0.03
    for layer in coverage.layers[:-1]:
        rows = layer.weight.detach()
        assert float(torch.pdist(rows).min()) > 1e-3
    again = ts.MLPCoverage(seed=1)
    assert not torch.equal(again.layers[1].weight, coverage.layers[1].weight)
    assert torch.equal(ts.MLPCoverage().layers[1].weight, coverage.layers[1].weight)


@pytest.mark.parametrize("size", [0.1, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("seed", range(5))
def test_spline_is_monotone_and_anchored_for_any_weights(size, seed):
    coverage = with_random_weights(ts.MonotoneSpline(reach=3.0, knots=9), size, seed)
    s = torch.linspace(-4, 4, 8001, dtype=torch.float64)
    d = coverage(s)
    assert float(d[0].detach()) == 0
    assert float(d[-1].detach()) == pytest.approx(1, abs=1e-12)
    assert float(d.detach().diff().min()) >= -1e-12
    d.sum().backward()
    assert bool(coverage.weight.grad.isfinite().all())


@pytest.mark.parametrize("size", [1.0, 1e3])
def test_spline_with_any_weights_renders(size, dtype):
    renderer = soft(with_random_weights(ts.MonotoneSpline(learned(1.5)), size, 4))
    setup = soup_setup(4, 6, (16, 20))
    leaves = {n: x.to(dtype).requires_grad_() for n, x in setup.leaves.items()}
    image = renderer(*setup.build(leaves))
    wanted = [*leaves.values(), *renderer.parameters()]
    loss = image.alpha.sum() + image.depth.sum() + image.color.sum()
    gradients = torch.autograd.grad(loss, wanted)
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_initial_spline_is_near_a_logistic_curve():
    s = torch.linspace(-4, 4, 401, dtype=torch.float64)
    coverage = ts.MonotoneSpline()
    assert float((values(coverage, s) - torch.sigmoid(2 * s)).abs().max()) < 0.01


def test_scales():
    assert float(ts.Pixels(1.5).in_pixels(64)) == pytest.approx(1.5, rel=1e-15)
    assert float(ts.HeightFraction(0.1).in_pixels(64)) == pytest.approx(6.4, rel=1e-15)
    # SoftRas: 1e-4 in squared normalised units of half the height is 1 % of half the height.
    assert float(ts.HeightFraction.from_sigma(1e-4).in_pixels(200)) == pytest.approx(1.0, rel=1e-14)
    assert not list(ts.Pixels(1.0).parameters())
    assert [p.shape for p in ts.Pixels(1.0, learn=True).parameters()] == [torch.Size([])]
    softras = ts.Logistic.softras(1e-4)
    assert softras.squared
    assert float(softras.scale.in_pixels(200)) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize(
    ("make_bad", "error", "message"),
    [
        (lambda: ts.Gaussian(0.0), ValueError, "scale must be finite and greater than 0, got 0"),
        (lambda: ts.Gaussian(float("nan")), ValueError, "scale must be finite"),
        (lambda: ts.Gaussian("wide"), TypeError, "scale must be a number, got str"),
        (lambda: ts.Pixels(-1.0), ValueError, "value must be finite and greater than 0"),
        (lambda: ts.HeightFraction.from_sigma(-1e-4), ValueError, "sigma must be"),
        (lambda: ts.GammaReversed(shape=0.0), ValueError, "shape must be"),
        (lambda: ts.MLPCoverage(reach=0.0), ValueError, "reach must be"),
        (lambda: ts.MonotoneSpline(knots=1), ValueError, "knots must be at least 2, got 1"),
        (lambda: ts.MonotoneSpline(knots=2.5), TypeError, "knots must be an int, got float"),
        (lambda: ts.MonotoneSpline(reach=-1.0), ValueError, "reach must be"),
    ],
)
def test_bad_arguments(make_bad, error, message):
    with pytest.raises(error, match=message):
        make_bad()


def test_slope_at_the_cut_off_does_not_hang_on_rounding():
    # The tail that is removed and the coverage at the cut-off are equal up to rounding, which falls to
    # either side as the weights change; the gradient there was lost half of the time.
    for step in range(50):
        coverage = ts.MLPCoverage(1.0)
        with torch.no_grad():
            coverage.layers[0].weight[3, 0] += 1e-5 * step
        s = torch.tensor([-4.0, -3.0, 0.0], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(coverage.without_tail(s).sum(), s)
        (whole,) = torch.autograd.grad(coverage(s).sum(), s)
        assert slope[0] == pytest.approx(float(whole[0]), rel=0.1)
        assert slope[0] > 0
