"""The mixture of closed forms: its corners, its weights, and its domain."""

from __future__ import annotations

import pytest
import torch

from taichisoft.softness.coverage import (
    Exponential,
    ExponentialReversed,
    Gaussian,
    Heaviside,
    Laplace,
    Logistic,
    Mixture,
    MLPCoverage,
)
from taichisoft.softness.parameters import Real
from taichisoft.softness.scale import HeightFraction, Pixels
from taichisoft.softness.tables.table import tabulate
from tests.zoo.coverage import every_closed_form

DISTANCES = torch.cat([torch.linspace(-6, 6, 1200), torch.tensor([0.0])]).double()


@pytest.mark.parametrize("index", range(len(every_closed_form())))
def test_every_closed_form_is_a_corner(index):
    components = every_closed_form()
    mixture = Mixture(components, weights=[float(i == index) for i in range(len(components))])
    with torch.no_grad():
        found, expected = mixture(DISTANCES), components[index](DISTANCES)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_far_logits_are_a_corner():
    mixture = Mixture([Gaussian(), Laplace()])
    with torch.no_grad():
        mixture.logits.copy_(torch.tensor([40.0, -40.0]))
        found, expected = mixture(DISTANCES), Gaussian()(DISTANCES)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)


def test_scales_of_components_are_relative_widths():
    mixture = Mixture([Gaussian(2.0), Logistic(0.5, shift=0.3)], 7.0, weights=[0.25, 0.75])
    with torch.no_grad():
        found = mixture(DISTANCES)
        expected = 0.25 * torch.special.ndtr(DISTANCES / 2)
        expected += 0.75 * torch.sigmoid(DISTANCES / 0.5 - 0.3)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)
    assert float(mixture.scale.in_pixels(64)) == pytest.approx(7.0, rel=1e-15)


def test_weights():
    assert Mixture([Gaussian(), Laplace()]).weights().tolist() == [0.5, 0.5]
    mixture = Mixture([Gaussian(), Laplace()], weights=[0.2, 0.8])
    assert mixture.weights().tolist() == pytest.approx([0.2, 0.8], rel=1e-15)
    fixed = Mixture([Gaussian(), Laplace()], learn=False)
    assert not list(fixed.parameters())
    assert "logits" in fixed.state_dict()


def test_everything_learned_gets_a_gradient():
    components = [Gaussian(Pixels(1.5, learn=True)), Laplace(shift=Real(0.5, learn=True))]
    mixture = Mixture(components)
    mixture(DISTANCES[:700]).sum().backward()
    assert len(list(mixture.parameters())) == 3
    assert all(float(p.grad.abs().min()) > 1e-3 for p in mixture.parameters())


def test_domain_is_the_union():
    domain = Mixture([Gaussian(3.0), Laplace(shift=2.0)]).domain()
    assert domain.low == 3 * Gaussian().domain().low
    # The upper end gives way by less than a cell, so that the kink is at a corner.
    assert 0 <= Laplace(shift=2.0).domain().high - domain.high < domain.span / 1024
    assert domain.kinks == (2.0,)
    assert not domain.graded


@pytest.mark.parametrize("other", [Exponential, ExponentialReversed, Gaussian])
def test_a_step_is_kept_wherever_the_domain_ends(other):
    # Exponential begins, and its reverse ends, where the step is: it must not vanish with the tail there.
    mixture = Mixture([Heaviside(), other()], weights=[0.4, 0.6])
    with torch.no_grad():
        top = mixture.without_tail(torch.tensor([mixture.domain().high]).double())
        table = tabulate(mixture.without_tail, top, mixture.domain())
        below, on = table(torch.tensor([-1e-9, 0.0], dtype=torch.float64)).tolist()
    assert on - below == pytest.approx(0.4, rel=1e-3)


def test_narrow_components_refine_the_cells():
    assert len(Mixture([Gaussian(), Logistic()]).domain().graded) == 0
    assert len(Mixture([Gaussian(0.01), Logistic()]).domain().graded) > 0


@pytest.mark.parametrize(
    ("make_bad", "error", "message"),
    [
        (lambda: Mixture([]), ValueError, "components must hold at least one"),
        (lambda: Mixture(Gaussian()), TypeError, "components must be a list or tuple"),
        (lambda: Mixture([MLPCoverage()]), TypeError, r"components\[0\] must be a ClosedForm"),
        (
            lambda: Mixture([Gaussian(), Laplace(HeightFraction(0.1))]),
            TypeError,
            r"components\[1\]\.scale must be a Pixels, got HeightFraction",
        ),
        (
            lambda: Mixture([Gaussian()], weights=[0.5, 0.5]),
            ValueError,
            "weights must be 1 numbers",
        ),
        (lambda: Mixture([Gaussian()], weights=[0.5]), ValueError, "have the sum 1"),
        (
            lambda: Mixture([Gaussian(), Laplace()], weights=[1.5, -0.5]),
            ValueError,
            "weights must be >= 0",
        ),
        (
            lambda: Mixture([Gaussian()], weights="one"),
            TypeError,
            "weights must be a list or tuple",
        ),
        (lambda: Mixture([Gaussian()], weights=["a"]), TypeError, r"weights\[0\] must be a number"),
    ],
)
def test_bad_arguments(make_bad, error, message):
    with pytest.raises(error, match=message):
        make_bad()
