"""Successive halving over several families: rounds within a budget of problems, and the choice.

After Jamieson and Talwalkar (2016): every round costs the same, and leaves fewer settings to more problems.
Every round has problems of all families.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from meta.evaluation.pooled.setting import PooledSetting

# What of a setting is on a scale.
NUMBERS = ("scale", "gamma", "rate")
Solve = Callable[[str, int, int, Sequence[PooledSetting]], Tensor]
"""Solves problems: from family, round, number of problems P and K settings to (K, 2, P).

Whether each is solved, and its error in caps, at most 1.
"""


@dataclass(frozen=True)
class Round:
    """A round.

    Parameters
    ----------
    settings : int
        How many settings enter it.
    problems : mapping of str to int
        How many problems of each family they solve.
    """

    settings: int
    problems: Mapping[str, int]


@dataclass(frozen=True)
class Chosen:
    """What was chosen.

    Parameters
    ----------
    setting : PooledSetting
        The best setting; of equally good ones the first.
    score : float
        Mean over the families of success rate minus mean error in caps, over all problems that it solved.
    success : mapping of str to float
        Its success rate in each family on these.
    solved : int
        How many problems were solved to choose it.
    at_edge : tuple of str
        Which of its numbers are the smallest or largest of several: a wider grid might hold better ones.
    """

    setting: PooledSetting
    score: float
    success: Mapping[str, float]
    solved: int
    at_edge: tuple[str, ...] = ()


def plan_rounds(
    settings: Sequence[PooledSetting],
    depth: Mapping[str, bool],
    shares: Mapping[str, int],
    budget: int,
    keep: int,
) -> list[Round]:
    """Return rounds that solve no more problems than the budget, until one setting is left.

    Parameters
    ----------
    settings : sequence of PooledSetting
        To choose from; at least one, which gets a round even if it is the only one.
    depth : mapping of str to bool
        Families, and whether gamma is seen in them.
    shares : mapping of str to int
        How many problems of each there are relative to the others.
    budget : int
        Problems.
    keep : int
        One in so many settings is kept.

    Raises
    ------
    ValueError
        The budget is too small for one problem of every family in every round.
    """
    distinct = {name: len({s.seen(sees) for s in settings}) for name, sees in depth.items()}
    entering = [len(settings)]
    while entering[-1] > keep:
        entering.append(-(-entering[-1] // keep))
    rounds = []
    for count in entering:
        tried = {name: min(count, most) for name, most in distinct.items()}
        unit = budget / len(entering) / sum(shares[name] * tried[name] for name in depth)
        rounds.append(Round(count, {name: max(1, int(unit * shares[name])) for name in depth}))
    needed = sum(
        number * min(one.settings, distinct[name])
        for one in rounds
        for name, number in one.problems.items()
    )
    if needed > budget:
        raise ValueError(
            f"budget must be enough for {len(settings)} settings on {len(depth)} families, which take "
            f"{needed} problems at least, got {budget} for each entrant"
        )
    return rounds


def choose(
    settings: Sequence[PooledSetting],
    depth: Mapping[str, bool],
    rounds: Sequence[Round],
    keep: int,
    solve: Solve,
) -> Chosen:
    """Return the best of some settings: see `plan_rounds` for the parameters, and `Solve`."""
    left, tried, count = list(range(len(settings))), dict.fromkeys(depth, 0), 0
    sums = {name: torch.zeros(len(settings), 2, dtype=torch.float64) for name in depth}
    for number, one in enumerate(rounds):
        for name, sees in depth.items():
            seen = list(dict.fromkeys(settings[i].seen(sees) for i in left))
            found = solve(name, number, one.problems[name], seen).double().sum(2)
            tried[name] += one.problems[name]
            count += len(seen) * one.problems[name]
            for i in left:
                sums[name][i] += found[seen.index(settings[i].seen(sees))]
        scores = torch.stack([(s[:, 0] - s[:, 1]) / tried[name] for name, s in sums.items()])
        mean = scores.mean(0).tolist()
        left = sorted(sorted(left, key=lambda i: -mean[i])[: -(-len(left) // keep)])
    best = max(left, key=lambda i: mean[i])
    success = {name: float(s[best, 0]) / tried[name] for name, s in sums.items()}
    edge = tuple(name for name in NUMBERS if _at_edge(name, settings[best], settings))
    return Chosen(settings[best], mean[best], success, count, edge)


def _at_edge(name: str, chosen: PooledSetting, settings: Sequence[PooledSetting]) -> bool:
    tried = [getattr(setting, name) for setting in settings]
    return min(tried) < max(tried) and getattr(chosen, name) in (min(tried), max(tried))
