"""Families of T-conorms whose generator is a power of a simpler one; for p to infinity all are the maximum.

Generators follow Klement, Mesiar and Pap, "Triangular Norms" (2000), and GenDR (Petersen et al. 2022). Powers
are computed in float64; those below 1e-30 count as 0, which hides alphas up to 10^(-30/p).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from taichisoft.softness.aggregation.arithmetic import odds, one_minus_exp, optical_depth, power
from taichisoft.softness.aggregation.base import Aggregation
from taichisoft.softness.bounds import Bounds
from taichisoft.softness.courses import PositiveOrCourse

# Beyond the larger one alphas above 2e-4 would be hidden, below the smaller one tables err by more than 1e-5.
BOUNDS = Bounds(0.1, 8.0)


class PowerFamily(Aggregation):
    """T-conorms with the generator ``base(D)^p``. A subclass gives the base and its inverse.

    Parameters
    ----------
    p : float, Positive, AnnealedPositive or PiecewisePositive
        From 0.1 to 8. A number is fixed; ``Positive(p, learn=True)`` is learned, and held at a bound.

    Raises
    ------
    ValueError
        p is outside of the bounds.
    """

    def __init__(self, p: float | PositiveOrCourse):
        super().__init__()
        self.p = BOUNDS.check(p, "p")

    @property
    def steep_at_zero(self) -> bool:
        """True: a power is steep or flat at 0, in any case no polynomial."""
        return True

    def settings(self) -> dict[str, Any]:
        """Return p, as it is used."""
        return {"p": BOUNDS.copy(self.p)}

    def generator(self, coverage: Tensor) -> Tensor:
        """Return the base to the power p, at most 1e30."""
        return power(self.base(coverage), BOUNDS.hold(self.p))

    def inverse(self, total: Tensor) -> Tensor:
        """Return the inverse of the base at ``total^(1/p)``; totals up to 1e-30 give 0, without gradient."""
        return self.inverse_base(power(total.double(), 1 / BOUNDS.hold(self.p))).to(total.dtype)

    @abstractmethod
    def base(self, coverage: Tensor) -> Tensor:
        """Return the generator for p = 1."""

    @abstractmethod
    def inverse_base(self, total: Tensor) -> Tensor:
        """Return the coverage of a value of the base."""


class Yager(PowerFamily):
    """The Yager sums ``min(1, (a^p + b^p)^(1/p))``; p = 1 is the bounded sum.

    Where the sum exceeds 1, alpha is 1 and no face gets a gradient.

    Parameters
    ----------
    p : float, Positive, AnnealedPositive or PiecewisePositive
        As in `PowerFamily`.
    """

    def base(self, coverage: Tensor) -> Tensor:
        """Return the coverage itself."""
        return coverage

    def inverse_base(self, total: Tensor) -> Tensor:
        """Return the total, at most 1."""
        return total.clamp(max=1)


class AczelAlsina(PowerFamily):
    """The Aczel-Alsina sums ``1 - exp(-((-log(1-a))^p + (-log(1-b))^p)^(1/p))``; p = 1 is probabilistic.

    Parameters
    ----------
    p : float, Positive, AnnealedPositive or PiecewisePositive
        As in `PowerFamily`.
    """

    def base(self, coverage: Tensor) -> Tensor:
        """Return the optical depth -log(1 - D)."""
        return optical_depth(coverage)

    def inverse_base(self, total: Tensor) -> Tensor:
        """Return 1 - exp(-total)."""
        return one_minus_exp(total)

    def complement(self, total: Tensor) -> Tensor:
        """Return exp(-total^(1/p))."""
        return torch.exp(-power(total, 1 / BOUNDS.hold(self.p)))


class Dombi(PowerFamily):
    """The Dombi sums, with the generator ``(D / (1 - D))^p``; p = 1 is the Hamacher sum with p = 0.

    Parameters
    ----------
    p : float, Positive, AnnealedPositive or PiecewisePositive
        As in `PowerFamily`. The generator stops at 1e30, so that
        full coverage counts as 1 - 10^(-30/p).
    """

    def base(self, coverage: Tensor) -> Tensor:
        """Return the odds D / (1 - D), at most 1e30."""
        return odds(coverage)

    def inverse_base(self, total: Tensor) -> Tensor:
        """Return total / (1 + total)."""
        return one_minus_exp(torch.log1p(total))

    def complement(self, total: Tensor) -> Tensor:
        """Return 1 / (1 + total^(1/p))."""
        return 1 / (1 + power(total, 1 / BOUNDS.hold(self.p)))
