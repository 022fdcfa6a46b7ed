"""Properties of every coverage function: one suite for all entries of `tests.zoo.coverage`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradgradcheck

from taichisoft.softness.scale import Pixels
from tests.zoo.coverage import CASES, FAMILIES, made, numbers, special

MONOTONE = tuple(name for name, case in CASES.items() if case.monotone)
SYMMETRIC = tuple(name for name, case in CASES.items() if case.symmetric)
EXACT = tuple(name for name, case in CASES.items() if case.exact)
WIDE = tuple(name for name in CASES if name != "heaviside")
repeatable = settings(max_examples=400, deadline=None, derandomize=True, database=None)


def derivative(value: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the derivative of each value; that of a straight line has none, which is 0."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(value.sum(), x, create_graph=True)[0]


def smooth_points(name: str) -> torch.Tensor:
    """Return distances in the middle of the domain, not near special points."""
    s = torch.linspace(-2.9, 2.9, 59, dtype=torch.float64)
    domain = made(name).domain()
    far = (s.unsqueeze(-1) - torch.cat([special(name), numbers(0)])).abs().min(-1).values > 0.15
    return s[far & (s > domain.low) & (s < domain.high)]


@pytest.mark.parametrize("name", EXACT)
def test_equals_the_exact_distribution(name):
    far = torch.logspace(-6, 6, 200, dtype=torch.float64)
    s = torch.cat([torch.linspace(-9, 9, 1800, dtype=torch.float64), far, -far])
    with torch.no_grad():
        found = made(name)(s)
    # Measured: 4.3e-15.
    np.testing.assert_allclose(found.numpy(), CASES[name].exact(s.numpy()), rtol=0, atol=1e-14)


@repeatable
@given(st.sampled_from(MONOTONE), st.floats(-60, 60), st.floats(-60, 60))
def test_monotone_and_between_zero_and_one(name, a, b):
    s = numbers(min(a, b), max(a, b))
    with torch.no_grad():
        whole, kept = made(name)(s), made(name).without_tail(s)
    for low, high in (whole.tolist(), kept.tolist()):
        assert -1e-15 <= low <= high + 1e-15 <= 1 + 2e-15


@pytest.mark.parametrize("name", MONOTONE)
def test_monotone_on_a_grid(name):
    s = torch.linspace(-60, 60, 6001, dtype=torch.float64)
    with torch.no_grad():
        assert float(made(name)(s).diff().min()) >= -1e-15


@repeatable
@given(st.sampled_from(SYMMETRIC), st.floats(0, 1e6))
def test_odd_about_the_boundary(name, s):
    with torch.no_grad():
        outside, inside = made(name)(numbers(-s, s)).tolist()
    assert outside == pytest.approx(1 - inside, abs=1e-14)


@repeatable
@given(st.sampled_from(list(FAMILIES)), st.floats(-5, 5), st.floats(-20, 20), st.booleans())
def test_a_shift_moves_the_argument(name, shift, s, squared):
    shifted = FAMILIES[name].kind(squared=squared, shift=shift)
    x = s * abs(s) if squared else s
    with torch.no_grad():
        assert float(shifted(numbers(s))) == float(made(name)(numbers(x - shift)))


@pytest.mark.parametrize("name", WIDE)
def test_vanishes_at_the_cut_off_and_is_constant_above_the_domain(name):
    domain = made(name).domain()
    s = numbers(domain.low - 1e6, domain.low, domain.high, 2 * abs(domain.high) + 1e6)
    with torch.no_grad():
        below, low, high, above = made(name).without_tail(s).tolist()
    assert below == low == 0
    assert above == high
    assert high > (1 - 2e-6 if CASES[name].monotone else 0.9)
    assert float(made(name).low().detach()) == domain.low


@pytest.mark.parametrize("name", MONOTONE)
def test_tends_to_the_step_as_the_scale_falls(name):
    distance = torch.logspace(-2, 2, 9, dtype=torch.float64)
    with torch.no_grad():
        inside, outside = (made(name).without_tail(d / 1e-16) for d in (distance, -distance))
    assert float(inside.min()) > 1 - 2e-6
    assert float(outside.max()) == 0


@pytest.mark.parametrize("name", CASES)
def test_finite_with_finite_derivatives_at_extremes(name):
    coverage = made(name)
    ends = [sign * size for size in (1e30, 1e9, 30.0, 1e-15, 1e-300, 0.0) for sign in (-1, 1)]
    s = torch.cat([numbers(*ends), special(name)]).requires_grad_()
    parameters = [p for n, p in coverage.named_parameters() if not n.startswith("scale")]
    for function in (coverage, coverage.without_tail):
        value = function(s)
        assert bool(value.isfinite().all())
        if not value.requires_grad:
            assert name == "heaviside"
            continue
        first = torch.autograd.grad(value.sum(), [s, *parameters], create_graph=True)
        total = sum(g.sum() for g in first) + 0 * s.sum()
        second = torch.autograd.grad(total, [s, *parameters], allow_unused=True)
        assert all(bool(g.isfinite().all()) for g in (*first, *second) if g is not None)


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivative_with_respect_to_the_distance(name):
    if name == "heaviside":
        assert not made(name)(numbers(0.5).requires_grad_()).requires_grad
        return
    s = smooth_points(name).requires_grad_()
    assert len(s) >= 4
    step = 1e-5

    def slope(x: torch.Tensor) -> torch.Tensor:
        return derivative(made(name)(x), x)

    curvature = derivative(slope(s), s)
    above, below = s.detach() + step, s.detach() - step
    with torch.no_grad():
        by_values = (made(name)(above) - made(name)(below)) / (2 * step)
    by_slopes = (slope(above.requires_grad_()) - slope(below.requires_grad_())) / (2 * step)
    # Measured, by the step: 1.6e-9 and 2e-8.
    torch.testing.assert_close(slope(s).detach(), by_values, rtol=0, atol=4e-9)
    torch.testing.assert_close(curvature, by_slopes.detach(), rtol=0, atol=5e-8)


LEARNED = tuple(
    name
    for name in CASES
    if any(not key.startswith("scale") for key, _ in made(name).named_parameters())
)


@pytest.mark.parametrize("name", LEARNED)
def test_second_derivatives_with_respect_to_distance_and_parameters(name):
    coverage = made(name)
    names = [n for n, _ in coverage.named_parameters() if not n.startswith("scale")]
    values = [coverage.get_parameter(n).detach().clone().requires_grad_() for n in names]

    def function(s: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(coverage, dict(zip(names, given, strict=True)), (s,))

    s = smooth_points(name)[::7].clone().requires_grad_()
    assert gradgradcheck(function, (s, *values), fast_mode=True)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in LEARNED
        if n not in ("mlp", "mlp_without_biases", "spline", "random_spline", "custom")
    ],
)
def test_gradient_without_the_tail_follows_the_cut_off(name):
    # The cut-off moves with a shift or a width, and the removed tail with it.
    domain = made(name).domain()
    s = torch.cat([smooth_points(name), numbers(domain.low + 0.2)])
    # Measured, by the step: at most 1e-9. Where a support starts with an infinite slope, the tail is not 0
    # but up to 1e-8 by rounding, which is divided by the step.
    allowed = 1e-3 if name == "moved_gamma_half" else 2e-9
    coverage = CASES[name].make(Pixels(1.0))
    for parameter in coverage.parameters():
        if parameter.ndim:
            continue
        jacobian = [
            torch.autograd.grad(y, parameter, retain_graph=True)[0]
            for y in coverage.without_tail(s)
        ]
        ends = []
        for step in (1e-5, -2e-5):
            parameter.data += step
            ends.append(coverage.without_tail(s).detach())
        parameter.data += 1e-5
        torch.testing.assert_close(
            torch.stack(jacobian), (ends[0] - ends[1]) / 2e-5, rtol=0, atol=allowed
        )


@pytest.mark.parametrize("name", [n for n in CASES if n != "custom"])
def test_settings_make_an_equal_module(name):
    coverage = made(name)
    again = type(coverage)(**coverage.settings())
    again.load_state_dict(coverage.state_dict())
    s = torch.linspace(-5, 5, 101, dtype=torch.float64)
    assert again.domain() == coverage.domain()
    torch.testing.assert_close(again.without_tail(s), coverage.without_tail(s), rtol=0, atol=0)
