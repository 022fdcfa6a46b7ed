"""Scales that follow the progress of an optimisation."""

from __future__ import annotations

import copy
import math

import pytest
import torch

import taichisoft as ts
from taichisoft.softness.annealing import (
    CosineAnnealing,
    ExponentialAnnealing,
    LearnedAnnealing,
    PiecewiseAnnealing,
)
from taichisoft.softness.courses import AnnealedPositive
from taichisoft.softness.scale import ConstantScale
from taichisoft.softness.softness import Softness

HEIGHT = 50


@torch.no_grad()
def bent() -> LearnedAnnealing:
    """Return a learned course with knots at 0, 1/3, 2/3 and 1."""
    scale = LearnedAnnealing(ts.Pixels(2.0, learn=True))
    scale.log_factor.copy_(torch.tensor([0.3, 0.5, -0.7, -1.0], dtype=torch.float64))
    return scale


def learned_pair(kind):
    """Return a course from 4 to 0.5 pixels whose ends are learned, in different units."""
    return kind(ts.HeightFraction(4 / HEIGHT, learn=True), ts.Pixels(0.5, learn=True))


# A factory, and the lengths in pixels at progress 0, 1/4, 1/2 and 1.
COURSES = {
    "exponential": (lambda: ExponentialAnnealing(8, 0.5), (8.0, 4.0, 2.0, 0.5)),
    "exponential, learned": (
        lambda: learned_pair(ExponentialAnnealing),
        (4.0, 4 * 8**-0.25, 2**0.5, 0.5),
    ),
    "exponential, rising": (lambda: ExponentialAnnealing(0.5, 8.0), (0.5, 1.0, 2.0, 8.0)),
    "exponential, constant": (lambda: ExponentialAnnealing(0.7, 0.7), (0.7, 0.7, 0.7, 0.7)),
    "cosine": (
        lambda: CosineAnnealing(3.0, 1.0),
        (3.0, 2 + math.sqrt(0.5), 2.0, 1.0),
    ),
    "cosine, learned": (
        lambda: learned_pair(CosineAnnealing),
        (4.0, 0.5 + 3.5 * (2 + math.sqrt(2)) / 4, 2.25, 0.5),
    ),
    "learned, start": (lambda: LearnedAnnealing(1.5), (1.5, 1.5, 1.5, 1.5)),
    "learned, two knots": (lambda: LearnedAnnealing(ts.Pixels(1.5), 2), (1.5, 1.5, 1.5, 1.5)),
    "learned, bent": (
        bent,
        (2 * math.exp(0.3), 2 * math.exp(0.45), 2 * math.exp(-0.1), 2 * math.exp(-1.0)),
    ),
    "piecewise": (lambda: PiecewiseAnnealing([8.0, 2, 0.5]), (8.0, 4.0, 2.0, 0.5)),
    "piecewise, two knots": (lambda: PiecewiseAnnealing((8.0, 0.5)), (8.0, 4.0, 2.0, 0.5)),
    "piecewise, learned": (
        lambda: PiecewiseAnnealing(
            [
                ts.HeightFraction(4 / HEIGHT, learn=True),
                ts.Pixels(0.25),
                ts.Pixels(9.0, learn=True),
                ts.Pixels(1.0, learn=True),
            ]
        ),
        (4.0, 4 * 16**-0.75, 1.5, 1.0),
    ),
}
every_course = pytest.mark.parametrize(
    ("make", "lengths"), COURSES.values(), ids=[name.replace(", ", "_") for name in COURSES]
)


@every_course
def test_values_along_the_course(make, lengths):
    scale = make()
    assert scale.progress == 0.0
    for progress, length in zip((0, 0.25, 0.5, 1), lengths, strict=True):
        scale.set_progress(progress)
        found = scale.in_pixels(HEIGHT).detach()
        assert (found.dtype, found.shape) == (torch.float64, ())
        assert float(found) == pytest.approx(length, rel=1e-14)


@every_course
@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_derivatives_of_both_orders(make, lengths, progress):
    scale = make()
    scale.set_progress(progress)
    names = [name for name, p in scale.named_parameters() if p.requires_grad]
    values = tuple(p.detach().clone().requires_grad_() for p in scale.parameters())
    if not values:
        assert not scale.in_pixels(HEIGHT).requires_grad
        return

    class InPixels(torch.nn.Module):
        """The length as the output of a module."""

        def __init__(self):
            super().__init__()
            self.scale = scale

        def forward(self):
            """Return the length."""
            return self.scale.in_pixels(HEIGHT)

    def length(*values):
        parameters = {f"scale.{name}": v for name, v in zip(names, values, strict=True)}
        return torch.func.functional_call(InPixels(), parameters, ())

    assert torch.autograd.gradcheck(length, values)
    assert torch.autograd.gradgradcheck(length, values)


def test_every_knot_counts_where_it_is():
    for progress, wanted in [(0, [1, 0, 0, 0]), (0.5, [0, 0.5, 0.5, 0]), (1, [0, 0, 0, 1])]:
        scale = bent()
        scale.set_progress(progress)
        (gradient,) = torch.autograd.grad(scale.in_pixels(HEIGHT).log(), scale.log_factor)
        torch.testing.assert_close(gradient, torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize("make", [lambda: ts.Pixels(1.0), lambda: CosineAnnealing(2.0, 1.0)])
def test_progress_out_of_range(make):
    scale = make()
    for wrong in (-1e-9, 1 + 1e-9, math.nan, math.inf):
        with pytest.raises(ValueError, match="progress must be "):
            scale.set_progress(wrong)
    for wrong in ("0.5", None, True):
        with pytest.raises(TypeError, match="progress must be a number"):
            scale.set_progress(wrong)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ExponentialAnnealing(0, 1), ValueError, "start must be finite and greater than 0"),
        (lambda: CosineAnnealing(1, -1), ValueError, "end must be finite and greater than 0"),
        (lambda: CosineAnnealing("1", 1), TypeError, "start must be a number, got str"),
        (
            lambda: ts.AnnealedPositive("1", 1),
            TypeError,
            "start must be a number or a Positive, got str",
        ),
        (
            lambda: CosineAnnealing(1, CosineAnnealing(1, 1)),
            TypeError,
            "end must be a ConstantScale, got CosineAnnealing",
        ),
        (lambda: LearnedAnnealing(1.0, 1), ValueError, "knots must be at least 2, got 1"),
        (lambda: PiecewiseAnnealing([1.0]), ValueError, "knots must hold at least 2 .*, got 1"),
        (lambda: PiecewiseAnnealing(3), TypeError, "knots must be a list .*, got int"),
        (
            lambda: PiecewiseAnnealing([1.0, 0.0]),
            ValueError,
            r"knots\[1\] must be finite and greater than 0, got 0",
        ),
        (
            lambda: PiecewiseAnnealing([CosineAnnealing(1, 1), 1.0]),
            TypeError,
            r"knots\[0\] must be a ConstantScale, got CosineAnnealing",
        ),
        (lambda: ts.Gaussian(ts.Positive(1.0)), TypeError, "scale must be a Scale, got Positive"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_progress_belongs_to_the_run():
    scale = bent()
    scale.set_progress(0.75)
    assert copy.deepcopy(scale).progress == 0.75
    assert set(scale.state_dict()) == {"start.length.log_value", "log_factor"}
    assert "progress=0.75" in repr(scale)


@every_course
def test_annealed_scales_survive_a_file(make, lengths, tmp_path):
    softness = Softness(ts.Gaussian(make()))
    softness.set_progress(0.5)
    softness.save(tmp_path / "softness.safetensors")
    loaded = Softness.load(tmp_path / "softness.safetensors", trainable=True)
    assert {n: p.requires_grad for n, p in loaded.named_parameters()} == {
        n: p.requires_grad for n, p in softness.named_parameters()
    }
    for progress in (0.0, 0.25, 0.5, 1.0):
        # A loaded softness starts anew.
        scales = [s.coverage.scale for s in (softness, loaded)]
        assert progress > 0 or scales[1].progress == 0
        for s in (softness, loaded):
            s.set_progress(progress)
        assert torch.equal(*(scale.in_pixels(HEIGHT) for scale in scales))


def test_units():
    assert ts.Pixels(1.0).unit == "pixels"
    assert ts.HeightFraction(1.0).unit == "fraction of the image height"
    assert ExponentialAnnealing(2.0, 1.0).unit == bent().unit == "pixels"
    mixed = learned_pair(CosineAnnealing)
    assert mixed.unit == "fraction of the image height (start), pixels (end)"
    assert PiecewiseAnnealing([2.0, 1.0]).unit == "pixels"
    mixed = PiecewiseAnnealing([ts.HeightFraction(0.1), 1.0])
    assert mixed.unit == "fraction of the image height, pixels"


def test_constant_scales_keep_the_names_of_their_parameters():
    for kind in (ts.Pixels, ts.HeightFraction):
        assert issubclass(kind, ConstantScale)
        made = ts.Gaussian(kind(1.0, learn=True))
        assert [name for name, _ in made.named_parameters()] == ["scale.length.log_value"]


def annealed_gamma() -> AnnealedPositive:
    """Return a gamma that is learned, from 0.8 to 0.05."""
    return AnnealedPositive(ts.Positive(0.8, learn=True), ts.Positive(0.05, learn=True))


@pytest.mark.parametrize(("progress", "value"), [(0.0, 0.8), (0.5, 0.2), (0.75, 0.1), (1.0, 0.05)])
def test_gamma_follows_the_progress(progress, value):
    softness = Softness(occlusion=ts.DepthSoftmax(annealed_gamma()))
    softness.set_progress(progress)
    assert float(softness.occlusion.gamma().detach()) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "kind",
    [
        ts.DepthSoftmax,
        ts.HardOcclusion,
        ts.MonotoneDepth,
        ts.MLPOcclusion,
        lambda gamma: ts.DepthCurve(ts.Gaussian(), gamma),
    ],
    ids=["softmax", "hard", "spline", "mlp", "curve"],
)
def test_every_occlusion_takes_an_annealed_gamma_and_keeps_it(kind, tmp_path):
    softness = Softness(occlusion=kind(annealed_gamma()))
    softness.save(tmp_path / "a.safetensors")
    again = Softness.load(tmp_path / "a.safetensors", trainable=True)
    for progress in (0.0, 0.3, 1.0):
        softness.set_progress(progress)
        again.set_progress(progress)
        assert torch.equal(again.occlusion.gamma(), softness.occlusion.gamma())
    assert all(p.requires_grad for p in again.occlusion.gamma.parameters())


def test_both_ends_of_gamma_have_their_share_of_the_gradient():
    gamma = annealed_gamma()
    gamma.set_progress(0.25)
    value = gamma()
    shares = torch.autograd.grad(value, [gamma.start.log_value, gamma.end.log_value])
    value = float(value.detach())
    assert [float(s) for s in shares] == pytest.approx([0.75 * value, 0.25 * value])


@pytest.mark.parametrize("bad", [0, -1.0, float("nan")])
def test_an_end_of_gamma_must_be_positive(bad):
    with pytest.raises(ValueError, match="end must be"):
        AnnealedPositive(1.0, bad)
