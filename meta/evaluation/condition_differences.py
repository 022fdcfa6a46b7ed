"""Differences under conditions: one softness against the others, in each condition and in the mean of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from meta.evaluation.comparison import Comparison, Result
from meta.evaluation.condition_jobs import UnderCondition
from meta.evaluation.statistics import LEVEL, Bootstrap, Interval

# In caps: smaller errors count as this, so that their logarithms are finite.
LEAST = 1e-6


@dataclass(frozen=True)
class Difference:
    """Ours against another one.

    Parameters
    ----------
    success : Interval
        Difference of success rates; positive is better.
    ratio : Interval
        Geometric mean of the ratio of errors; below 1 is better.
    """

    success: Interval
    ratio: Interval


def differences(
    found: Sequence[UnderCondition], *, resamples: int = 2000, seed: int = 0
) -> list[Difference]:
    """Return what the first learned softness is ahead of every other one, in the mean of some conditions.

    Every condition counts alike, and within a condition every family. Problems of a family that are drawn
    from the same seeds under several conditions are resampled together.

    Parameters
    ----------
    found : sequence of UnderCondition
        At least one, with the same entrants.
    resamples, seed : int
        Of the intervals.

    Returns
    -------
    list of Difference
        In the order of `others`.

    Raises
    ------
    ValueError
        There is no condition, or the entrants differ.
    """
    _check(found)
    groups = [_grouped(found, measure) for measure in (_success, _log_error)]
    success, logs = (mean_intervals(group, resamples=resamples, seed=seed) for group in groups)
    return [
        Difference(first, Interval(*torch.tensor(astuple(second)).double().exp().tolist()))
        for first, second in zip(success, logs, strict=True)
    ]


def others(comparison: Comparison) -> tuple[Result, ...]:
    """Return all results but the one that it is about."""
    return comparison.held_out[1:]


def success_rates(found: UnderCondition) -> list[float]:
    """Return the success rates of all entrants under a condition, each the mean over the families."""
    rates = [[r.success.estimate for r in c.held_out] for c in found.comparisons]
    return torch.tensor(rates, dtype=torch.float64).mean(0).tolist()


def mean_intervals(
    groups: Sequence[Tensor], *, resamples: int = 2000, seed: int = 0
) -> list[Interval]:
    """Return the sums over groups of the means of M values per problem, with their intervals.

    Parameters
    ----------
    groups : sequence of Tensor, (M, N)
        Values of the N problems of a group, which are resampled together and apart from those of other
        groups; N may be another one for each. Float64.
    resamples, seed : int
        Of the bootstrap.
    """
    total = torch.zeros(resamples, len(groups[0]), dtype=torch.float64)
    for number, values in enumerate(groups):
        times = Bootstrap.of(values.shape[1], seed + number, resamples=resamples).times
        total += times @ values.mT / values.shape[1]
    tail = (1 - LEVEL) / 2
    ends = total.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64), 0)
    centers = torch.stack([values.mean(1) for values in groups]).sum(0)
    return [Interval(*row) for row in torch.cat([centers[None], ends]).mT.tolist()]


def _grouped(found: Sequence[UnderCondition], measure: Callable[[Result], Tensor]) -> list[Tensor]:
    """Return weighted differences (M, N) of the problems of every family and set of seeds."""
    groups: dict[tuple[str, int, int, int], Tensor] = {}
    for one in found:
        weight = 1 / (len(found) * len(one.comparisons))
        for comparison in one.comparisons:
            ours, *theirs = (measure(result) for result in comparison.held_out)
            difference = weight * torch.stack([ours - other for other in theirs])
            drawn = comparison.protocol
            key = (comparison.family.name, drawn.seed, drawn.seeds, drawn.problems)
            groups[key] = groups[key] + difference if key in groups else difference
    return list(groups.values())


def _success(result: Result) -> Tensor:
    return result.outcome.solved[-1].double()


def _log_error(result: Result) -> Tensor:
    return (result.errors[-1] / result.error_cap).clamp(LEAST, 1).double().log()


def _check(found: Sequence[UnderCondition]) -> None:
    entrants = {tuple(r.key for r in c.held_out) for one in found for c in one.comparisons}
    if len(entrants) != 1:
        raise ValueError(f"found must be of the same entrants, got {len(entrants)} sets of them")
