"""Tables: interpolation, ends, kinks, gradients to what made them, and the cache."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.autograd import gradcheck

import taichisoft as ts
from taichisoft.table import Domain, TableCache, tabulate

DOMAIN = Domain(-2.0, 3.0)
GRADED = Domain(-2.0, 3.0, grading=25.0)


def cubic(s: torch.Tensor) -> torch.Tensor:
    return 0.3 * s**3 - s**2 + 0.5 * s + 2


@pytest.mark.parametrize("knots", [1, 2, 7, 1024])
def test_cubics_are_reproduced(knots):
    s = torch.linspace(-2, 3, 501, dtype=torch.float64)[1:]
    table = tabulate(cubic, cubic(torch.tensor(3.0, dtype=torch.float64)), DOMAIN, knots)
    torch.testing.assert_close(table(s), cubic(s), atol=1e-11, rtol=0)


@torch.no_grad()
def test_error_falls_with_the_fourth_power_of_the_cells():
    s = torch.linspace(-2, 3, 9001, dtype=torch.float64)[1:]
    top = torch.tensor(math.sin(9.0), dtype=torch.float64)
    errors = [
        float((tabulate(lambda x: (3 * x).sin(), top, DOMAIN, n)(s) - (3 * s).sin()).abs().max())
        for n in (32, 64, 128)
    ]
    for coarse, fine in itertools.pairwise(errors):
        assert 14 < coarse / fine < 18


@pytest.mark.parametrize("domain", [DOMAIN, GRADED], ids=["uniform", "graded"])
def test_zero_below_and_the_top_value_above(domain):
    table = tabulate(cubic, torch.tensor(7.0, dtype=torch.float64), domain)
    s = torch.tensor([-1e30, -50.0, -2.01, 3.0 + 1e-9, 4.0, 1e30], dtype=torch.float64)
    assert table(s).tolist() == [0, 0, 0, 7, 7, 7]


@torch.no_grad()
def test_grading_shrinks_the_cells_towards_the_top():
    # -log of a linear rise to 1: singular at the top, as the optical depth of a uniform coverage.
    def singular(s):
        return -torch.log((3 - s).clamp(min=1e-9))

    s = torch.linspace(2.9, 2.999, 500, dtype=torch.float64)
    top = torch.tensor(20.0, dtype=torch.float64)
    plain, graded = (tabulate(singular, top, d)(s) - singular(s) for d in (DOMAIN, GRADED))
    assert float(graded.abs().max()) < float(plain.abs().max()) / 50


def test_gradient_to_the_parameters_and_the_argument():
    s = torch.linspace(-1.9, 2.9, 9, dtype=torch.float64, requires_grad=True)
    p = torch.tensor([0.7, 1.3], dtype=torch.float64, requires_grad=True)
    top = torch.zeros((), dtype=torch.float64)

    def looked_up(s, p):
        return tabulate(lambda x: p[0] * torch.tanh(p[1] * x), top, DOMAIN, 40)(s)

    assert gradcheck(looked_up, (s, p), atol=1e-7)


def test_step():
    table = tabulate(None, torch.tensor(5.0, dtype=torch.float64), Domain(0.0, 0.0))
    s = torch.tensor([-1e-12, 0.0, 1e-12], dtype=torch.float64)
    assert table(s).tolist() == [0, 5, 5]


def test_no_graph_without_gradients():
    p = torch.ones((), dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        table = tabulate(lambda x: p * x, p * 3, DOMAIN)
    assert not table.cells.requires_grad
    assert tabulate(lambda x: p * x, p * 3, DOMAIN).cells.requires_grad


class Counter:
    """Counts how often a table is built."""

    def __init__(self, coverage: ts.Coverage):
        self.coverage, self.built, self.cache = coverage, 0, TableCache()

    def build(self, high):
        """Tabulate, and count it."""
        self.built += 1
        return tabulate(self.coverage, self.coverage(high), self.coverage.domain())

    def get(self):
        """Ask the cache."""
        return self.cache.get("curve", self.build, self.coverage.domain(), self.coverage)


def test_cache_builds_a_fixed_curve_once():
    counter = Counter(ts.Gaussian(1.0))
    assert counter.get() is counter.get()
    assert counter.built == 1


def test_cache_follows_values_changed_in_place():
    counter = Counter(ts.MonotoneSpline().requires_grad_(False))
    before = counter.get()
    with torch.no_grad():
        counter.coverage.weight[0] += 1
    assert not torch.equal(counter.get().cells, before.cells)
    assert counter.built == 2


def test_cache_keeps_no_graph_of_learned_curves():
    counter = Counter(ts.MonotoneSpline())
    for _ in range(2):
        counter.get().cells.sum().backward()
    assert counter.built == 2
    with torch.no_grad():
        assert not counter.get().cells.requires_grad
        counter.get()
    assert counter.built == 3


def test_replaced_coverage_is_noticed(dtype):
    renderer = ts.SoftRasterizer(ts.Gaussian(2.0))
    mesh = ts.Mesh(
        torch.tensor([[1.0, 1, 1], [7, 2, 1], [3, 7, 1]], dtype=dtype), torch.tensor([[0, 1, 2]])
    )
    camera = ts.Camera.orthographic(
        (4, 4, 5.0), (4, 4, 0), height=8, image_size=(8, 8), dtype=dtype
    )
    first = renderer.silhouette(mesh, camera)
    renderer.coverage = ts.Logistic(2.0)
    second = renderer.silhouette(mesh, camera)
    fresh = ts.SoftRasterizer(ts.Logistic(2.0)).silhouette(mesh, camera)
    assert torch.equal(second, fresh)
    assert float((first - second).abs().max()) > 0.01


@pytest.mark.parametrize(("low", "high", "grading"), [(1.0, 0.0, 0.0), (0.0, 1.0, -1.0)])
def test_bad_domains(low, high, grading):
    with pytest.raises(ValueError, match="must be"):
        Domain(low, high, grading)
    with pytest.raises(ValueError, match="low must be <= high"):
        Domain(float("nan"), 1.0)
