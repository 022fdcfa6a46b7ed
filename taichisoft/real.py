"""A real number that is fixed or learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_number


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
