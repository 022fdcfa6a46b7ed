"""Differences under conditions: one softness against the others, in each condition and in the mean of all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from meta.evaluation.comparison import Comparison, Result
from meta.evaluation.condition_jobs import UnderCondition
from meta.evaluation.paired import FLIPS, Paired, holm
from meta.evaluation.pooled.table import log_error_of, solved_of
from meta.evaluation.statistics import Interval


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
    success, logs = (
        [row[-1] for row in _paired(found, measure, seed=seed, resamples=resamples).intervals()]
        for measure in MEASURES
    )
    return [
        Difference(first, Interval(*(math.exp(end) for end in astuple(second))))
        for first, second in zip(success, logs, strict=True)
    ]


def others(comparison: Comparison) -> tuple[Result, ...]:
    """Return all results but the one that it is about."""
    return comparison.held_out[1:]


def success_rates(found: UnderCondition) -> list[float]:
    """Return the success rates of all entrants under a condition, each the mean over the families."""
    rates = [[r.success.estimate for r in c.held_out] for c in found.comparisons]
    return torch.tensor(rates, dtype=torch.float64).mean(0).tolist()


def corrected_p_values(
    found: Sequence[UnderCondition], *, flips: int = FLIPS, seed: int = 0
) -> list[tuple[float, float]]:
    """Return p-values of the differences in success and in errors, corrected for all of them together.

    See `differences` and `meta.evaluation.paired`.
    """
    _check(found)
    raw = torch.stack(
        [_paired(found, measure, seed=seed, flips=flips).p_values()[:, -1] for measure in MEASURES]
    )
    return [tuple(pair) for pair in holm(raw.flatten()).reshape(raw.shape).mT.tolist()]


def _paired(
    found: Sequence[UnderCondition], measure: Callable[[Result], Tensor], **options: int
) -> Paired:
    """Return weighted differences of the problems of every family and set of seeds: their mean is ours."""
    groups: dict[tuple[str, int, int, int], Tensor] = {}
    for one in found:
        weight = 1 / (len(found) * len(one.comparisons))
        for comparison in one.comparisons:
            ours, *theirs = (measure(result) for result in comparison.held_out)
            difference = weight * torch.stack([ours - other for other in theirs])
            drawn = comparison.protocol
            key = (comparison.family.name, drawn.seed, drawn.seeds, drawn.problems)
            groups[key] = groups[key] + difference if key in groups else difference
    # Of groups it takes the mean, where the weights are for a sum.
    scaled = tuple(len(groups) * difference for difference in groups.values())
    return Paired(tuple(" ".join(map(str, key)) for key in groups), scaled, **options)


MEASURES = (solved_of, log_error_of)


def _check(found: Sequence[UnderCondition]) -> None:
    entrants = {tuple(r.key for r in c.held_out) for one in found for c in one.comparisons}
    if len(entrants) != 1:
        raise ValueError(f"found must be of the same entrants, got {len(entrants)} sets of them")
