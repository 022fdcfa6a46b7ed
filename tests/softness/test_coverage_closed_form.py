"""What is particular to closed forms: scales, shifts, the reach, the removed tail, and bad arguments."""

from __future__ import annotations

import math

import pytest
import torch

from taichisoft.softness.coverage import (
    Cauchy,
    Coverage,
    Exponential,
    ExponentialReversed,
    Gamma,
    GammaReversed,
    Gaussian,
    Heaviside,
    Laplace,
    Levy,
    LevyReversed,
    Logistic,
    Reciprocal,
    Uniform,
)
from taichisoft.softness.parameters import Real, as_real
from taichisoft.softness.scale import HeightFraction, Pixels
from tests.zoo.coverage import FAMILIES


def at(coverage: Coverage, *s: float) -> list[float]:
    with torch.no_grad():
        return coverage(torch.tensor(s, dtype=torch.float64)).tolist()


def test_heaviside_is_the_step_that_includes_the_boundary():
    s = torch.tensor([-1e9, -1e-300, 0.0, 1e-300, 1e9], dtype=torch.float64)
    assert at(Heaviside(), *s.tolist()) == [0, 0, 1, 1, 1]
    assert Heaviside().without_tail(s).tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("kind", [ExponentialReversed, GammaReversed, LevyReversed])
@pytest.mark.parametrize("squared", [False, True])
def test_reversed_ones_are_full_on_the_boundary(kind, squared):
    coverage = kind(squared=squared)
    assert float(coverage.without_tail(torch.zeros(1, dtype=torch.float64))) == 1
    assert coverage.domain().high == 0


@pytest.mark.parametrize("kind", [Exponential, Gamma, Levy])
@pytest.mark.parametrize("shift", [0.0, -2.0, 3.0])
def test_a_support_that_begins_is_not_cut(kind, shift):
    assert kind(shift=shift).domain().low == shift
    assert kind(shift=shift, reach=5.0).domain().low == shift
    assert at(kind(shift=shift), shift - 1e-9, shift) == [0, 0]


@pytest.mark.parametrize("kind", [Gaussian, Laplace, Cauchy, GammaReversed])
@pytest.mark.parametrize("squared", [False, True])
def test_reach_is_the_cut_off(kind, squared):
    assert kind(squared=squared, reach=1.25).domain().low == -1.25
    assert kind(squared=squared, reach=1.25, shift=0.5).domain().low == -1.25


@pytest.mark.parametrize("kind", [Cauchy, Reciprocal, LevyReversed])
def test_heavy_tails_are_cut_at_fifty_scales(kind):
    assert kind().domain().low == -50
    assert kind(squared=True).domain().low == -50
    assert kind(shift=1.5).domain().low == -48.5
    assert kind(reach=400.0).domain().low == -400


def test_light_tails_are_cut_where_coverage_is_low():
    assert at(Gaussian(), Gaussian().domain().low)[0] == pytest.approx(1e-4, rel=1e-9)
    assert 1 - at(Gaussian(), Gaussian().domain().high)[0] == pytest.approx(1e-6, rel=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "options", [{"shift": -60.0}, {"reach": 1e-3, "shift": -3.0}, {"shift": 60.0}]
)
def test_some_rise_is_left_whatever_the_cut_off(name, options):
    coverage = FAMILIES[name].kind(**options)
    domain = coverage.domain()
    assert domain.low < domain.high
    s = torch.tensor([domain.low, domain.high], dtype=torch.float64)
    low, high = coverage.without_tail(s).tolist()
    assert low == 0
    assert high > 1 - 2e-4


def test_a_shift_is_fixed_or_learned():
    assert not list(Gaussian(shift=0.5).shift.parameters())
    learned = Gaussian(shift=Real(0.5, learn=True))
    s = torch.tensor([0.2], dtype=torch.float64)
    learned(s).sum().backward()
    density = math.exp(-0.5 * 0.3**2) / math.sqrt(2 * math.pi)
    assert float(learned.shift.value.grad) == pytest.approx(-density, rel=1e-12)
    assert learned.shift.settings() == {"value": 0.5, "learn": True}
    assert float(Real(-1.5)()) == -1.5
    assert as_real(learned.shift, "shift") is learned.shift


def test_a_domain_follows_its_shift():
    coverage = Uniform(shift=Real(0.0, learn=True))
    with torch.no_grad():
        coverage.shift.value.fill_(2.5)
    assert (coverage.domain().low, coverage.domain().high) == (1.5, 3.5)


def test_a_domain_follows_its_settings():
    coverage = Gaussian()
    coverage.squared, coverage.reach, coverage.shift = True, 2.5, as_real(0.5, "shift")
    assert coverage.domain() == Gaussian(squared=True, reach=2.5, shift=0.5).domain()


@pytest.mark.parametrize("kind", [Gamma, GammaReversed])
def test_a_shape_cannot_be_changed(kind):
    # The quantiles of the old one would stay.
    coverage = kind(shape=0.5)
    with pytest.raises(AttributeError, match="shape"):
        coverage.shape = 0.7
    assert coverage.shape == coverage.settings()["shape"] == 0.5


def test_large_gammas_end_before_the_boundary():
    # 1 - F of a large shape is 1e-6 far outside; up to the boundary there would be nothing to tabulate.
    domain = GammaReversed(shape=30.0).domain()
    assert domain.high < -8
    assert not domain.graded


def test_scales():
    assert float(Pixels(1.5).in_pixels(64)) == pytest.approx(1.5, rel=1e-15)
    assert float(HeightFraction(0.1).in_pixels(64)) == pytest.approx(6.4, rel=1e-15)
    # SoftRas: 1e-4 in squared normalised units of half the height is 1 % of half the height.
    assert float(HeightFraction.from_sigma(1e-4).in_pixels(200)) == pytest.approx(1.0, rel=1e-14)
    assert not list(Pixels(1.0).parameters())
    assert [p.shape for p in Pixels(1.0, learn=True).parameters()] == [torch.Size([])]
    softras = Logistic.softras(1e-4)
    assert softras.squared
    assert float(softras.scale.in_pixels(200)) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize(
    ("make_bad", "error", "message"),
    [
        (lambda: Gaussian(0.0), ValueError, "scale must be finite and greater than 0, got 0"),
        (lambda: Gaussian(float("nan")), ValueError, "scale must be finite"),
        (lambda: Gaussian("wide"), TypeError, "scale must be a number, got str"),
        (lambda: Gaussian(squared=2), TypeError, "squared must be a bool, got int"),
        (lambda: Gaussian(shift="left"), TypeError, "shift must be a number, got str"),
        (lambda: Gaussian(shift=float("inf")), ValueError, "shift must be finite, got inf"),
        (lambda: Gaussian(reach=0.0), ValueError, "reach must be finite and greater than 0"),
        (lambda: Real(float("nan")), ValueError, "value must be finite, got nan"),
        (lambda: Pixels(-1.0), ValueError, "value must be finite and greater than 0"),
        (lambda: HeightFraction.from_sigma(-1e-4), ValueError, "sigma must be"),
        (lambda: Gamma(shape=0.0), ValueError, "shape must be"),
        (lambda: GammaReversed(shape="half"), TypeError, "shape must be a number"),
    ],
)
def test_bad_arguments(make_bad, error, message):
    with pytest.raises(error, match=message):
        make_bad()
