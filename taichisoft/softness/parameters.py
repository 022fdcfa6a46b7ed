"""Numbers of a softness, fixed or learned: any real one, and a positive one kept in log space."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_number


class Positive(nn.Module):
    """A positive number, fixed (a buffer) or learned (a parameter); both are saved with the module.

    Parameters
    ----------
    value : float
        The (initial) value, > 0.
    learn : bool
        Whether it is a parameter. Its gradient is with respect to the logarithm.
    """

    def __init__(self, value: float, *, learn: bool = False):
        super().__init__()
        log_value = torch.tensor(
            math.log(check_number(value, "value", above=0)), dtype=torch.float64
        )
        if learn:
            self.log_value = nn.Parameter(log_value)
        else:
            self.register_buffer("log_value", log_value)

    def forward(self) -> Tensor:
        """Return the value, a float64 scalar tensor."""
        return self.log_value.exp()

    def settings(self) -> dict:
        """Return the constructor arguments that make an equal number."""
        return {
            "value": float(self.log_value.detach().exp()),
            "learn": self.log_value.requires_grad,
        }

    def extra_repr(self) -> str:
        """Return the current value."""
        return f"{float(self.log_value.detach().exp()):.4g}, learn={self.log_value.requires_grad}"


def as_positive(number: float | Positive, name: str) -> Positive:
    """Return a `Positive` as it is and a number as a fixed one.

    Parameters
    ----------
    number : float or Positive
        What the caller passed.
    name : str
        Its name in messages.

    Raises
    ------
    TypeError, ValueError
        It is neither, or not positive.
    """
    if isinstance(number, Positive):
        return number
    return Positive(check_number(number, name, above=0))


class Real(nn.Module):
    """A real number, fixed (a buffer) or learned (a parameter); both are saved with the module.

    Parameters
    ----------
    value : float
        The (initial) value, finite.
    learn : bool
        Whether it is a parameter.
    """

    def __init__(self, value: float, *, learn: bool = False):
        super().__init__()
        number = torch.tensor(check_number(value, "value"), dtype=torch.float64)
        if learn:
            self.value = nn.Parameter(number)
        else:
            self.register_buffer("value", number)

    def forward(self) -> Tensor:
        """Return the value, a float64 scalar tensor."""
        return self.value

    def settings(self) -> dict:
        """Return the constructor arguments that make an equal number."""
        return {"value": float(self.value.detach()), "learn": self.value.requires_grad}

    def extra_repr(self) -> str:
        """Return the current value."""
        return f"{float(self.value.detach()):.4g}, learn={self.value.requires_grad}"


def as_real(value: float | Real, name: str) -> Real:
    """Return a `Real` as it is and a number as a fixed one; `name` is the argument's in messages."""
    return value if isinstance(value, Real) else Real(check_number(value, name))
