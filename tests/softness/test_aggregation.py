"""T-conorm properties of every aggregation, on numbers and on images."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from taichisoft.softness.aggregation import (
    AczelAlsina,
    Aggregation,
    Dombi,
    Einstein,
    Frank,
    Hamacher,
    Max,
    MonotoneGenerator,
    Probabilistic,
    SchweizerSklar,
    Yager,
)
from taichisoft.softness.aggregation.arithmetic import one_minus_exp
from taichisoft.softness.curves import SoftnessCurves
from taichisoft.softness.tables.table import tabulate
from tests.helpers import assert_close, pixel_camera, soup_setup
from tests.zoo.aggregation import CASES, FAMILIES, random_generator

LEVELS = torch.tensor([0.0, 1e-9, 1e-3, 0.25, 0.5, 0.9, 1 - 1e-6], dtype=torch.float64)
PAIRS = torch.cartesian_prod(LEVELS, LEVELS).unbind(1)
# Absolute error of an alpha, besides the blindness of the case, about twice what was measured.
ROUNDING = 1.4e-14


def join(aggregation: Aggregation, *coverages: Tensor) -> Tensor:
    """Combine coverages as a render does."""
    parts = torch.stack([aggregation.generator(c) for c in coverages])
    return aggregation.inverse(parts.amax(0) if aggregation.takes_max else parts.sum(0)).detach()


def assert_equal(actual: Tensor, expected: Tensor, atol: float = ROUNDING) -> None:
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


@pytest.fixture(params=list(CASES))
def name(request) -> str:
    return request.param


@pytest.fixture
def aggregation(name) -> Aggregation:
    return CASES[name].make()


def test_inverse_undoes_the_generator(name, aggregation):
    found = aggregation.inverse(aggregation.generator(LEVELS)).detach()
    assert_equal(found, LEVELS, ROUNDING + CASES[name].blind)


def test_nothing_is_the_identity(name, aggregation):
    assert_equal(join(aggregation, LEVELS, 0 * LEVELS), LEVELS, ROUNDING + CASES[name].blind)
    for dtype in (torch.float32, torch.float64):
        zero = aggregation.inverse(torch.zeros(1, dtype=dtype)).detach()
        assert float(zero) == 0
        assert zero.dtype == dtype
    assert float(aggregation.generator(torch.zeros(1, dtype=torch.float64)).detach()) == 0


def test_full_coverage_absorbs(name, aggregation):
    one = torch.ones_like(LEVELS)
    assert_equal(join(aggregation, LEVELS, one), one, 6e-15 + 1.01 * CASES[name].blind)
    faces = 1 if aggregation.takes_max else 1e6
    total = faces * aggregation.generator(one).float()
    assert bool(total.isfinite().all()), "a million faces fit float32"
    assert float(aggregation.inverse(total).detach().max()) <= 1


def test_commutative_associative_and_monotone(name, aggregation):
    a, b, c = torch.cartesian_prod(LEVELS, LEVELS, LEVELS).unbind(1)
    allowed = ROUNDING + 2 * CASES[name].blind
    ab = join(aggregation, a, b)
    assert torch.equal(ab, join(aggregation, b, a))
    right = join(aggregation, a, join(aggregation, b, c))
    assert_equal(join(aggregation, ab, c), right, allowed)
    assert bool((ab >= torch.maximum(a, b) - allowed).all())
    assert bool((ab <= 1).all())
    rises = join(aggregation, a, torch.maximum(b, c)) - ab
    assert float(rises.min()) >= -ROUNDING


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.join])
def test_closed_form_of_two(name):
    case = CASES[name]
    # The formulas themselves lose digits near 1.
    assert_equal(join(case.make(), *PAIRS), case.join(*PAIRS), 3e-11 + case.blind)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.floats(-2.5, 1.2),
    st.tuples(*[st.just(0.0) | st.floats(1e-9, 0.999) for _ in range(3)]),
)
def test_axioms_for_any_p_and_coverages(family, log_p, levels):
    family = FAMILIES[family]
    p = (-1 if family.members[0] < 0 else 1) * 2.718281828**log_p
    aggregation = family.make(p)
    a, b, c = torch.tensor(levels, dtype=torch.float64)[:, None]
    allowed = 1e-12 + 2 * family.blind(p)
    ab = join(aggregation, a, b)
    assert_equal(ab, join(aggregation, b, a), 0)
    bc = join(aggregation, b, c)
    assert_equal(join(aggregation, ab, c), join(aggregation, a, bc), allowed)
    assert_equal(join(aggregation, a, 0 * a), a, allowed)
    assert float(ab) >= float(torch.maximum(a, b)) - allowed
    assert float(join(aggregation, a, torch.maximum(b, c))) >= float(ab) - allowed
    # The textbook formulas themselves lose digits as p tends to their singular values.
    assert_equal(ab, family.join(a, b, p), 1e-10 + allowed)


@pytest.mark.parametrize("size", [0.3, 3.0, 30.0, 1e3])
@pytest.mark.parametrize("seed", range(4))
def test_learned_generator_is_valid_for_any_weights(size, seed):
    aggregation = random_generator(size, seed)
    x = torch.linspace(0, 1, 2001, dtype=torch.float64, requires_grad=True)
    g = aggregation.generator(x)
    assert float(g.detach()[0]) == 0
    assert float(g.detach().diff().min()) > 0
    total = g.detach().requires_grad_()
    alpha = aggregation.inverse(total)
    assert_equal(alpha.detach(), x.detach(), 2e-9 if size > 10 else 1e-12)
    wanted = [x, total, *aggregation.parameters()]
    gradients = torch.autograd.grad(g.sum() + alpha.sum(), wanted)
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Hamacher(1.0), Probabilistic()),
        (Hamacher(2.0), Einstein()),
        (Hamacher(0.0), Dombi(1.0)),
        (SchweizerSklar(-1.0), Dombi(1.0)),
        (Frank(1.0), Probabilistic()),
        (AczelAlsina(1.0), Probabilistic()),
        (MonotoneGenerator(bins=3), Probabilistic()),
    ],
    ids=lambda made: f"{type(made).__name__}",
)
def test_members_that_two_families_share(one, other):
    assert_equal(join(one, *PAIRS), join(other, *PAIRS), 1e-15)


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (Hamacher(1e-12), Hamacher(0.0)),
        (Frank(1 + 1e-12), Probabilistic()),
        (Frank(1 - 1e-12), Probabilistic()),
        (SchweizerSklar(-1e-12), Probabilistic()),
    ],
    ids=["hamacher", "frank_above", "frank_below", "schweizer_sklar"],
)
def test_limits_are_continuous(member, expected):
    # Both differ by at most 12 optical depths squared times 1e-12.
    assert_equal(join(member, *PAIRS), join(expected, *PAIRS), 2e-11)


LIMITING_SLOPES = {
    # From the expansion of each formula about its limit.
    "hamacher": (
        Hamacher,
        1e-9,
        lambda a, b: a * b * (1 - a) * (1 - b) / (1 - a * b) ** 2,
    ),
    "frank": (Frank, 1.0, lambda a, b: a * b * (1 - a) * (1 - b) / 2),
    "frank_nearby": (Frank, 1 + 1e-9, lambda a, b: a * b * (1 - a) * (1 - b) / 2),
    "schweizer_sklar": (
        SchweizerSklar,
        1e-9,
        lambda a, b: -(1 - a) * (1 - b) * torch.log(1 - a) * torch.log(1 - b),
    ),
}


@pytest.mark.parametrize("limit", LIMITING_SLOPES)
def test_derivatives_by_p_are_finite_and_right_at_the_limits(limit):
    kind, p, expected = LIMITING_SLOPES[limit]
    aggregation = kind(ts.Positive(p, learn=True))
    for a, b in ((0.3, 0.6), (0.05, 0.9), (0.5, 0.5)):
        a, b = torch.tensor([[a], [b]], dtype=torch.float64)
        alpha = aggregation.inverse(aggregation.generator(a) + aggregation.generator(b))
        (by_log,) = torch.autograd.grad(alpha, aggregation.parameters(), create_graph=True)
        (second,) = torch.autograd.grad(by_log, aggregation.parameters())
        # Parameters are kept as logarithms: d/d(log p) = p d/dp.
        assert float(by_log.detach()) / p == pytest.approx(float(expected(a, b)), rel=1e-7)
        assert bool(second.isfinite())


# How far the last member is from the maximum where a = b = 1/2: 0.5 (2^(1/8) - 1) of Yager's, and so on.
FARTHEST = {
    "yager": (8.0, 0.5 * (2 ** (1 / 8) - 1)),
    "aczel_alsina": (8.0, 0.5 - 0.5 ** (2 ** (1 / 8))),
    "dombi": (8.0, 2 ** (1 / 8) / (1 + 2 ** (1 / 8)) - 0.5),
    "schweizer_sklar": (-4.0, 0.5 - 31 ** (-1 / 4)),
}


@pytest.mark.parametrize("family", FARTHEST)
def test_tends_to_the_maximum(family):
    last, farthest = FARTHEST[family]
    family = FAMILIES[family]
    a, b = (
        x[(x > 0.2) & (x < 0.95)] for x in torch.tensor([[0.3, 0.5, 0.9], [0.6, 0.5, 0.4]]).double()
    )
    distances = [
        float((join(family.make(p), a, b) - torch.maximum(a, b)).max())
        for p in (last / 8, last / 4, last / 2, last)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == pytest.approx(farthest, rel=1e-9)


def with_parameters(function, aggregation: Aggregation):
    """Return a function of a tensor and of the parameters, which gradcheck perturbs in place."""
    return lambda x, *parameters: function(x)


def test_first_and_second_derivatives_of_the_generator(aggregation):
    x = torch.tensor([0.03, 0.31, 0.72, 0.96], dtype=torch.float64, requires_grad=True)
    inputs = (x, *aggregation.parameters())
    function = with_parameters(aggregation.generator, aggregation)
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


def test_first_and_second_derivatives_of_the_inverse(aggregation):
    x = torch.tensor([0.07, 0.36, 0.71, 0.93], dtype=torch.float64)
    total = aggregation.generator(x).detach().requires_grad_()
    inputs = (total, *aggregation.parameters())
    function = with_parameters(aggregation.inverse, aggregation)
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_derivatives_are_finite_at_the_ends(aggregation, precision):
    ends = torch.tensor([0.0, 1e-300, 1e-40, 1e-17, 1 - 2**-53, 1.0], dtype=torch.float64)
    totals = torch.tensor([0.0, 1e-38, 1e-29, 1e-20, 0.5, 100.0, 1e30, 3e38], dtype=precision)
    for function, x in ((aggregation.generator, ends), (aggregation.inverse, totals)):
        x = x.requires_grad_()
        wanted = [x, *aggregation.parameters()]
        value = function(x)
        assert bool(value.isfinite().all())
        first = torch.autograd.grad(value.sum(), wanted, create_graph=True, allow_unused=True)
        assert all(bool(g.isfinite().all()) for g in first if g is not None)
        # Weighted as in a render, where the derivative of a total is of the size of the total.
        inner = (first[0] * x.detach()).sum() + sum(g.sum() for g in first[1:] if g is not None)
        if inner.requires_grad:
            second = torch.autograd.grad(inner, wanted, allow_unused=True)
            assert all(not bool(g.isnan().any()) for g in second if g is not None)


def test_tiny_coverages_keep_their_digits_in_float32(name, aggregation):
    tiny = torch.tensor([1e-7, 1e-6, 1e-5, 1e-4, 1e-3], dtype=torch.float64)
    tiny = tiny[tiny > 1e2 * CASES[name].blind]
    total = aggregation.generator(tiny).detach().float()
    found = aggregation.inverse(total).double().detach()
    assert len(tiny) > 1
    torch.testing.assert_close(found, tiny, rtol=3e-7, atol=0)


def test_saturated_coverages_keep_their_slope_in_float32(name, aggregation):
    # d(alpha)/d(total) is exact where alpha rounds to 1.
    x = torch.tensor([1 - 1e-9], dtype=torch.float64)
    exact = aggregation.generator(x).detach().requires_grad_()
    single = exact.detach().float().requires_grad_()
    slopes = [torch.autograd.grad(aggregation.inverse(t).sum(), t)[0] for t in (exact, single)]
    assert float(slopes[0]) > 0
    assert float(slopes[1]) == pytest.approx(float(slopes[0]), rel=3e-6)


# Largest error of alpha of tabulated Gaussian coverage, over the domain, about twice what was measured;
# where nothing is said it is below 6e-10. The second derivative of a learned generator jumps at its knots.
TABULATION = {"monotone_random": 5e-6, "monotone_wild": 1e-4}


@torch.no_grad()
def test_error_of_tabulation(name, aggregation):
    coverage = ts.Gaussian()
    domain = coverage.domain()
    if aggregation.steep_at_zero:
        # Cells of 1/32 of the distance from the end, until they are as wide as uniform ones.
        start = domain.low + domain.span / 32
        domain = replace(domain, kinks=(start,)).with_graded(domain.low)

    def curve(s):
        return aggregation.generator(coverage.without_tail(s).clamp(max=1 - 1e-6))

    s = torch.linspace(domain.low, domain.high, 30_011, dtype=torch.float64)[1:-1]
    s = torch.cat([domain.low + torch.logspace(-10, -2, 100, dtype=torch.float64), s])
    table = tabulate(curve, curve(s[-1]), domain)
    found = float((aggregation.inverse(table(s)) - coverage.without_tail(s)).abs().max())
    assert found < TABULATION.get(name, 1.2e-9)


def silhouettes(aggregation: Aggregation, corners: Tensor, *face_sets) -> list[Tensor]:
    """Return float64 silhouettes, one for each set of faces."""
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0), aggregation)
    camera = pixel_camera(12, 14, corners.dtype)
    with torch.no_grad():
        return [
            renderer.silhouette(ts.Mesh(corners, torch.tensor(faces)), camera).double()
            for faces in face_sets
        ]


def test_image_of_two_faces_is_the_join_of_their_images(name, aggregation, dtype, tolerance):
    corners = soup_setup(8, 2, (12, 14), size=12.0).leaves["vertices"][0].to(dtype)
    both, first, second = silhouettes(
        aggregation, corners, [[0, 1, 2], [3, 4, 5]], [[0, 1, 2]], [[3, 4, 5]]
    )
    assert float((first * second).max()) > 0.1, "the faces should overlap"
    expected = join(aggregation, first, second)
    assert_close(both, expected, tolerance.value + 2 * CASES[name].blind, "alpha")


def test_many_equal_faces(name, aggregation, dtype):
    corners = torch.tensor([[2.0, 2, 1], [11, 3, 1], [5, 10, 1]], dtype=dtype)
    one, many = silhouettes(aggregation, corners, [[0, 1, 2]], [[0, 1, 2]] * 70)
    fold = CASES[name].join or (lambda a, b: join(aggregation, a, b))
    rounding = 2e-12 if dtype == torch.float64 else 5e-5
    assert_equal(many, reduce(fold, [one] * 70), rounding + 2 * CASES[name].blind)


@pytest.mark.parametrize("p", [2.5, ts.Positive(2.5, learn=True)], ids=["number", "learned"])
@pytest.mark.parametrize("kind", [Hamacher, Frank, Yager, AczelAlsina, Dombi, SchweizerSklar])
def test_settings_make_an_equal_module(kind, p):
    made = kind(-p if kind is SchweizerSklar and isinstance(p, float) else p)
    again = kind(**made.settings())
    assert_equal(join(again, *PAIRS), join(made, *PAIRS), 0)
    assert len(list(made.parameters())) == (0 if isinstance(p, float) else 1)


def test_settings_of_the_others():
    made = random_generator(1.0, 2)
    again = MonotoneGenerator(**made.settings())
    again.load_state_dict(made.state_dict())
    assert_equal(join(again, *PAIRS), join(made, *PAIRS), 0)
    assert Hamacher(0).settings() == {"p": 0.0}
    assert [kind().settings() for kind in (Probabilistic, Einstein, Max)] == [{}, {}, {}]


@pytest.mark.parametrize(
    ("make_bad", "error", "message"),
    [
        (lambda: Hamacher(-1.0), ValueError, "p must be finite and greater than 0, got -1"),
        (lambda: Frank(0.0), ValueError, "p must be finite and greater than 0, got 0"),
        (
            lambda: Yager("two"),
            TypeError,
            "p must be a number or a Positive, PiecewisePositive or AnnealedPositive, got str",
        ),
        (lambda: Dombi(float("inf")), ValueError, "p must be finite"),
        (lambda: AczelAlsina(0), ValueError, "p must be finite and greater than 0, got 0"),
        (lambda: SchweizerSklar(0.5), ValueError, "p must be finite and less than 0, got 0.5"),
        (lambda: Yager(9.0), ValueError, "p must be from 0.1 to 8, got 9"),
        (lambda: Dombi(ts.Positive(0.01)), ValueError, "p must be from 0.1 to 8, got 0.01"),
        (lambda: Hamacher(1e5), ValueError, "p must be from 0 to 10000, got 100000"),
        (lambda: Frank(1e15), ValueError, r"p must be from 1e-05 to 1e\+09, got 1e\+15"),
        (lambda: SchweizerSklar(-256.0), ValueError, "^p must be from -4 to below 0, got -256$"),
        (
            lambda: SchweizerSklar(ts.Positive(8.0)),
            ValueError,
            "^p, which stands for -p, must be from 0 to 4, got 8$",
        ),
        (lambda: MonotoneGenerator(bins=257), ValueError, "bins must be at most 256, got 257"),
        (lambda: MonotoneGenerator(bins=0), ValueError, "bins must be at least 1, got 0"),
        (lambda: MonotoneGenerator(reach=0.0), ValueError, "reach must be finite and greater"),
    ],
)
def test_bad_arguments(make_bad, error, message):
    with pytest.raises(error, match=message):
        make_bad()


def test_steep_at_zero_is_said_of_powers():
    steep = {name.rsplit("_", 1)[0] for name, case in CASES.items() if case.make().steep_at_zero}
    # Of Hamacher's only those that bend within a few cells of 0.
    assert steep == {"yager", "aczel_alsina", "dombi", "hamacher"}
    assert not Hamacher(4.0).steep_at_zero


def test_max_takes_the_maximum_and_the_others_sum():
    assert [name for name, case in CASES.items() if case.make().takes_max] == ["max"]
    assert torch.equal(join(Max(), *PAIRS), torch.maximum(*PAIRS))


# Extreme and usual members, with the alpha below which a generator hides it, or so near to 1.
BOUNDED = {
    "yager": (Yager, (0.1, 0.5, 3.0, 8.0)),
    "aczel_alsina": (AczelAlsina, (0.1, 0.5, 3.0, 8.0)),
    "dombi": (Dombi, (0.1, 0.5, 3.0, 8.0)),
    "hamacher": (Hamacher, (0.0, 4.0, 5.0, 100.0, 1e4)),
    "frank": (Frank, (1e-5, 1e4, 1e9)),
    "schweizer_sklar": (SchweizerSklar, (-0.01, -3.0, -4.0)),
}


@pytest.mark.parametrize("family", BOUNDED)
@pytest.mark.parametrize("coverage", [ts.Uniform, ts.Gaussian, ts.CubicHermite])
@torch.no_grad()
def test_alpha_of_one_face_is_its_coverage_up_to_the_bounds(family, coverage):
    kind, members = BOUNDED[family]
    # Where coverage itself starts and ends flat, the largest powers err by more (measured: 1.22e-6).
    allowed = 2.6e-7 if coverage is ts.Uniform else 1.5e-6
    domain = coverage().domain()
    s = torch.linspace(domain.low, domain.high, 20_011, dtype=torch.float64)[1:-1]
    for p in members:
        softness = ts.Softness(coverage(), kind(p))
        exact = coverage().without_tail(s)
        blind = 10 ** (-30 / max(abs(p), 1)) if family in ("yager", "aczel_alsina", "dombi") else 0
        seen = (exact > 2 * blind) & (exact < 1 - max(2 * blind, 1e-6))
        alpha = softness.aggregation.inverse(SoftnessCurves(softness).generator(1).table(s))
        assert float((alpha - exact)[seen].abs().max()) < allowed, p


def test_what_was_learned_beyond_a_bound_is_held_there(tmp_path):
    softness = ts.Softness(aggregation=Yager(ts.Positive(7.0, learn=True)))
    with torch.no_grad():
        softness.aggregation.p.log_value.add_(3.0)
    a = torch.tensor([0.3, 0.6], dtype=torch.float64)
    torch.testing.assert_close(softness.aggregation.generator(a).detach(), a**8)
    softness.save(tmp_path / "held.safetensors")
    again = ts.Softness.load(tmp_path / "held.safetensors").aggregation
    assert float(again.p().detach()) == float(softness.aggregation.p().detach())


# Of torch itself, which compiles some of its transforms.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_one_minus_exp_within_transforms():
    x = torch.logspace(-12, 1.5, 40, dtype=torch.float64)

    def slope_of(y: Tensor) -> Tensor:
        return torch.autograd.grad(one_minus_exp(y).sum(), y)[0]

    mapped = torch.func.vmap(one_minus_exp)(x)
    torch.testing.assert_close(mapped, one_minus_exp(x), rtol=1e-15, atol=0)
    slope = torch.func.vmap(torch.func.grad(one_minus_exp))
    torch.testing.assert_close(slope(x), slope_of(x.clone().requires_grad_()), rtol=1e-15, atol=0)
    torch.testing.assert_close(slope(x), torch.exp(-x), rtol=1e-15, atol=0)
    third = torch.func.vmap(
        torch.func.grad(lambda y: torch.func.jacfwd(torch.func.grad(one_minus_exp))(y))
    )
    torch.testing.assert_close(third(x), torch.exp(-x), rtol=1e-15, atol=0)
