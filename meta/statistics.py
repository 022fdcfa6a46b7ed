"""How sure a comparison is: bootstrap intervals over problems.

The bootstrap is the percentile method (Efron 1979). It sees no spread in a sample whose outcomes are all
equal, however small the sample is; of a success rate, the inner end then is the exact binomial one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.checks import check_integer, check_number, check_tensor

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it.

    Parameters
    ----------
    mean : float
        The estimate.
    low, high : float
        Ends of the interval.
    """

    mean: float
    low: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Return whether the two intervals have a point in common."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Resamples of N problems, drawn once, so that everything computed from them is comparable.

    Parameters
    ----------
    weights : Tensor, (R, N)
        How often each of the N problems occurs in each of the R resamples, over N.
    level : float
        Probability that an interval is to cover, in (0, 1).
    """

    weights: Tensor
    level: float = LEVEL

    @classmethod
    def of(cls, count: int, seed: int, *, resamples: int = 2000, level: float = LEVEL) -> Bootstrap:
        """Draw the resamples of ``count`` problems. Equal arguments give equal resamples."""
        check_integer(count, "count", minimum=1)
        check_integer(resamples, "resamples", minimum=2)
        check_number(level, "level", above=0, below=1)
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(count, (resamples, count), generator=generator)
        times = torch.zeros(resamples, count, dtype=torch.float64)
        times.scatter_add_(1, drawn, torch.ones((), dtype=torch.float64).expand(drawn.shape))
        return cls(times / count, level)

    def mean(self, values: Tensor) -> Interval:
        """Return the mean of a value per problem, (N,), with its interval."""
        center, low, high = self.means(values[None])
        return Interval(float(center), float(low), float(high))

    def means(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the means of each row of (M, N) values and both ends of their intervals, (M,) each."""
        check_tensor(values, "values", ("M", self.weights.shape[1]), dtypes=(torch.float64,))
        resampled = self.weights @ values.mT
        tail = (1 - self.level) / 2
        ends = torch.tensor([tail, 1 - tail], dtype=torch.float64)
        low, high = torch.quantile(resampled, ends, dim=0)
        return values.mean(1), low, high

    def rate(self, solved: Tensor) -> Interval:
        """Return the share of True of a bool per problem, (N,), with its interval."""
        center, low, high = self.rates(solved[None])
        return Interval(float(center), float(low), float(high))

    def rates(self, solved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the shares of True of each row of (M, N) and both ends of their intervals, (M,) each."""
        check_tensor(solved, "solved", ("M", self.weights.shape[1]), dtypes=(torch.bool,))
        center, low, high = self.means(solved.double())
        # With N equal outcomes a rate closer to the bound than this cannot be excluded
        # (Clopper and Pearson 1934).
        slack = 1 - ((1 - self.level) / 2) ** (1 / solved.shape[1])
        low = torch.where(solved.all(1), 1 - slack, low)
        high = torch.where(solved.any(1), high, slack)
        return center, low, high
