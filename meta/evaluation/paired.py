"""Paired statistics: differences problem by problem, their p-values, and corrections for many of them.

A p-value is that of the sign-flip test (Fisher 1935): if neither of two results is better, each difference is
as likely as its opposite. For differences of success that is McNemar's exact test (1947), up to the number of
flips that are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from meta.evaluation.statistics import Bootstrap, Interval
from taichisoft.base.checks import check_integer, check_tensor

FLIPS = 20_000
# Flips that are made at the same time.
CHUNK = 2_000


@dataclass(frozen=True)
class SignFlips:
    """Signs of the differences of N problems, drawn anew whenever they are used, and always the same.

    Parameters
    ----------
    count : int
        Number of problems.
    seed : int
        Of the signs.
    flips : int
        How often all signs are drawn. No p-value is below ``1 / (flips + 1)``.
    """

    count: int
    seed: int
    flips: int = FLIPS

    def __post_init__(self):
        check_integer(self.count, "count", minimum=1)
        check_integer(self.flips, "flips", minimum=1)

    def means(self, differences: Tensor) -> Tensor:
        """Return the means of each row of (M, N) differences under each draw of signs, (flips, M)."""
        check_tensor(differences, "differences", ("M", self.count), dtypes=(torch.float64,))
        return torch.cat([signs @ differences.mT for signs in self._signs()]) / self.count

    def _signs(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        for begin in range(0, self.flips, CHUNK):
            shape = (min(CHUNK, self.flips - begin), self.count)
            yield 2 * torch.randint(2, shape, generator=generator).double() - 1


def p_values(observed: Tensor, drawn: Tensor) -> Tensor:
    """Return two-sided p-values.

    Parameters
    ----------
    observed : Tensor, (M,)
        Means of differences.
    drawn : Tensor, (F, M)
        The same under F draws of signs.

    Returns
    -------
    Tensor, (M,), float64
        The share of draws, what was observed among them, that are as far from 0: in (0, 1].
    """
    # Equal up to the rounding of sums in another order.
    as_far = drawn.abs() >= observed.abs() * (1 - 1e-9) - 1e-15
    return (as_far.sum(0).double() + 1) / (len(drawn) + 1)


def holm(p: Tensor) -> Tensor:
    """Return p-values corrected for all of them together, (M,), by the step-down method of Holm (1979).

    Those below a level are wrong in any place with at most the probability of that level.
    """
    check_tensor(p, "p", ("M",), dtypes=(torch.float64,))
    ordered, order = p.sort()
    factors = torch.arange(len(p), 0, -1, dtype=torch.float64)
    corrected = (ordered * factors).cummax(0).values.clamp(max=1)
    return torch.empty_like(p).scatter_(0, order, corrected)


@dataclass(frozen=True, eq=False)
class Paired:
    """Differences of M pairs of results on the problems of several families.

    Parameters
    ----------
    families : tuple of str
        The families.
    differences : tuple of Tensor, each (M, N)
        Differences of each pair on each problem of a family, float64; N may be another one for each.
    seed, resamples, flips : int
        Of the intervals and of the p-values.
    """

    families: tuple[str, ...]
    differences: tuple[Tensor, ...]
    seed: int
    resamples: int = 2000
    flips: int = FLIPS

    def intervals(self) -> list[list[Interval]]:
        """Return means with their intervals: for each pair those of each family, and of all.

        That of all is the mean of the families' means, and its interval by resampling within each family.
        """
        # Seeds of their own: problems with the same number have nothing to do with each other.
        samples = [
            Bootstrap.of(d.shape[1], self.seed + i, resamples=self.resamples)
            for i, d in enumerate(self.differences)
        ]
        means = [s.resampled(d) for s, d in zip(samples, self.differences, strict=True)]
        found = []
        for observed, resampled in zip(
            _with_mean([d.mean(1) for d in self.differences]), _with_mean(means), strict=True
        ):
            low, high = samples[0].ends(resampled)
            found.append(
                [Interval(*map(float, ends)) for ends in zip(observed, low, high, strict=True)]
            )
        return [list(row) for row in zip(*found, strict=True)]

    def p_values(self) -> Tensor:
        """Return uncorrected p-values, (M, families + 1), the last of the mean over the families."""
        drawn = [
            SignFlips(d.shape[1], self.seed + i, self.flips).means(d)
            for i, d in enumerate(self.differences)
        ]
        observed = _with_mean([d.mean(1) for d in self.differences])
        return torch.stack(
            [p_values(*pair) for pair in zip(observed, _with_mean(drawn), strict=True)], 1
        )


def _with_mean(values: Sequence[Tensor]) -> list[Tensor]:
    return [*values, torch.stack(list(values)).mean(0)]
