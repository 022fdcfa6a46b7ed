"""Curves clipped to [0, 1] whose ends keep their slopes."""

from __future__ import annotations

import torch
from torch import Tensor

# Least rise of a curve above its cut-off; one that rises less is 0 (nearly) everywhere, not 0 / 0.
LEAST_RISE = 1e-12


def clipped(value: Tensor, inside: Tensor) -> Tensor:
    """Return `inside`, the clipped values, with the slope of `value` where only rounding was clipped.

    Rounding decides on which side of 0 or 1 the end of a curve falls; whether it has a slope must not.
    """
    rounding = (value - inside).abs() < 1e-12
    return torch.where(rounding, value + (inside - value).detach(), inside)
