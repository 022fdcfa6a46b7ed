"""The tables that compositing front to back reads, against the functions themselves."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.softness.aggregation import Aggregation
from taichisoft.softness.composite_tables import inverse_domain
from taichisoft.softness.curves import CompositeCurves, SoftnessCurves
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
# Largest error of a weight. The generator of random weights bends within a cell.
ERROR, ERRORS = 5e-7, {"monotone_wild": 1.5e-4}


def curves_of(aggregation: Aggregation) -> CompositeCurves:
    return SoftnessCurves(ts.Softness(ts.Gaussian(), aggregation, ts.FrontToBack())).composite(64)


def coverages() -> Tensor:
    """Return coverages from 0 to 1, dense at both ends."""
    small = torch.logspace(-12, math.log10(0.5), 400, dtype=torch.float64)
    even = torch.linspace(0, 1, 2001, dtype=torch.float64)
    return torch.cat([small, 1 - small, even]).sort().values


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
    inverse = curves_of(aggregation).inverse
    totals = [
        aggregation.generator(coverages()),
        torch.logspace(-30, 30, 3001, dtype=torch.float64),
        torch.linspace(0, 60, 6001, dtype=torch.float64),
        torch.linspace(0, 1.2, 6001, dtype=torch.float64),
    ]
    total = torch.cat(totals)
    assert float((inverse(total) - aggregation.inverse(total)).abs().max()) < allowed(name)
    assert float(inverse(total[:1] * 0)) == 0


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
        inverse(g(front).sum(1) + g(own)) - inverse(g(front).sum(1))
        for g, inverse in (
            (aggregation.generator, aggregation.inverse),
            (lambda x: curves.part(x - 1), curves.inverse),
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
    weight = curves.inverse(behind + curves.part(own - 1)) - curves.inverse(behind)
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

    def weight(g, inverse) -> Tensor:
        return (inverse(g(front) + g(front.flip(0))) - inverse(g(front))).sum()

    for parameter in aggregation.parameters():
        (gradient,) = torch.autograd.grad(
            weight(lambda x: curves.part(x - 1), curves.inverse), parameter, retain_graph=True
        )
        (exact,) = torch.autograd.grad(
            weight(aggregation.generator, aggregation.inverse), parameter
        )
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
    domain = inverse_domain(ts.Dombi(8.0))
    assert [at for at, _ in domain.graded] == [0.0, pytest.approx(1.0)]
    assert len(inverse_domain(ts.Probabilistic()).graded) == 1


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
