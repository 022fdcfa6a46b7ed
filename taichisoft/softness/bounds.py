"""Bounds: between which numbers a parameter is used, fixed, learned or following the progress."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from taichisoft.softness.courses import PositiveCourse, PositiveOrCourse, as_positive_or_course
from taichisoft.softness.parameters import Positive


@dataclass(frozen=True)
class Bounds:
    """Between which numbers a parameter is used.

    Parameters
    ----------
    low, high : float
        Least and largest value, ``0 <= low < high``.
    """

    low: float
    high: float

    def check(self, number: float | PositiveOrCourse, name: str) -> PositiveOrCourse:
        """Return a number within as a module; ValueError, with its name, if it is outside.

        A course must be within all along.
        """
        positive = as_positive_or_course(number, name)
        if isinstance(positive, PositiveCourse):
            for part, one in positive.numbers().items():
                self._check(one, f"{name}.{part}")
        else:
            self._check(positive, name)
        return positive

    def hold(self, number: PositiveOrCourse) -> Tensor:
        """Return the value, held at the bound that it was learned beyond, where it has no gradient."""
        return number().clamp(self.low, self.high)

    def copy(self, number: PositiveOrCourse) -> PositiveOrCourse:
        """Return a number that is made as this one, of the held value, or a course through such."""
        if isinstance(number, PositiveCourse):
            return number.with_each(self._copy)
        return self._copy(number)

    def _check(self, number: Positive, name: str) -> None:
        value = number.plain()
        # But for the rounding of a logarithm.
        if not self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9):
            raise ValueError(f"{name} must be from {self.low:g} to {self.high:g}, got {value:g}")

    def _copy(self, number: Positive) -> Positive:
        return number.with_value(min(max(number.plain(), self.low), self.high))
