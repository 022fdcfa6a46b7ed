"""Bootstrap intervals over problems.

The bootstrap is the percentile method (Efron 1979). It sees no spread in a sample whose outcomes are all
equal, however small the sample is; of a success rate, the inner end then is the exact binomial one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.base.checks import check_integer, check_number, check_tensor

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it.

    Parameters
    ----------
    estimate : float
        Of a mean, a rate or a median; it may be infinite.
    low, high : float
        Ends of the interval.
    """

    estimate: float
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
    times : Tensor, (R, N)
        How often each of the N problems occurs in each of the R resamples, float64.
    level : float
        Probability that an interval is to cover, in (0, 1).
    """

    times: Tensor
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
        return cls(times, level)

    def mean(self, values: Tensor) -> Interval:
        """Return the mean of a value per problem, (N,), with its interval."""
        center, low, high = self.means(values[None])
        return Interval(float(center), float(low), float(high))

    def means(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the means of each row of (M, N) values and both ends of their intervals, (M,) each."""
        return values.mean(1), *self.ends(self.resampled(values))

    def resampled(self, values: Tensor) -> Tensor:
        """Return the means of each row of (M, N) values in each resample, (R, M)."""
        count = self._check(values, "M", torch.float64)
        return self.times @ values.mT / count

    def median(self, values: Tensor) -> Interval:
        """Return the median of a value per problem, (N,), with its interval.

        The middle value, or the mean of the middle two; values may be infinite.
        """
        count = self._check(values[None], 1, torch.float64)
        ordered, order = values.sort()
        reached = self.times[:, order].cumsum(1)
        # Of the sorted values of a resample, counted from 1.
        middle = [(count + 1) // 2, count // 2 + 1]
        lower, upper = (ordered[(reached >= place).int().argmax(1)] for place in middle)
        low, high = self.ends(_between(lower, upper)[:, None])
        lower, upper = (ordered[place - 1] for place in middle)
        return Interval(float(_between(lower, upper)), float(low), float(high))

    def rate(self, solved: Tensor) -> Interval:
        """Return the share of True of a bool per problem, (N,), with its interval."""
        center, low, high = self.rates(solved[None])
        return Interval(float(center), float(low), float(high))

    def rates(self, solved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the shares of True of each row of (M, N) and both ends of their intervals, (M,) each."""
        self._check(solved, "M", torch.bool)
        center, low, high = self.means(solved.double())
        # With N equal outcomes a rate closer to the bound than this cannot be excluded
        # (Clopper and Pearson 1934).
        slack = 1 - ((1 - self.level) / 2) ** (1 / solved.shape[1])
        low = torch.where(solved.all(1), 1 - slack, low)
        high = torch.where(solved.any(1), high, slack)
        return center, low, high

    def _check(self, values: Tensor, rows: int | str, dtype: torch.dtype) -> int:
        count = self.times.shape[1]
        check_tensor(values, "values", (rows, count), dtypes=(dtype,))
        return count

    def ends(self, resampled: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of the intervals of resampled estimates (R, M), (M,) each; they may be infinite."""
        tail = (1 - self.level) / 2
        ordered = resampled.sort(0).values
        return _quantile(ordered, tail), _quantile(ordered, 1 - tail)


def _quantile(ordered: Tensor, share: float) -> Tensor:
    """Return a quantile of the columns of sorted numbers, linear between neighbours."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return _between(ordered[below], ordered[above], place - below)


def _between(low: Tensor, high: Tensor, weight: float = 0.5) -> Tensor:
    # Infinite neighbours are not to become their difference, nor zero times it, which are no numbers.
    if weight == 0:
        return low
    return torch.where(low == high, low, low + weight * (high - low))
