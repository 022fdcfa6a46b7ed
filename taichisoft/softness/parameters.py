"""Numbers of a softness, fixed or learned: any real one, and a positive one kept in log space."""

from __future__ import annotations

import math
import numbers
import sys
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_number, check_type
from taichisoft.softness.part import Part

if TYPE_CHECKING:
    from typing_extensions import Self


class Number(Part):
    """A number, fixed (a buffer) or learned (a parameter); both are saved with the module."""

    @abstractmethod
    def forward(self) -> Tensor:
        """Return the value, a float64 scalar tensor."""

    def settings(self) -> dict[str, Any]:
        """Return the constructor arguments that make an equal number."""
        (kept,) = self.state_dict(keep_vars=True).values()
        # A frozen parameter is still one.
        return {"value": self.plain(), "learn": isinstance(kept, nn.Parameter)}

    @abstractmethod
    def plain(self) -> float:
        """Return the value as a number that the constructor takes."""

    def with_value(self, value: float) -> Self:
        """Return a number that is made as this one, of another value."""
        return type(self)(**self.settings() | {"value": value})

    def extra_repr(self) -> str:
        """Return the current value."""
        settings = self.settings()
        return f"{settings['value']:.4g}, learn={settings['learn']}"


class Positive(Number):
    """A positive number, fixed (a buffer) or learned (a parameter); both are saved with the module.

    Parameters
    ----------
    value : float
        The (initial) value, > 0.
    learn : bool
        Whether it is a parameter. Its gradient is with respect to the logarithm.
    """

    log_value: Tensor

    def __init__(self, value: float, *, learn: bool = False):
        super().__init__()
        logarithm = math.log(check_number(value, "value", above=0))
        self.hold("log_value", torch.tensor(logarithm, dtype=torch.float64), learn=learn)

    def forward(self) -> Tensor:
        """Return the value, a float64 scalar tensor."""
        return self.log_value.exp()

    def plain(self) -> float:
        """Return the value as a number that the constructor takes."""
        # What was learned may leave the range of numbers; its logarithm is kept apart.
        value = float(self.log_value.detach().exp())
        return min(max(value, sys.float_info.min), sys.float_info.max)


def as_positive(number: float | Positive, name: str, wanted: str = "Positive") -> Positive:
    """Return a `Positive` as it is and a number as a fixed one.

    Parameters
    ----------
    number : float or Positive
        What the caller passed.
    name : str
        Its name in messages.
    wanted : str
        What it may be besides a number, in messages.

    Raises
    ------
    TypeError, ValueError
        It is neither, or not positive.
    """
    if isinstance(number, Positive | type):
        return check_type(number, name, Positive)
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        raise TypeError(f"{name} must be a number or a {wanted}, got {type(number).__name__}")
    return Positive(check_number(number, name, above=0))


class Real(Number):
    """A real number, fixed (a buffer) or learned (a parameter); both are saved with the module.

    Parameters
    ----------
    value : float
        The (initial) value, finite.
    learn : bool
        Whether it is a parameter.
    """

    value: Tensor

    def __init__(self, value: float, *, learn: bool = False):
        super().__init__()
        number = torch.tensor(check_number(value, "value"), dtype=torch.float64)
        self.hold("value", number, learn=learn)

    def forward(self) -> Tensor:
        """Return the value, a float64 scalar tensor."""
        return self.value

    def plain(self) -> float:
        """Return the value as a number that the constructor takes."""
        return float(self.value.detach())


def as_real(value: float | Real, name: str) -> Real:
    """Return a `Real` as it is and a number as a fixed one; `name` is the argument's in messages."""
    if isinstance(value, Real | type):
        return check_type(value, name, Real)
    return Real(check_number(value, name))
