"""Numbers that run through knots over an optimisation, as shift, as parameter of a T-conorm and as gamma."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.softness.registry import describe
from tests.zoo.coverage import numbers

# Progresses, and which knots of three have which part in the value.
PARTS = {0.0: (1.0, 0.0, 0.0), 0.3: (0.4, 0.6, 0.0), 0.5: (0.0, 1.0, 0.0), 0.75: (0.0, 0.5, 0.5)}


def real(*knots: float) -> ts.PiecewiseReal:
    """Return a course through learned numbers."""
    return ts.PiecewiseReal([ts.Real(knot, learn=True) for knot in knots])


def positive(*knots: float) -> ts.PiecewisePositive:
    """Return a course through learned positive numbers."""
    return ts.PiecewisePositive([ts.Positive(knot, learn=True) for knot in knots])


def at(course, progress: float):
    """Return a course at a progress."""
    course.set_progress(progress)
    return course


def test_a_real_number_runs_linearly_between_its_knots():
    course = ts.PiecewiseReal([0.5, ts.Real(-0.5, learn=True), 1.5])
    for progress, value in ((0.0, 0.5), (0.25, 0.0), (0.5, -0.5), (0.75, 0.5), (1.0, 1.5)):
        found = at(course, progress)().detach()
        assert (found.dtype, found.shape) == (torch.float64, ())
        assert float(found) == pytest.approx(value, abs=1e-15)


def test_a_positive_number_runs_in_its_logarithm():
    course = ts.PiecewisePositive((4.0, ts.Positive(1.0, learn=True), 16, 4))
    for progress, value in ((0.0, 4.0), (1 / 6, 2.0), (1 / 3, 1.0), (0.5, 4.0), (1.0, 4.0)):
        assert float(at(course, progress)().detach()) == pytest.approx(value, rel=1e-14)
    for progress in (0.0, 0.3, 1.0):
        two, ends = positive(3.0, 0.2), ts.AnnealedPositive(3.0, 0.2)
        assert torch.equal(at(two, progress)(), at(ends, progress)())


@pytest.mark.parametrize("progress", PARTS)
def test_a_knot_without_a_part_has_a_gradient_of_zero(progress):
    course = at(real(0.5, -0.5, 1.5), progress)
    # No error for one that is unused.
    found = torch.autograd.grad(course(), list(course.parameters()))
    torch.testing.assert_close(torch.stack(found), numbers(*PARTS[progress]))
    course = at(positive(0.5, 2.0, 1.5), progress)
    found = torch.autograd.grad(course().log(), list(course.parameters()))
    torch.testing.assert_close(torch.stack(found), numbers(*PARTS[progress]))


class Alpha(torch.nn.Module):
    """Alpha of two faces, as a function of what a softness is made of."""

    def __init__(self, coverage: ts.Coverage, aggregation: ts.Aggregation):
        super().__init__()
        self.coverage, self.aggregation = coverage, aggregation

    def forward(self) -> Tensor:
        """Return it at some distances."""
        covered = self.coverage.without_tail(numbers(-0.7, -0.2, 0.1))
        return self.aggregation.inverse(2 * self.aggregation.generator(covered))


@pytest.mark.parametrize("progress", [0.3, 0.5])
@pytest.mark.parametrize(
    "make",
    [
        lambda: (ts.Gaussian(shift=real(0.3, -0.2, 0.4)), ts.Probabilistic()),
        lambda: (ts.Logistic(squared=True, shift=real(0.3, -0.2, 0.4)), ts.Frank(50.0)),
        lambda: (ts.Gaussian(), ts.AczelAlsina(positive(0.8, 2.0, 1.3))),
        lambda: (ts.Gaussian(), ts.Hamacher(positive(0.8, 3.0, 1.3))),
        lambda: (ts.Gaussian(), ts.SchweizerSklar(positive(0.8, 3.0, 1.3))),
    ],
    ids=["shift", "squared", "power", "hamacher", "schweizer-sklar"],
)
def test_derivatives_of_both_orders_reach_the_knots(make, progress):
    alpha = Alpha(*make())
    for part in alpha.modules():
        if isinstance(part, ts.PiecewiseReal | ts.PiecewisePositive):
            part.set_progress(progress)
    names = [name for name, _ in alpha.named_parameters()]
    values = tuple(p.detach().clone().requires_grad_() for p in alpha.parameters())
    assert len(values) == 3

    def of(*values: Tensor) -> Tensor:
        return torch.func.functional_call(alpha, dict(zip(names, values, strict=True)), ())

    assert torch.autograd.gradcheck(of, values)
    assert torch.autograd.gradgradcheck(of, values)


def squares(dtype) -> tuple[ts.Mesh, ts.Camera]:
    """Return two overlapping triangles, one before the other."""
    corners = [[1.0, 1, 1], [7, 2, 1], [3, 7, 1], [2.0, 2, 0.8], [7, 4, 0.8], [1, 7, 0.8]]
    vertices = torch.tensor(corners, dtype=dtype)
    colors = torch.linspace(0, 1, 18, dtype=dtype).reshape(6, 3)
    mesh = ts.Mesh(vertices, torch.tensor([[0, 1, 2], [3, 4, 5]]), vertex_colors=colors)
    camera = ts.Camera.orthographic(
        (4, 4, 5.0), (4, 4, 0), height=8, image_size=(8, 8), dtype=dtype
    )
    return mesh, camera


# What a softness is made of, given a shift, a p and a gamma, and the knots of the one that runs.
USES = {
    "shift": (lambda x: ts.Softness(ts.Gaussian(0.8, shift=x)), (0.5, -0.4, 0.1)),
    "p": (lambda x: ts.Softness(ts.Gaussian(0.8), ts.AczelAlsina(x)), (0.7, 2.0, 1.1)),
    "gamma": (lambda x: ts.Softness(occlusion=ts.DepthSoftmax(x)), (0.05, 0.6, 0.2)),
    "fraction": (
        lambda x: ts.Softness(occlusion=ts.FrontToBack(gamma=ts.DepthFraction(x))),
        (1.5, 2.0, 3.0),
    ),
}


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("learn", [False, True])
def test_an_image_is_that_of_the_number_at_its_progress(name, learn, dtype):
    make, knots = USES[name]
    kind = ts.Real if name == "shift" else ts.Positive
    course = (real if name == "shift" else positive)(*knots)
    softness = make(course.requires_grad_(learn))
    renderer, scene = ts.SoftRasterizer(softness=softness), squares(dtype)
    images = []
    for progress, parts in PARTS.items():
        renderer.set_progress(progress)
        image = renderer(*scene).rgba()
        assert image.requires_grad == learn
        kept, shares = numbers(*knots), numbers(*parts)
        mean = shares @ kept if name == "shift" else (shares @ kept.log()).exp()
        constant = kind(float(mean), learn=True)
        same = ts.SoftRasterizer(softness=make(constant))(*scene).rgba()
        torch.testing.assert_close(image, same)
        if learn:
            (whole,) = torch.autograd.grad(same.square().sum(), list(constant.parameters()))
            found = torch.autograd.grad(image.square().sum(), list(course.parameters()))
            torch.testing.assert_close(torch.stack(found), whole * shares)
            assert float(whole.abs()) > 1e-3
        images.append(image.detach())
    assert not any(torch.equal(a, b) for a, b in pairwise(images))


def everything() -> ts.Softness:
    """Return a softness of which every number runs through knots."""
    return ts.Softness(
        ts.Gaussian(ts.PiecewiseAnnealing([4.0, 1.0, 0.5]), shift=real(0.3, -0.2, 0.4)),
        ts.Yager(positive(0.5, 2.0, 6.0)),
        ts.FrontToBack(gamma=ts.DepthFraction(positive(0.5, 0.05, 0.1))),
    )


def test_knots_survive_a_file_and_a_copy(tmp_path):
    softness = everything()
    with torch.no_grad():
        # Beyond its bound, where it is held.
        softness.aggregation.p.knots[2].log_value.add_(1.0)
    softness.save(tmp_path / "softness.safetensors")
    loaded = ts.Softness.load(tmp_path / "softness.safetensors", trainable=True)
    assert {n for n, p in loaded.named_parameters() if p.requires_grad} == {
        n for n, _ in softness.named_parameters()
    }
    for progress in (0.0, 0.3, 1.0):
        softness.set_progress(progress)
        loaded.set_progress(progress)
        copied = copy.deepcopy(softness)
        for other in (loaded, copied):
            assert torch.equal(other.coverage.shift(), softness.coverage.shift())
            assert torch.equal(other.aggregation.p(), softness.aggregation.p())
            assert torch.equal(other.occlusion.gamma(), softness.occlusion.gamma())
            assert other.coverage.domain() == softness.coverage.domain()
    kept = describe(softness.aggregation)["settings"]["p"]["settings"]["knots"]
    assert [round(knot["settings"]["value"], 9) for knot in kept] == [0.5, 2.0, 8.0]


def test_a_parameter_is_held_in_its_bounds_all_along():
    aggregation = ts.Yager(positive(2.0, 7.9))
    with torch.no_grad():
        aggregation.p.knots[1].log_value.fill_(numbers(32.0).log().item())
    half = numbers(0.5)
    for progress, p in ((0.0, 2.0), (0.25, 4.0), (0.5, 8.0), (1.0, 8.0)):
        aggregation.p.set_progress(progress)
        torch.testing.assert_close(aggregation.generator(half), half**p)
    loss = aggregation.generator(half).sum()
    assert all(float(g) == 0 for g in torch.autograd.grad(loss, list(aggregation.parameters())))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ts.PiecewisePositive([1.0]), ValueError, "knots must hold at least 2 .*, got 1"),
        (lambda: ts.PiecewiseReal(0.5), TypeError, "knots must be a list .*, got float"),
        (
            lambda: ts.PiecewisePositive([1.0, -1.0]),
            ValueError,
            r"knots\[1\] must be finite and greater than 0, got -1",
        ),
        (
            lambda: ts.PiecewisePositive([1.0, positive(1.0, 2.0)]),
            TypeError,
            r"knots\[1\] must be a number or a Positive, got PiecewisePositive",
        ),
        (
            lambda: ts.PiecewiseReal([0.0, ts.Positive(1.0)]),
            TypeError,
            r"knots\[1\] must be a number, got Positive",
        ),
        (
            lambda: ts.PiecewiseReal([0.0, float("nan")]),
            ValueError,
            r"knots\[1\] must be finite, got nan",
        ),
        (
            lambda: ts.Yager(ts.PiecewisePositive([1.0, 9.0])),
            ValueError,
            r"p\.knots\[1\] must be from 0\.1 to 8, got 9",
        ),
        (
            lambda: ts.Dombi(ts.AnnealedPositive(0.01, 1.0)),
            ValueError,
            r"p\.start must be from 0\.1 to 8, got 0\.01",
        ),
        (
            lambda: ts.Yager(real(1.0, 2.0)),
            TypeError,
            "p must be a number or a Positive, PiecewisePositive or AnnealedPositive, got Piece",
        ),
        (
            lambda: ts.Gaussian(shift=positive(1.0, 2.0)),
            TypeError,
            "shift must be a number, got PiecewisePositive",
        ),
        (
            lambda: ts.Gaussian(positive(1.0, 2.0)),
            TypeError,
            "scale must be a Scale, got PiecewisePositive",
        ),
    ],
)
def test_wrong_knots(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_shift_is_explained_at_both_ends(dtype):
    renderer = ts.SoftRasterizer(ts.Gaussian(0.8, shift=ts.PiecewiseReal([0.0, 2.0, 1.0])))
    found = renderer.explain(*squares(dtype))
    for end, shift in ((found.start, 0.0), (found.end, 1.0)):
        constant = ts.SoftRasterizer(ts.Gaussian(0.8, shift=shift)).explain(*squares(dtype))
        assert end.inflation == pytest.approx(constant.inflation)
        assert end.reach == pytest.approx(constant.reach)
    assert "annealed, 0.8 px wide at both ends" in str(found)


def test_the_plot_is_that_of_the_progress():
    softness = everything()
    softness.set_progress(1.0)
    figure = softness.plot()
    assert figure.axes[0].get_title().startswith("Gaussian, scale 0.5 px")
    assert figure.axes[3].get_title() == "FrontToBack, gamma 0.1 extents in depth"
    assert softness.units()["coverage.scale"] == "pixels"
