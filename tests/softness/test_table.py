"""Tables: interpolation, ends, kinks, gradients to what made them, and the cache."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.autograd import gradcheck

import taichisoft as ts
from taichisoft.softness.tables.domain import SHARP, Domain, pieces_of
from taichisoft.softness.tables.table import TableCache, tabulate

DOMAIN = Domain(-2.0, 3.0)
DOMAINS = {
    "uniform": DOMAIN,
    "kink on a corner": Domain(-2.0, 3.0, kinks=(0.5,)),
    "kink off the corners": Domain(-2.0, 3.0, kinks=(math.pi / 4,)),
    "graded above": Domain(-2.0, 3.0, graded=((3.0, SHARP),)),
    "graded below": Domain(-2.0, 3.0, graded=((-2.0, SHARP),)),
    "graded at both ends": Domain(-2.0, 3.0, graded=((-2.0, SHARP), (3.0, SHARP))),
    "graded inside": Domain(-2.0, 3.0, graded=((0.3, 1.0),)),
    "many pieces": Domain(-2.0, 3.0, kinks=(-1.1, 2.2), graded=((0.3, 0.1), (3.0, SHARP))),
}


def cubic(s: torch.Tensor) -> torch.Tensor:
    return 0.3 * s**3 - s**2 + 0.5 * s + 2


@pytest.fixture(params=DOMAINS.values(), ids=DOMAINS)
def domain(request) -> Domain:
    return request.param


def test_cubics_are_reproduced(domain):
    s = torch.linspace(-2, 3, 501, dtype=torch.float64)[1:-1]
    table = tabulate(cubic, cubic(torch.tensor(3.0, dtype=torch.float64)), domain)
    torch.testing.assert_close(table(s), cubic(s), atol=1e-11, rtol=0)


@torch.no_grad()
def test_error_of_smooth_curves(domain):
    s = torch.linspace(-2, 3, 9001, dtype=torch.float64)[1:-1]
    top = torch.tensor(math.sin(9.0), dtype=torch.float64)
    found = float((tabulate(lambda x: (3 * x).sin(), top, domain)(s) - (3 * s).sin()).abs().max())
    # h^4 / 384 of the fourth derivative, 81: in cells of 5/1024, and of 1/32 of 5 at the worst.
    assert found < (1.3e-10 if not domain.graded else 1.3e-4)


def test_pieces_cover_the_domain_without_gaps(domain):
    pieces = pieces_of(domain)
    assert pieces[-1].low == domain.low
    ends = [piece.knots()[[0, -1]].sort().values for piece in pieces]
    assert float(ends[0][1]) == pytest.approx(domain.high, abs=1e-12)
    for upper, lower in itertools.pairwise(ends):
        assert float(upper[0]) == pytest.approx(float(lower[1]), abs=1e-12)
    rows = [(piece.first, piece.count) for piece in pieces]
    assert rows[0][0] == 1
    for (first, count), (following, _) in itertools.pairwise(rows):
        assert following == first + count + 2


def test_zero_below_and_the_top_value_above(domain):
    table = tabulate(cubic, torch.tensor(7.0, dtype=torch.float64), domain)
    s = torch.tensor([-1e30, -50.0, -2.01, 3.0 + 1e-9, 4.0, 1e30], dtype=torch.float64)
    assert table(s).tolist() == [0, 0, 0, 7, 7, 7]


@torch.no_grad()
def test_grading_resolves_a_singular_end():
    # -log of a linear rise to 1: singular at the top, as the optical depth of a uniform coverage.
    def singular(s):
        return -torch.log((3 - s).clamp(min=1e-30))

    s = 3 - torch.logspace(-9, 0, 2000, dtype=torch.float64)
    top = torch.tensor(20.0, dtype=torch.float64)
    error = tabulate(singular, top, DOMAINS["graded above"])(s) - singular(s)
    assert float(error.abs().max()) < 2e-7
    plain = tabulate(singular, top, DOMAIN)(s) - singular(s)
    assert float(plain.abs().max()) > 1


@torch.no_grad()
def test_grading_resolves_a_root():
    s = -2 + torch.logspace(-14, 0.69, 2000, dtype=torch.float64)
    table = tabulate(
        lambda x: (x + 2).sqrt(), torch.tensor(5.0).double().sqrt(), DOMAINS["graded below"]
    )
    assert float((table(s) - (s + 2).sqrt()).abs().max()) < 5e-7


@torch.no_grad()
@pytest.mark.parametrize("name", ["kink on a corner", "kink off the corners"])
def test_a_kink_is_exact(name):
    (at,) = DOMAINS[name].kinks

    def bent(s):
        return torch.where(s >= at, 2 * (s - at), 0.5 * (s - at)) + 3

    table = tabulate(bent, bent(torch.tensor(3.0, dtype=torch.float64)), DOMAINS[name])
    s = at + torch.tensor([-1e-3, -1e-9, 0.0, 1e-9, 1e-3], dtype=torch.float64)
    torch.testing.assert_close(table(s), bent(s), atol=1e-12, rtol=0)


@torch.no_grad()
def test_a_jump_at_a_graded_point_is_exact():
    domain = Domain(-2.0, 3.0, graded=((0.3, 0.1),))

    def jump(s):
        return torch.where(s >= 0.3, 2 + s, 0.5 * s)

    table = tabulate(jump, torch.tensor(5.0, dtype=torch.float64), domain)
    s = 0.3 + torch.tensor([-1e-3, -1e-12, 0.0, 1e-12, 1e-3], dtype=torch.float64)
    torch.testing.assert_close(table(s), jump(s), atol=1e-12, rtol=0)


@torch.no_grad()
def test_a_kink_far_from_zero_keeps_its_slope():
    # Rounding in a domain so long must not put a corner on the wrong side of the kink.
    width = 16.49171907095738
    coverage = ts.Mixture([ts.Gamma(width, shape=1.0, shift=-0.08668636823721254)])
    domain = coverage.domain()
    table = tabulate(coverage, coverage(torch.tensor(domain.high).double()), domain)
    s = torch.linspace(domain.low, domain.low + 40, 20_001, dtype=torch.float64)[1:]
    assert float((table(s) - coverage(s)).abs().max()) < 1e-6


def test_gradient_to_the_parameters_and_the_argument():
    s = torch.linspace(-1.9, 2.9, 9, dtype=torch.float64, requires_grad=True)
    p = torch.tensor([0.7, 1.3], dtype=torch.float64, requires_grad=True)
    top = torch.zeros((), dtype=torch.float64)

    def looked_up(s, p):
        return tabulate(lambda x: p[0] * torch.tanh(p[1] * x), top, DOMAIN)(s)

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

    def build(self, high, domain):
        """Tabulate, and count it."""
        self.built += 1
        return tabulate(self.coverage, self.coverage(high), domain)

    def get(self, apart=None):
        """Ask the cache."""
        return self.cache.get("curve", self.build, self.coverage.domain, self.coverage, apart=apart)


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


def test_cache_ignores_a_width_that_is_set_apart():
    annealed = ts.Gaussian(ts.ExponentialAnnealing(2.0, ts.Pixels(0.2, learn=True)))
    counter = Counter(annealed.requires_grad_(True))
    first = counter.get(apart=annealed.scale)
    annealed.scale.set_progress(0.7)
    assert counter.get(apart=annealed.scale) is first
    assert counter.get() is not first


def test_a_width_that_is_also_a_part_of_the_curve_is_not_ignored():
    shared = ts.Pixels(1.0)
    mixture = ts.Mixture([ts.Gaussian(shared), ts.Logistic()], shared)
    renderer = ts.SoftRasterizer(mixture, occlusion=ts.DepthSoftmax())
    before = renderer.curves(32)[1].table
    shared.length.log_value.add_(0.5)
    assert renderer.curves(32)[1].table is not before


def test_an_annealed_or_learned_scale_leaves_the_tables_alone(monkeypatch):
    built = []
    monkeypatch.setattr(
        "taichisoft.softness.curves.tabulate",
        lambda *a, **options: built.append(a) or tabulate(*a, **options),
    )
    scale = ts.ExponentialAnnealing(ts.Pixels(2.0, learn=True), 0.2)
    gamma = ts.AnnealedPositive(ts.Positive(0.4, learn=True), 0.1)
    renderer = ts.SoftRasterizer(ts.Gaussian(scale), occlusion=ts.DepthSoftmax(gamma))
    cube = ts.shapes.cube()
    mesh = ts.Mesh(cube.vertices, cube.faces, vertex_colors=cube.vertices + 1)
    camera = ts.Camera.look_at(eye=(1.5, 1, 3), image_size=(8, 8))
    for progress in (0.0, 0.5, 1.0):
        renderer.set_progress(progress)
        renderer(mesh, camera).color.sum().backward()
        if progress == 0:
            once = len(built)
    assert 0 < once == len(built)


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
    assert isinstance(renderer.softness.coverage, ts.Logistic)
    second = renderer.silhouette(mesh, camera)
    fresh = ts.SoftRasterizer(ts.Logistic(2.0)).silhouette(mesh, camera)
    assert torch.equal(second, fresh)
    assert float((first - second).abs().max()) > 0.01


def triangle(dtype) -> tuple[ts.Mesh, ts.Camera]:
    corners = torch.tensor([[1.0, 1, 1], [7, 2, 1], [3, 7, 1]], dtype=dtype)
    camera = ts.Camera.orthographic(
        (4, 4, 5.0), (4, 4, 0), height=8, image_size=(8, 8), dtype=dtype
    )
    return ts.Mesh(corners, torch.tensor([[0, 1, 2]])), camera


def test_replaced_modules_are_told_apart_although_memory_is_reused(dtype):
    scene = triangle(dtype)
    expected = ts.SoftRasterizer(ts.Gaussian(2.0), ts.Einstein()).silhouette(*scene)
    for _ in range(20):
        renderer = ts.SoftRasterizer(ts.Gaussian(2.0), ts.Probabilistic())
        renderer.silhouette(*scene)
        renderer.aggregation = ts.Max()
        renderer.aggregation = ts.Einstein()
        assert torch.equal(renderer.silhouette(*scene), expected)


class Steep(torch.nn.Module):
    """A user's module whose steepness is a plain attribute."""

    def __init__(self, steepness):
        super().__init__()
        self.steepness = steepness

    def forward(self, s):
        """Return a logistic curve."""
        return torch.sigmoid(self.steepness * s)


def test_plain_attributes_are_noticed(dtype):
    scene, module = triangle(dtype), Steep(1.0)
    renderer = ts.SoftRasterizer(module)
    first = renderer.silhouette(*scene)
    module.steepness = 3.0
    assert not torch.equal(renderer.silhouette(*scene), first)
    module.steepness = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(renderer.silhouette(*scene).sum(), module.steepness)
    assert float(gradient.abs()) > 0


def test_curves_that_do_not_depend_on_the_distance(dtype):
    for module in (torch.nn.Threshold(0.0, 0.5), Steep(0.0)):
        constant = ts.CustomCoverage(module, 1.0, reach=0.4)
        alpha = ts.SoftRasterizer(constant).silhouette(*triangle(dtype))
        assert bool(alpha.isfinite().all())


def test_inference_mode(dtype):
    scene = triangle(dtype)
    renderer = ts.SoftRasterizer(ts.MLPCoverage(1.0))
    with torch.inference_mode():
        first = renderer(*scene).alpha
    # What was tabulated there can be used, and learned, outside.
    assert torch.equal(renderer(*scene).alpha.detach(), first)
    renderer.silhouette(*scene).sum().backward()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 0.0), "low must be <= high"),
        ((float("nan"), 1.0), "low must be <= high"),
        ((float("-inf"), 1.0), "low and high must be finite"),
        ((0.0, 1.0, (1.0,)), "kinks must lie between low and high"),
        ((0.0, 1.0, (), ((2.0, 1.0),)), "graded must hold pairs of a point in the domain"),
        ((0.0, 1.0, (), ((0.5, 0.0),)), "graded must hold pairs of a point in the domain"),
    ],
)
def test_bad_domains(arguments, message):
    with pytest.raises(ValueError, match=message):
        Domain(*arguments)
