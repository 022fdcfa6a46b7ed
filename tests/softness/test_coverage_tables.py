"""The tables of every coverage function: how exact they are, how small, and how they render."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taichisoft import DepthSoftmax, Mesh, SoftRasterizer
from taichisoft.render import reference
from taichisoft.softness.aggregation import Probabilistic
from taichisoft.softness.coverage import (
    Coverage,
    Exponential,
    Gaussian,
    Gudermannian,
    Laplace,
    Logistic,
    Mixture,
    MLPCoverage,
    MonotoneSpline,
    Reciprocal,
    Uniform,
)
from taichisoft.softness.curves import SoftnessCurves, below_full
from taichisoft.softness.scale import Pixels
from taichisoft.softness.softness import Softness
from taichisoft.softness.tables.table import Table, tabulate
from tests.helpers import pixel_camera, soup_setup
from tests.zoo.coverage import CASES, FAMILIES, OTHERS, VARIANTS, made, numbers, with_random_weights

# Cells of a table that is one piece of uniform cells: 1024, and the constants below and above.
ONE_PIECE = 1026
LIGHT = (
    "gaussian",
    "laplace",
    "logistic",
    "gudermannian",
    "gumbel_max",
    "gumbel_min",
    "exponential",
)
RENDERED = ("cauchy", "squared_gamma_reversed_half", "moved_laplace", "levy", "mixture_with_steps")


def sampled(coverage: Coverage, *centres: float) -> torch.Tensor:
    """Return the domain densely, and every special point and centre approached from both sides."""
    domain = coverage.domain()
    dense = torch.linspace(domain.low, domain.high, 4001, dtype=torch.float64)
    middle = torch.linspace(-8, 8, 8001, dtype=torch.float64)
    steps = torch.logspace(-14, math.log10(domain.span), 300, dtype=torch.float64)
    points = (domain.low, domain.high, *domain.kinks, *(at for at, _ in domain.graded), *centres)
    near = (numbers(*points).unsqueeze(-1) + torch.cat([-steps, numbers(0), steps])).reshape(-1)
    s = torch.cat([dense, middle, near])
    return s[(s >= domain.low) & (s < domain.high)]


def tables(coverage: Coverage) -> tuple[Table, Table]:
    """Return the tables of coverage and of optical depth, as the rasterizer makes them."""
    aggregation = Probabilistic()
    with torch.no_grad():
        top = coverage.without_tail(numbers(coverage.domain().high))
        return (
            tabulate(coverage.without_tail, top, coverage.domain()),
            tabulate(
                lambda s: aggregation.generator(below_full(coverage.without_tail(s))),
                aggregation.generator(top),
                coverage.domain(),
            ),
        )


def errors(coverage: Coverage, *centres: float) -> list[float]:
    """Return the largest errors of coverage and of alpha."""
    s = sampled(coverage, *centres)
    direct, depth = tables(coverage)
    with torch.no_grad():
        exact = coverage.without_tail(s)
        alpha = Probabilistic().inverse(depth(s))
    return [float((direct(s) - exact).abs().max()), float((alpha - below_full(exact)).abs().max())]


@pytest.mark.parametrize("family", [*FAMILIES, *(name for name in OTHERS if name != "heaviside")])
def test_error_of_tabulation(family):
    members = [family] if family in OTHERS else [prefix + family for prefix, _, _ in VARIANTS]
    found = {name: errors(made(name)) for name in members}
    allowed = CASES[family].tabulation
    assert max(max(pair) for pair in found.values()) <= allowed, f"errors {found}"
    assert max(max(pair) for pair in found.values()) > allowed / 4, f"the bound is loose: {found}"


def kept(coverage: Coverage) -> float:
    """Return how much of the rise is above the cut-off; it is magnified to 1, and errors with it."""
    with torch.no_grad():
        return 1 - float(coverage(coverage.low()))


# 0 or not, and far beyond what is sensible.
SHIFTS = st.just(0.0) | st.floats(-3, 3) | st.floats(-10, 10)
REACHES = st.none() | st.floats(-1, 4).map(lambda exponent: 10**exponent)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(list(FAMILIES)), st.booleans(), SHIFTS, REACHES)
def test_error_of_tabulation_whatever_the_options(name, squared, shift, reach):
    coverage = FAMILIES[name].kind(squared=squared, shift=shift, reach=reach)
    # Measured on many more: 7.3e-7.
    assert max(errors(coverage, coverage.centre())) < 1e-6 / kept(coverage)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "options",
    [
        {"reach": 200.0, "squared": True},
        {"reach": 1e5},
        {"reach": 60.0, "shift": 5.0},
        {"shift": 30.0, "reach": 30.0, "squared": True},
        # The cut-off is inside, and the domain begins with the tail.
        {"shift": -6.0, "reach": 2.0},
    ],
    ids=str,
)
def test_a_far_cut_off_costs_no_accuracy(name, options):
    coverage = FAMILIES[name].kind(**options)
    assert max(errors(coverage, coverage.centre())) < 1e-6 / kept(coverage)


MIXTURES = {
    "far_reach": [Gaussian(reach=200.0), Laplace(0.5, reach=300.0)],
    "narrow_beginning": [Exponential(0.04, shift=8.7), Laplace(11.0, reach=340.0)],
    "beginning_at_the_end": [Exponential(0.1, shift=-10.0), Uniform(shift=2.0)],
    "tail_beside_an_end": [Gaussian(0.4, shift=-28.9, reach=2.0), Uniform(0.3)],
    "kinks_behind_kinks": [Logistic(0.05, squared=True, shift=-0.5), Reciprocal(2.5, squared=True)],
    "narrow": [Gudermannian(0.13), Logistic(0.3, shift=40.0), Gaussian()],
}


@pytest.mark.parametrize("name", MIXTURES)
def test_error_of_tabulation_of_mixtures_of_very_different_components(name):
    centres = [f.centre() * float(f.scale.length()) for f in MIXTURES[name]]
    assert max(errors(Mixture(MIXTURES[name]), *centres)) < 1e-6


@pytest.mark.parametrize("name", LIGHT)
@pytest.mark.parametrize("prefix", ["", "squared_", "shifted_"])
def test_smooth_functions_keep_the_fastest_table(name, prefix):
    assert len(tables(made(prefix + name))[0].cells) == ONE_PIECE


@pytest.mark.parametrize("name", RENDERED)
def test_rendered_coverage_scales_with_pixels(name, dtype):
    # Three times the scale in three times the scene is the same picture at every third sample.
    corners = torch.tensor([[4.0, -300, 1], [4.0, 300, 1], [900, 0, 1]], dtype=dtype)
    profiles = []
    for factor in (1, 3):
        mesh = Mesh(corners * torch.tensor([factor, factor, 1]), torch.tensor([[0, 1, 2]]))
        renderer = SoftRasterizer(CASES[name].make(Pixels(0.8 * factor)))
        with torch.no_grad():
            alpha = renderer.silhouette(mesh, pixel_camera(1, 12 * factor, dtype))[0, 0]
        # Pixel centres j + 1/2 become 3 j + 3/2, which is the centre of pixel 3 j + 1.
        profiles.append(alpha if factor == 1 else alpha[1::3])
    torch.testing.assert_close(profiles[0], profiles[1], atol=2e-6, rtol=0)
    assert float(profiles[0].std()) > 0.05


@pytest.mark.parametrize("name", RENDERED)
def test_rendered_image_is_the_exact_one(name, dtype):
    # The engine, with its tables, against the twin that evaluates the functions themselves.
    setup = soup_setup(4, 6, (16, 20))
    renderer = SoftRasterizer(CASES[name].make(Pixels(1.0)), occlusion=DepthSoftmax())
    with torch.no_grad():
        exact = reference.render(renderer, *setup.build(setup.leaves)).alpha
        found = renderer(*setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})).alpha
    # Measured in float64: 2.1e-8, by the tables.
    allowed = 5e-8 if dtype == torch.float64 else 3e-5
    assert float((found.double() - exact).abs().max()) < allowed


@pytest.mark.parametrize("size", [0.1, 1.0, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("seed", range(6))
@torch.no_grad()
def test_tables_of_any_network_stay_between_zero_and_one(size, seed):
    softness = Softness(with_random_weights(MLPCoverage(), size, seed))
    for precision in (torch.float64, torch.float32):
        s = torch.linspace(-4.5, 4.5, 60_001, dtype=precision)
        found = SoftnessCurves(softness).coverage(1).table(s)
        # Evaluating a cubic rounds.
        assert -1e-6 <= float(found.min()) <= float(found.max()) <= 1 + 1e-6
        alpha = Probabilistic().inverse(SoftnessCurves(softness).generator(1).table(s))
        assert -1e-6 <= float(alpha.min()) <= float(alpha.max()) <= 1


@pytest.mark.parametrize("size", [1.0, 10.0, 1e3])
@pytest.mark.parametrize("seed", range(4))
@torch.no_grad()
def test_tables_of_any_spline_never_fall(size, seed):
    softness = Softness(with_random_weights(MonotoneSpline(), size, seed))
    s = torch.linspace(-4.5, 4.5, 60_001, dtype=torch.float64)
    for curve in (SoftnessCurves(softness).coverage(1), SoftnessCurves(softness).generator(1)):
        assert float(curve.table(s).diff().min()) > -1e-13
