"""Families of T-conorms that contain the probabilistic sum as a member or as a limit.

Generators follow Klement, Mesiar and Pap, "Triangular Norms" (2000), and GenDR (Petersen et al. 2022).
Inverses are computed in float64, so that an optical depth that cancels loses no digit of float32.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from taichisoft.base.checks import check_number
from taichisoft.softness.aggregation.arithmetic import (
    HUGE,
    mean_decay,
    mean_inverse,
    odds,
    one_minus_exp,
    optical_depth,
)
from taichisoft.softness.aggregation.base import Aggregation
from taichisoft.softness.bounds import Bounds
from taichisoft.softness.courses import PositiveOrCourse
from taichisoft.softness.parameters import Positive

# Within these a table errs by at most 1.5e-6 in alpha (by 2.6e-7 with a uniform coverage); beyond, by more.
HAMACHER = Bounds(0.0, 1e4)
FRANK = Bounds(1e-5, 1e9)
SCHWEIZER_SKLAR = Bounds(0.0, 4.0)
# Above this p, Hamacher's generator bends within a few cells of 0.
BENDS_AT_ZERO = 4.0
# Keeps 1 - x, and with it the logarithm of it, finite; reached only for p > 1e15.
ALMOST_ONE = 1 - 2.0**-52


class Hamacher(Aggregation):
    """The Hamacher sums ``(a + b + (p - 2) a b) / (1 + (p - 1) a b)``.

    The generator is ``log(1 + p D / (1 - D)) / p``, whose limit at p = 0 is ``D / (1 - D)``. With p = 1 it
    is the probabilistic sum, with p = 2 the Einstein sum.

    Parameters
    ----------
    p : float, Positive, AnnealedPositive or PiecewisePositive
        From 0 to 1e4. A number is fixed; ``Positive(p, learn=True)`` is learned, may tend to 0, and is held
        at the upper bound.
    """

    def __init__(self, p: float | PositiveOrCourse):
        super().__init__()
        is_zero = not isinstance(p, PositiveOrCourse) and check_number(p, "p") == 0
        self.p = 0.0 if is_zero else HAMACHER.check(p, "p")

    @property
    def steep_at_zero(self) -> bool:
        """Whether the generator bends next to 0, as it does for large p."""
        value = self._value()
        return float(value.detach() if isinstance(value, Tensor) else value) > BENDS_AT_ZERO

    def settings(self) -> dict[str, Any]:
        """Return p, as it is used."""
        return {"p": self.p if isinstance(self.p, float) else HAMACHER.copy(self.p)}

    def generator(self, coverage: Tensor) -> Tensor:
        """Return log(1 + p u) / p with the odds u = D / (1 - D), at most 1e30."""
        u = odds(coverage)
        return u * mean_inverse(self._value() * u)

    def inverse(self, total: Tensor) -> Tensor:
        """Return u / (1 + u) with the odds u = (exp(p total) - 1) / p."""
        return one_minus_exp(self._depth(total.double())).to(total.dtype)

    def complement(self, total: Tensor) -> Tensor:
        """Return 1 / (1 + u)."""
        return torch.exp(-self._depth(total))

    def _depth(self, total: Tensor) -> Tensor:
        """Return log(1 + u), with the growing part of the logarithm taken out."""
        p = self._value()
        grown = p * total
        return grown + torch.log1p((1 - p) * total * mean_decay(grown))

    def _value(self) -> Tensor | float:
        return self.p if isinstance(self.p, float) else HAMACHER.hold(self.p)


class Frank(Aggregation):
    """The Frank sums ``1 - log_p(1 + (p^(1-a) - 1) (p^(1-b) - 1) / (p - 1))``.

    With p = 1 it is the probabilistic sum, for p to 0 it tends to the maximum. With a large p, such as 100 or
    1e4, it is near `BoundedSum`: two halves make nearly 1, so that seams between faces nearly close. Unlike
    that it has a gradient everywhere.

    Parameters
    ----------
    p : float, Positive, AnnealedPositive or PiecewisePositive
        From 1e-5 to 1e9. A number is fixed; ``Positive(p, learn=True)`` is learned, may pass through 1, and
        is held at a bound.
    """

    def __init__(self, p: float | PositiveOrCourse):
        super().__init__()
        self.p = FRANK.check(p, "p")

    def settings(self) -> dict[str, Any]:
        """Return p, as it is used."""
        return {"p": FRANK.copy(self.p)}

    def generator(self, coverage: Tensor) -> Tensor:
        """Return -log((p^(1-D) - 1) / (p - 1))."""
        # (p^y - 1) / (p - 1) is y times a ratio of two smooth functions that are 1 at p = 1.
        rate, rest = torch.log(FRANK.hold(self.p)), 1 - coverage
        near_one = torch.log(mean_decay(-rate)) - torch.log(mean_decay(-rate * rest))
        # Its complement, for the digits that are lost where it is almost 1.
        share = coverage * mean_decay(rate * coverage) / mean_decay(rate)
        near_zero = -torch.log1p(-share.clamp(max=0.5))
        return torch.where(share < 0.5, near_zero, optical_depth(coverage) + near_one)

    def inverse(self, total: Tensor) -> Tensor:
        """Return 1 - log_p(1 + (p - 1) exp(-total))."""
        rate = torch.log(FRANK.hold(self.p))
        share, decay = one_minus_exp(total.double()), mean_decay(rate)
        missing = (share * rate * decay).clamp(max=ALMOST_ONE)
        return (share * decay * mean_inverse(-missing)).clamp(max=1).to(total.dtype)

    def complement(self, total: Tensor) -> Tensor:
        """Return log_p(1 + (p - 1) exp(-total))."""
        rate = torch.log(FRANK.hold(self.p))
        passed = torch.exp(-total) * mean_decay(-rate)
        return passed * mean_inverse(rate * passed)


class SchweizerSklar(Aggregation):
    """The Schweizer-Sklar sums ``1 - ((1-a)^p + (1-b)^p - 1)^(1/p)`` for p < 0.

    For p to 0 they tend to the probabilistic sum, for p to -infinity to the maximum; p = -1 is the
    Hamacher sum with p = 0.

    Parameters
    ----------
    p : float, Positive, AnnealedPositive or PiecewisePositive
        From -4 to below 0. A number is fixed; ``Positive(q, learn=True)`` is learned, with p = -q, and held
        at the bound. The generator stops at 1e30 / q, so that full coverage counts as 1 - 10^(-30/q).
    """

    def __init__(self, p: float | PositiveOrCourse):
        super().__init__()
        if not isinstance(p, PositiveOrCourse):
            number, least = check_number(p, "p", below=0), -SCHWEIZER_SKLAR.high
            if number < least:
                raise ValueError(f"p must be from {least:g} to below 0, got {number:g}")
            p = Positive(-number)
        self.minus_p = SCHWEIZER_SKLAR.check(p, "p, which stands for -p,")

    @property
    def p(self) -> PositiveOrCourse:
        """What the constructor takes: the learned or fixed -p."""
        return self.minus_p

    def settings(self) -> dict[str, Any]:
        """Return -p, as it is used."""
        return {"p": SCHWEIZER_SKLAR.copy(self.minus_p)}

    def generator(self, coverage: Tensor) -> Tensor:
        """Return ((1 - D)^p - 1) / -p."""
        q = SCHWEIZER_SKLAR.hold(self.minus_p)
        depth = torch.minimum(optical_depth(coverage), math.log(HUGE) / q)
        return depth * mean_decay(-q * depth)

    def inverse(self, total: Tensor) -> Tensor:
        """Return 1 - (1 - p total)^(1/p)."""
        return one_minus_exp(self._depth(total.double())).to(total.dtype)

    def complement(self, total: Tensor) -> Tensor:
        """Return (1 - p total)^(1/p)."""
        return torch.exp(-self._depth(total))

    def _depth(self, total: Tensor) -> Tensor:
        """Return log(1 - p total) / -p."""
        return total * mean_inverse(SCHWEIZER_SKLAR.hold(self.minus_p) * total)
