"""Numbers from elsewhere: what counts as a number, and that it is kept as one of Python."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

import taichisoft as ts
from taichisoft.base.checks import (
    check_all_finite,
    check_finite,
    check_image_size,
    check_integer,
    check_number,
    check_tensor,
)
from taichisoft.softness.aggregation import MonotoneGenerator
from taichisoft.softness.occlusion import MonotoneDepth
from taichisoft.softness.registry import build, describe


@pytest.mark.parametrize(
    "value", [2, 2.0, np.float32(2), np.float64(2), np.int64(2), np.uint8(2), Fraction(2)]
)
def test_numbers(value):
    found = check_number(value, "x", above=1, below=3)
    assert (type(found), found) == (float, 2.0)


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2)])
def test_integers(value):
    found = check_integer(value, "n", minimum=2)
    assert (type(found), found) == (int, 2)


@pytest.mark.parametrize("value", [True, np.True_, "2", 2j, np.complex64(2), None, np.ones(1)])
def test_no_numbers(value):
    message = f"x must be a number, got {type(value).__name__}"
    with pytest.raises(TypeError, match=message):
        check_number(value, "x")
    with pytest.raises(TypeError, match="n must be an int"):
        check_integer(value, "n", minimum=0)


def test_sizes_of_images():
    for value in (range(2, 4), [2, 3], torch.tensor([2, 3]), np.array([2, 3]), torch.Size((2, 3))):
        assert check_image_size(value) == (2, 3)
    for value in ("23", b"23", {2: 3, 3: 2}, 2):
        with pytest.raises(TypeError, match="image_size must be a pair"):
            check_image_size(value)
    with pytest.raises(
        ValueError, match="image_size must be on a device that holds numbers, got meta"
    ):
        check_image_size(torch.ones(2, device="meta"))


@pytest.mark.parametrize("value", [2.0, np.float32(2), Fraction(2)])
def test_no_integers(value):
    with pytest.raises(TypeError, match="n must be an int"):
        check_integer(value, "n", minimum=0)


@pytest.mark.parametrize("value", [np.float32("nan"), np.float64("inf"), np.int64(7), 10**400])
def test_numbers_out_of_range(value):
    with pytest.raises(ValueError, match="x must be between 0 and 7"):
        check_number(value, "x", above=0, below=7)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ts.Gaussian(np.float32(1.5), shift=np.float64(0.5), reach=np.int64(3)),
        lambda: ts.MonotoneSpline(np.float32(1.5), reach=np.float32(3), knots=np.int64(5)),
        lambda: MonotoneDepth(np.float32(0.5), reach=np.float32(3), knots=np.int64(5)),
        lambda: MonotoneGenerator(bins=np.int64(5), reach=np.float32(3)),
        lambda: ts.Mixture([ts.Gaussian(), ts.Logistic()], weights=list(np.float32([0.25, 0.75]))),
    ],
)
def test_modules_made_of_scalars_of_numpy_can_be_saved(make):
    described = describe(make())
    assert describe(build(described)) == described


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ts.Softness(ts.Gaussian), r"coverage must be a Coverage.*Gaussian\(1\.0\)$"),
        (lambda: ts.SoftRasterizer(ts.MonotoneSpline), r"coverage .*MonotoneSpline\(1\.0\)$"),
        (lambda: ts.Softness(ts.Heaviside), r"coverage .*an instance: Heaviside\(\)$"),
        (lambda: ts.Softness(ts.Mixture), r"coverage .*an instance: Mixture\(\.\.\.\)$"),
        (lambda: ts.Softness(ts.Max), "coverage must be a Coverage, got the class Max$"),
        (lambda: ts.Softness(aggregation=ts.Max), r"aggregation .*an instance: Max\(\)$"),
        (lambda: ts.Softness(aggregation=ts.Frank), r"aggregation .*an instance: Frank\(\.\.\.\)$"),
        (lambda: ts.Softness(occlusion=ts.DepthSoftmax), r"occlusion .*DepthSoftmax\(0\.05\)$"),
        (
            lambda: ts.SoftRasterizer(softness=ts.Softness),
            r"softness .*an instance: Softness\(\)",
        ),
        (
            lambda: ts.Gaussian(ts.Pixels),
            r"scale must be a Scale, .*an instance: Pixels\(\.\.\.\)$",
        ),
        (lambda: ts.DepthSoftmax(ts.Positive), r"gamma must be .*an instance: Positive\(\.\.\.\)$"),
        (
            lambda: ts.Gaussian(shift=ts.Real),
            r"shift must be a Real, .*an instance: Real\(\.\.\.\)$",
        ),
    ],
)
def test_a_class_in_the_place_of_an_instance(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_tensors_of_other_types_say_what_converts_them():
    with pytest.raises(TypeError, match=r"mask / 255 converts levels .*, mask\.float\(\) a mask"):
        check_tensor(torch.zeros(2, 3, dtype=torch.uint8), "mask")
    with pytest.raises(TypeError, match=r"got torch\.bool; \.float\(\) converts it"):
        check_tensor(torch.zeros(2, 3, dtype=torch.bool), "mask")
    with pytest.raises(TypeError, match=r"got torch\.uint8; \.to\(torch\.int64\) converts it"):
        check_tensor(torch.zeros(2, 3, dtype=torch.uint8), "faces", dtypes=(torch.int64,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("values", [[], [3e38], [3e38] * 9, [-3e38] * 9, [3e38, -3e38] * 9])
def test_large_numbers_are_finite_although_their_sum_is_not(values, dtype):
    tensor = torch.tensor(values, dtype=dtype)
    check_finite(tensor, "x")
    check_all_finite({"x": tensor, "y": tensor})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_that_is_not_finite_is_named(bad):
    good, spoilt = torch.ones(2, 3), torch.ones(2, 3)
    spoilt[1, 2] = bad
    pairs = torch.tensor([float("inf"), -float("inf")])
    for name, tensor, where in (("y", spoilt, r"\(1, 2\)"), ("z", pairs, r"\(0,\)")):
        found = bad if tensor is spoilt else "inf"
        with pytest.raises(
            ValueError, match=rf"^{name} must be finite, got {found} at index {where}$"
        ):
            check_all_finite({"x": good, name: tensor, "w": spoilt})
        with pytest.raises(
            ValueError, match=rf"^{name} must be finite, got {found} at index {where}$"
        ):
            check_finite(tensor, name)
