"""Courses: numbers that follow the progress of an optimisation, usable where fixed and learned ones are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from taichisoft.softness.annealing import (
    FollowsProgress,
    arithmetic_mean,
    between_knots,
    geometric_mean,
    named_knots,
)
from taichisoft.softness.parameters import Positive, Real, as_positive, as_real
from taichisoft.softness.part import Part


class PositiveCourse(FollowsProgress, Part):
    """A positive number that runs through others: its logarithm is piecewise linear in the progress.

    A subclass says through which. They are equally spaced over the progress, those at 0 and 1 included.
    """

    @abstractmethod
    def numbers(self) -> dict[str, Positive]:
        """Return the numbers in order, by their names in messages: the value is never outside of them."""

    @abstractmethod
    def with_each(self, change: Callable[[Positive], Positive]) -> PositiveCourse:
        """Return a course of the same kind through other numbers, those that `change` makes of these."""

    def forward(self) -> Tensor:
        """Return the value at the current progress, a float64 scalar tensor."""
        values = torch.stack([number() for number in self.numbers().values()])
        return between_knots(values, self.progress, geometric_mean)


class AnnealedPositive(PositiveCourse):
    """A positive number that goes from one value to another by the same factor every step.

    It is a gamma, a fraction of a `DepthFraction`, or the parameter of a T-conorm.

    Parameters
    ----------
    start, end : float or Positive
        The first and the last value; a number is fixed. Both may be learned.
    """

    def __init__(self, start: float | Positive, end: float | Positive):
        super().__init__()
        self.start = as_positive(start, "start")
        self.end = as_positive(end, "end")

    def numbers(self) -> dict[str, Positive]:
        """Return the first and the last."""
        return {"start": self.start, "end": self.end}

    def with_each(self, change: Callable[[Positive], Positive]) -> AnnealedPositive:
        """Return one with other ends."""
        return AnnealedPositive(change(self.start), change(self.end))


class PiecewisePositive(PositiveCourse):
    """A positive number that runs through others, by the same factor every step between two of them.

    With two of them it is `AnnealedPositive`, and like it a gamma, a fraction of a `DepthFraction`, or the
    parameter of a T-conorm.

    Parameters
    ----------
    knots : sequence of float or Positive
        At least two: the values at progress 0, ..., 1, equally spaced; a number is fixed. Each may be
        learned; one that has no part at a progress has a gradient of 0 there.

    Raises
    ------
    TypeError, ValueError
        `knots` is no list or tuple of these, or has fewer than two.
    """

    knots: Sequence[Positive]

    def __init__(self, knots: Sequence[float | Positive]):
        super().__init__()
        numbers = [as_positive(*knot) for knot in named_knots(knots)]
        self.knots = cast("Sequence[Positive]", nn.ModuleList(numbers))

    def numbers(self) -> dict[str, Positive]:
        """Return the knots."""
        return {f"knots[{index}]": knot for index, knot in enumerate(self.knots)}

    def with_each(self, change: Callable[[Positive], Positive]) -> PiecewisePositive:
        """Return one with other knots."""
        return PiecewisePositive([change(knot) for knot in self.knots])


class PiecewiseReal(FollowsProgress, Part):
    """A real number that runs through others, piecewise linearly: the shift of a closed-form coverage.

    Parameters
    ----------
    knots : sequence of float or Real
        At least two: the values at progress 0, ..., 1, equally spaced; a number is fixed. Each may be
        learned; one that has no part at a progress has a gradient of 0 there.

    Raises
    ------
    TypeError, ValueError
        `knots` is no list or tuple of these, or has fewer than two.
    """

    knots: Sequence[Real]

    def __init__(self, knots: Sequence[float | Real]):
        super().__init__()
        numbers = [as_real(*knot) for knot in named_knots(knots)]
        self.knots = cast("Sequence[Real]", nn.ModuleList(numbers))

    def forward(self) -> Tensor:
        """Return the value at the current progress, a float64 scalar tensor."""
        values = torch.stack([knot() for knot in self.knots])
        return between_knots(values, self.progress, arithmetic_mean)


PositiveOrCourse = Positive | PositiveCourse
RealOrCourse = Real | PiecewiseReal


def as_positive_or_course(
    number: float | PositiveOrCourse,
    name: str,
    wanted: str = "Positive, PiecewisePositive or AnnealedPositive",
) -> PositiveOrCourse:
    """Return a course as it is, all else as `as_positive` does."""
    return number if isinstance(number, PositiveCourse) else as_positive(number, name, wanted)


def as_real_or_course(value: float | RealOrCourse, name: str) -> RealOrCourse:
    """Return a course as it is, all else as `as_real` does."""
    return value if isinstance(value, PiecewiseReal) else as_real(value, name)
