"""Merging: one conditioned softness from several, each of which was learned in one kind of scene.

Learned apart, each has few parameters and problems of its own alone to judge them by. Merged, every number
follows the situation by the smallest weights that lead through what was learned.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from meta.config.conditioned import KINDS
from meta.config.parts import RATE
from meta.config.softness import parameters_by_part
from taichisoft import Positive, Situation, Softness
from taichisoft.base.checks import check_number
from taichisoft.softness.parameters import Number
from taichisoft.softness.trained import Trained

# How much a squared weight counts against the mean squares of what it misses, in nats.
RIDGE = 0.001
# A weight, or the logarithm of a number, beyond this is no rule but two scenes that hardly differ.
LARGEST = 100.0


@dataclass(frozen=True, eq=False)
class Source:
    """A softness, and in which scenes it was learned.

    Parameters
    ----------
    softness : Softness
        Its numbers follow nothing.
    learned : tuple of str
        Which of its parts were learned, by their names in `LEARNABLE`: nothing else of it counts.
    situations : tuple of Situation
        Of the scenes, at least one.
    rate : float
        Multiple of each family's own learning rate that it was learned with.
    """

    softness: Softness
    learned: tuple[str, ...]
    situations: tuple[Situation, ...]
    rate: float = 1.0


def merged(sources: Sequence[Source], ridge: float = RIDGE) -> Softness:
    """Return a softness that is near each of several in the situations of that one.

    Each number that was learned becomes a conditioned one. Of a positive number the logarithm is followed.
    Value and weights w minimise the mean squared miss over the situations of each source, summed over the
    sources that learned the number, plus ``ridge |w|^2``: of rules that fit equally well the one that follows
    the least. Its bounds are the smallest and the largest that were learned. A number that a single source
    learned is the same in all situations. The rate is made in the same way, from all sources, and kept in
    `trained`.

    Parameters
    ----------
    sources : sequence of Source
        At least one; of the same kinds of coverage, scale, T-conorm and occlusion.
    ridge : float
        Not negative; 0 takes the smallest weights of those that fit best.

    Raises
    ------
    ValueError
        There is no source, or two are not alike: in their kinds, or in a number that none learned.
    """
    if check_number(ridge, "ridge") < 0:
        raise ValueError(f"ridge must not be negative, got {ridge:g}")
    if not sources:
        raise ValueError("sources must be at least one, got none")
    made = copy.deepcopy(sources[0].softness)
    learned = [_learned_numbers(source) for source in sources]
    every = set[str]().union(*learned)
    for number, source in enumerate(sources[1:], 1):
        _check_alike(source.softness, made, every, f"sources[{number}].softness")
    rules: dict[Number, Number] = {}
    for name in sorted(every):
        points = [
            Point(source.softness.get_submodule(name), source.situations)
            for source, names in zip(sources, learned, strict=True)
            if name in names
        ]
        parent, _, own = name.rpartition(".")
        # One number in two places stays one.
        rule = rules.setdefault(made.get_submodule(name), _rule(points, ridge))
        made.get_submodule(parent).register_module(own, rule)
    rate = _rule([Point(Positive(source.rate), source.situations) for source in sources], ridge)
    made.trained = Trained({RATE: rate.settings()})
    return made.requires_grad_(False)


@dataclass(frozen=True, eq=False)
class Point:
    """A number as one source learned it, and where."""

    number: Number
    situations: tuple[Situation, ...]

    @property
    def coordinate(self) -> float:
        """The number, or its logarithm if it is a positive one."""
        value = self.number.plain()
        return math.log(value) if isinstance(self.number, Positive) else value

    def rows(self) -> tuple[Tensor, Tensor]:
        """Return a 1 and the features of its situations, (N, 6), and its coordinate N times, weighed by N."""
        features = torch.stack([situation.features() for situation in self.situations])
        ones = torch.ones(len(features), 1, dtype=torch.float64)
        weight = len(features) ** -0.5
        return weight * torch.cat([ones, features], 1), weight * self.coordinate * ones[:, 0]


def _rule(points: Sequence[Point], ridge: float) -> Number:
    """Return a number that is near some in their situations."""
    made = KINDS[type(points[0].number)]
    values = [point.number.plain() for point in points]
    if min(values) == max(values):
        return made(values[0], learn=True)
    rows, targets = map(torch.cat, zip(*(point.rows() for point in points), strict=True))
    pull = ridge**0.5 * torch.eye(rows.shape[1], dtype=torch.float64)[1:]
    rows, targets = torch.cat([rows, pull]), torch.cat([targets, targets.new_zeros(len(pull))])
    # That of several best ones which is the smallest, where the situations do not tell weights apart.
    first, *weights = torch.linalg.lstsq(rows, targets, driver="gelsd").solution.tolist()
    if max(map(abs, (first, *weights))) > LARGEST:
        raise ValueError(
            f"ridge must be larger where scenes hardly differ and what was learned does, got {ridge:g}"
        )
    value = math.exp(first) if issubclass(made, Positive) else first
    return made(value, weights, learn=True, low=min(values), high=max(values))


def _learned_numbers(source: Source) -> set[str]:
    """Return the names of the numbers that a source learned."""
    parts = parameters_by_part(source.softness)
    learned = {id(p) for part in source.learned if part != RATE for p in parts[part]}
    names = set()
    for name, module in source.softness.named_modules(remove_duplicate=False):
        if any(id(parameter) in learned for parameter in module.parameters(recurse=False)):
            if type(module) not in KINDS:
                raise ValueError(
                    "sources must have learned numbers alone that follow nothing, got "
                    f"{type(module).__name__} in {name}"
                )
            names.add(name)
    return names


def _check_alike(softness: Softness, first: Softness, learned: set[str], name: str) -> None:
    """Raise ValueError unless a softness is of the same kinds as the first, and has what no one learned."""
    theirs, ours = _described(softness, learned), _described(first, learned)
    for place in (*ours, *theirs):
        if theirs.get(place) != ours.get(place):
            raise ValueError(
                f"{name} must be as the first but for what was learned, got {theirs.get(place)} instead of "
                f"{ours.get(place)} in {place}"
            )


def _described(softness: Softness, learned: set[str]) -> dict[str, Any]:
    """Return kinds and settings of all modules, and the values of what was not learned, by place."""
    kinds = {
        name
        or "itself": f"{type(module).__name__}({'' if name in learned else module.extra_repr()})"
        for name, module in softness.named_modules()
    }
    state = {
        name: value.tolist()
        for name, value in softness.state_dict().items()
        if name.rpartition(".")[0] not in learned
    }
    return kinds | state
