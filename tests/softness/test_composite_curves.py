"""The tables that compositing front to back reads, against the functions themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.softness.aggregation import Aggregation
from taichisoft.softness.curves import CompositeCurves, SoftnessCurves
from taichisoft.softness.inverse_table import InverseTable
from taichisoft.softness.remainder import Remainder
from tests.zoo.aggregation import CASES, FAMILIES, Case, learned_p, member

# Both ends of what a parameter may be, and what the zoo has not in between.
EXTREMES = {
    "hamacher": (1e-3, 4.0, 100.0, 1e4),
    "frank": (1e-5, 1e4, 1e6, 1e9),
    "yager": (0.1, 0.2, 1.3, 4.0, 8.0),
    "aczel_alsina": (0.1, 0.2, 1.3, 4.0, 8.0),
    "dombi": (0.1, 0.2, 1.3, 4.0, 8.0),
    "schweizer_sklar": (-1e-2, -0.5, -4.0),
}
SUMS: dict[str, Case] = {name: case for name, case in CASES.items() if name != "max"} | {
    f"{name}_{p:g}": member(FAMILIES[name], p) for name, ps in EXTREMES.items() for p in ps
}
# What some leave of alpha.
COMPLEMENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "probabilistic": lambda s: torch.exp(-s),
    "frank_1": lambda s: torch.exp(-s),
    "einstein": lambda s: 2 / (torch.exp(s) + 1),
    "hamacher_10": lambda s: 10 / (9 + torch.exp(10 * s)),
    "frank_100": lambda s: torch.log1p(99 * torch.exp(-s)) / math.log(100),
    "aczel_alsina_0.5": lambda s: torch.exp(-(s**2)),
    "monotone": lambda s: torch.exp(-s),
}
# Largest error of a weight. The generator of random weights bends within a cell.
ERROR, ERRORS = 5e-7, {"monotone_wild": 1.5e-4}


def curves_of(aggregation: Aggregation) -> CompositeCurves:
    return SoftnessCurves(ts.Softness(ts.Gaussian(), aggregation, ts.FrontToBack())).composite(64)


def coverages() -> Tensor:
    """Return coverages from 0 to 1, dense at both ends."""
    small = torch.logspace(-12, math.log10(0.5), 400, dtype=torch.float64)
    even = torch.linspace(0, 1, 2001, dtype=torch.float64)
    return torch.cat([small, 1 - small, even]).sort().values


def added(table: InverseTable | Remainder, in_front: Tensor, own: Tensor) -> Tensor:
    """Return what faces add to alpha; none of those in front is wholly so."""
    return table.added(in_front, torch.zeros_like(in_front), own)


def plain(aggregation: Aggregation) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the same as a difference of the inverse."""
    inverse = aggregation.inverse
    return lambda in_front, own: inverse(in_front + own) - inverse(in_front)


def allowed(name: str) -> float:
    # What a generator hides, since it would leave float32, is as much as that.
    return ERRORS.get(name, ERROR) + 2 * SUMS[name].blind


@pytest.mark.parametrize("name", SUMS)
@torch.no_grad()
def test_the_generator_of_a_coverage_in_alpha(name):
    aggregation = SUMS[name].make()
    x = coverages()
    found = aggregation.inverse(curves_of(aggregation).part(x - 1))
    assert float((found - x).abs().max()) < allowed(name)


@pytest.mark.parametrize("name", SUMS)
@torch.no_grad()
def test_the_inverse_of_any_total(name):
    aggregation = SUMS[name].make()
    table = curves_of(aggregation).inverse
    totals = [
        aggregation.generator(coverages()),
        torch.logspace(-30, 30, 3001, dtype=torch.float64),
        torch.linspace(0, 60, 6001, dtype=torch.float64),
        torch.linspace(0, 1.2, 6001, dtype=torch.float64),
    ]
    total = torch.cat(totals)
    found = added(table, torch.zeros_like(total), total)
    assert float((found - aggregation.inverse(total)).abs().max()) < allowed(name)
    assert float(table(total[:1] * 0)) == 0


@pytest.mark.parametrize("name", SUMS)
@torch.no_grad()
def test_what_is_left_is_never_nothing(name):
    """However much is in front, a face adds what the T-conorm says, or next to nothing, but never nothing."""
    aggregation = SUMS[name].make()
    table, exact = curves_of(aggregation).inverse, Remainder.of(aggregation)
    knee = min(exact.knee, 1e6 * exact.middle)
    total = torch.linspace(exact.middle, 50 * knee, 5001, dtype=torch.float64)
    own = torch.full_like(total, exact.middle / 2)
    found, expected = added(table, total, own), added(exact, total, own)
    assert bool((found > 0).all())
    # Measured: 3.1e-3, and 0.034 of those that fall by hundreds of powers.
    error = 0.05 if name in ("aczel_alsina_0.1", "aczel_alsina_0.2") else 5e-3
    assert float(((found - expected) / expected).abs().max()) < error
    if name in COMPLEMENTS:
        complement = COMPLEMENTS[name]
        near = total[total + own < exact.knee]
        weight = complement(near) - complement(near + own[: len(near)])
        assert float(weight.min()) < 1e-17
        assert float((expected[: len(near)] / weight - 1).abs().max()) < 1e-12
    # In float32, too, and behind faces that are full nothing is seen.
    assert bool((added(table, total.float(), total.float() / 2) > 0).all())
    assert bool((table.added(total, torch.full_like(own, exact.full), own) == 0).all())
    # To the end of float32.
    assert float(added(table, total[:1] * 0 + table.hidden, own[:1])) == 0


def test_a_complement_is_that_of_the_inverse():
    """A T-conorm with an inverse of its own does not take over the complement of the one it extends."""

    class Other(ts.Probabilistic):
        def generator(self, coverage: Tensor) -> Tensor:
            return super().generator(coverage) * 2

        def inverse(self, total: Tensor) -> Tensor:
            return super().inverse(total / 2)

    total = torch.linspace(0, 20, 101, dtype=torch.float64)
    exact = Remainder.of(Other())
    assert torch.allclose(exact.left(total), torch.exp(-total / 2), rtol=1e-9)
    # As far as a difference has digits.
    assert exact.knee == pytest.approx(2 * 30 * math.log(2))
    for name in ("einstein", "frank_100", "hamacher_10", "aczel_alsina_3", "monotone_random"):
        aggregation = SUMS[name].make()
        both = aggregation.inverse(total) + aggregation.complement(total)
        assert float((both.detach() - 1).abs().max()) < 1e-14


@pytest.mark.parametrize("name", SUMS)
@torch.no_grad()
def test_weights_of_several_faces(name):
    """One behind up to five others, of any coverages: nearly 0 and 1 among them, and 0 itself."""
    aggregation = SUMS[name].make()
    curves = curves_of(aggregation)
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, dtype=torch.float64, generator=generator)

    front = uniform(20_000, 5)
    front = torch.where(uniform(20_000, 5) < 0.3, 10.0 ** (-6 * uniform(20_000, 5)), front)
    front = torch.where(uniform(20_000, 5) < 0.15, 1 - 10.0 ** (-8 * uniform(20_000, 5)), front)
    front = torch.where(uniform(20_000, 5) < 0.4, 0, front)
    own = uniform(20_000)
    exact, tabulated = (
        of(g(front).sum(1), g(own))
        for g, of in (
            (aggregation.generator, plain(aggregation)),
            (lambda x: curves.part(x - 1), partial(added, curves.inverse)),
        )
    )
    assert float((tabulated - exact).abs().max()) < allowed(name)


@pytest.mark.parametrize("name", SUMS)
def test_tables_fit_a_kernel(name):
    curves = curves_of(SUMS[name].make())
    for table in (curves.part, curves.inverse):
        # Steps from the anchor: kernels hold 2^100, which float32 must, too.
        assert all(abs(p.rate) * (p.anchor - p.low + 1e-30) < 2.0**100 for p in table.pieces)
        assert all(p.count <= 100 * 2**p.resolution for p in table.pieces)
        assert float(table.cells.detach().abs().max()) < 1e31
        assert bool(table.cells.float().isfinite().all())
        assert len(table.cells) < 10_000
    # Those that are used most are looked up in few pieces: a generator is counted from both ends.
    if name in ("probabilistic", "bounded", "einstein", "frank_100", "frank_1e+06"):
        assert (len(curves.part.pieces), len(curves.inverse.pieces)) == (2, 1)


@pytest.mark.parametrize("p", [0.5, 2.5])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_by_a_learned_parameter(family, p):
    """Through both tables, against central differences of the functions themselves."""
    made = FAMILIES[family]
    p = -p if made.members[0] < 0 else p
    front = torch.tensor([[0.2, 0.5], [0.7, 0.01], [0.9, 0.3]], dtype=torch.float64)
    own = torch.tensor([0.4, 0.8, 0.1], dtype=torch.float64)
    upstream = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)

    def exact(value: float) -> float:
        aggregation = made.make(value)
        behind = aggregation.generator(front).sum(1)
        weight = aggregation.inverse(behind + aggregation.generator(own))
        return float(((weight - aggregation.inverse(behind)) * upstream).sum().detach())

    aggregation = made.make(p)
    curves = curves_of(aggregation)
    behind = curves.part(front - 1).sum(1)
    weight = added(curves.inverse, behind, curves.part(own - 1))
    (gradient,) = torch.autograd.grad((weight * upstream).sum(), aggregation.parameters())
    # Parameters are kept as logarithms.
    step = 1e-5
    expected = (exact(p * math.exp(step)) - exact(p * math.exp(-step))) / (2 * step)
    assert abs(expected) > 1e-3
    assert float(gradient) == pytest.approx(expected, rel=2e-5)


def test_gradients_of_a_learned_generator():
    aggregation = CASES["monotone_random"].make()
    curves = curves_of(aggregation)
    front = torch.tensor([0.2, 0.5, 0.9, 0.99], dtype=torch.float64)

    def weight(g, of) -> Tensor:
        return of(g(front), g(front.flip(0))).sum()

    tabulated = partial(added, curves.inverse)
    for parameter in aggregation.parameters():
        (gradient,) = torch.autograd.grad(
            weight(lambda x: curves.part(x - 1), tabulated), parameter, retain_graph=True
        )
        (exact,) = torch.autograd.grad(weight(aggregation.generator, plain(aggregation)), parameter)
        assert float(exact.abs().max()) > 1e-3
        # Measured: 4.1e-7.
        torch.testing.assert_close(gradient, exact, rtol=0, atol=8e-7)


def test_the_knots_of_a_learned_generator_are_corners():
    aggregation = CASES["monotone_random"].make()
    curves = curves_of(aggregation)
    kinks = torch.tensor(aggregation.kinks(), dtype=torch.float64)
    assert len(kinks) == aggregation.bins
    assert kinks[-1] == pytest.approx(1 - math.exp(-aggregation.reach))
    for table, places in (
        (curves.part, kinks - 1),
        (curves.inverse, aggregation.generator(kinks).detach()),
    ):
        corners = torch.cat([piece.knots() for piece in table.pieces])
        assert float((corners - places[:, None]).abs().amin(1).max()) < 1e-12


def test_a_bounded_sum_is_a_yager_sum():
    a, b = torch.rand(2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = []
    for aggregation in (ts.BoundedSum(), ts.Yager(1.0)):
        total = aggregation.generator(a) + aggregation.generator(b)
        found.append(aggregation.inverse(total))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-15)
    assert found[0].tolist() == (a + b).clamp(max=1).tolist()
    # Frank's sums tend to it.
    frank = ts.Frank(learned_p(1e9))
    near = frank.inverse(frank.generator(a) + frank.generator(b)).detach()
    assert float((near - found[0]).abs().max()) < math.log(2) / math.log(1e9)


def test_a_range_that_is_too_long_for_a_piece_is_divided():
    # From 1e-30, which its generator does not go below, to 1e30.
    upper, lower = curves_of(ts.Dombi(8.0)).inverse.pieces
    assert upper.low == lower.knots()[-1] == pytest.approx(1)


@pytest.mark.parametrize("order", [ts.CubicHermite(), ts.Uniform(), ts.CubicHermite(shift=0.3)])
def test_a_cubic_order_is_one_cell(order):
    occlusion = ts.FrontToBack(order)
    table = SoftnessCurves(ts.Softness(occlusion=occlusion)).composite(64).order
    assert [piece.count for piece in table.pieces] == [1]
    u = torch.linspace(-2, 2, 401, dtype=torch.float64)
    assert torch.allclose(table(u), occlusion(u), atol=1e-14, rtol=0)


def test_an_order_of_the_squared_difference_is_no_cubic():
    order = ts.CubicHermite(squared=True)
    curves = SoftnessCurves(ts.Softness(occlusion=ts.FrontToBack(order))).composite(64)
    assert sum(piece.count for piece in curves.order.pieces) > 1
