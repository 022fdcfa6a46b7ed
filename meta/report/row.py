"""The row of a table: what one softness did on the problems of one split of a family."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any, get_type_hints

from meta.evaluation.candidates import Learned
from meta.evaluation.comparison import Comparison, Result
from meta.evaluation.statistics import Interval
from tasks.base import Split

LEARNED_KIND, FIXED_KIND = "learned", "fixed"
# The names in files of the estimates whose intervals have other names.
ESTIMATES = {"success": "success_mean"}


@dataclass(frozen=True)
class Row:
    """One softness on the problems of one split.

    Parameters
    ----------
    family : str
        The family of the problems.
    split : str
        Held-out problems, or such as were learned from.
    softness, label : str
        Its names in files and in tables.
    kind : str
        "learned" or "fixed".
    problems, seeds, steps : int
        Problems per seed, seeds, and inner steps.
    scale, gamma, learning_rate : float
        Its settings; the scale in pixels, of an annealed one half-way.
    at_edge : tuple of str
        Which of them are at an end of their grid.
    seconds : float
        Of solving.
    solved_by_steps, solved_by : tuple of int, tuple of float
        Inner steps, and the share of problems solved by then.
    success, error_median, error_mean : Interval
        Share of solved problems and errors at the last step.
    success_best, error_best_median, error_best_mean : Interval
        The same where each problem's smallest error along the way counts.
    steps_to_success : Interval
        Median of the steps until a problem is solved; infinite if most never are.
    """

    family: str
    split: str
    softness: str
    label: str
    kind: str
    problems: int
    seeds: int
    steps: int
    scale: float
    gamma: float
    learning_rate: float
    at_edge: tuple[str, ...]
    seconds: float
    solved_by_steps: tuple[int, ...]
    solved_by: tuple[float, ...]
    success: Interval
    error_median: Interval
    error_mean: Interval
    success_best: Interval
    error_best_median: Interval
    error_best_mean: Interval
    steps_to_success: Interval

    @classmethod
    def of(cls, comparison: Comparison, result: Result) -> Row:
        """Return the row of a result."""
        protocol, choice, outcome = comparison.protocol, result.tuned.choice, result.outcome
        return cls(
            family=comparison.family.name,
            split=result.split.value,
            softness=result.key,
            label=result.label,
            kind=LEARNED_KIND if isinstance(result.candidate, Learned) else FIXED_KIND,
            problems=protocol.problems,
            seeds=protocol.seeds,
            steps=protocol.steps,
            scale=choice.scale,
            gamma=choice.gamma,
            learning_rate=choice.learning_rate,
            at_edge=result.tuned.at_edge,
            seconds=outcome.seconds,
            solved_by_steps=tuple(outcome.steps.tolist()),
            solved_by=tuple(outcome.solved_best.double().mean(1).tolist()),
            success=result.success,
            error_median=result.error,
            error_mean=result.error_mean,
            success_best=result.success_best,
            error_best_median=result.error_best,
            error_best_mean=result.error_best_mean,
            steps_to_success=result.steps_to_success,
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Row:
        """Return what `to_json` took apart; LookupError, TypeError or ValueError if it is none."""
        types = get_type_hints(cls)
        return cls(**{name: READERS[kind](values, name) for name, kind in types.items()})

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able values by the names above; those of an interval by its name in three ways.

        The estimate by the name itself, but for the success rate, which is ``success_mean``; the ends of the
        95 % interval by the name with ``_low`` and ``_high``. What is infinite is null.
        """
        values: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Interval):
                finite = [end if math.isfinite(end) else None for end in astuple(value)]
                values |= zip(_names(field.name), finite, strict=True)
            else:
                values[field.name] = list(value) if isinstance(value, tuple) else value
        return values

    @property
    def learned(self) -> bool:
        """Whether the softness was learned."""
        return self.kind == LEARNED_KIND

    @property
    def held_out(self) -> bool:
        """Whether the problems are not such as were learned from."""
        return self.split == Split.HELD_OUT.value

    @property
    def total(self) -> int:
        """Number of problems of all seeds."""
        return self.problems * self.seeds

    @property
    def steps_text(self) -> str:
        """The steps to success for a table."""
        steps = self.steps_to_success.estimate
        return f"{steps:g}" if math.isfinite(steps) else "never"

    @property
    def settings_texts(self) -> tuple[str, ...]:
        """Scale, gamma and learning rate for a table, with a star at the end of a grid."""
        names = ("scale", "gamma", "learning_rate")
        return tuple(
            f"{getattr(self, name):.3g}{'*' if name in self.at_edge else ''}" for name in names
        )


def _names(interval: str) -> tuple[str, str, str]:
    return ESTIMATES.get(interval, interval), f"{interval}_low", f"{interval}_high"


def _interval(values: Mapping[str, Any], name: str) -> Interval:
    ends = (values[key] for key in _names(name))
    return Interval(*(math.inf if end is None else float(end) for end in ends))


# By the types of the fields.
READERS = {
    str: lambda values, name: str(values[name]),
    int: lambda values, name: int(values[name]),
    float: lambda values, name: float(values[name]),
    tuple[str, ...]: lambda values, name: tuple(map(str, values[name])),
    tuple[int, ...]: lambda values, name: tuple(map(int, values[name])),
    tuple[float, ...]: lambda values, name: tuple(map(float, values[name])),
    Interval: _interval,
}
