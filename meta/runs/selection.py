"""Selection: which softness of a run is kept, the start among them."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from meta.learning.objective import variance_of_mean
from meta.runs.verdict import Score, Verdict
from taichisoft.base.checks import check_finite, check_integer, check_tensor, check_type


@dataclass(frozen=True, eq=False)
class Judged:
    """What a softness did on the validation problems.

    Parameters
    ----------
    step : int
        Steps taken; 0 is the start.
    numbers : Tensor, (3, F, N)
        Objective, capped last error and success of every problem, float64.
    """

    step: int
    numbers: Tensor

    @property
    def score(self) -> Score:
        """The means over the families, and over the problems of each."""
        return Score(self.step, *self.numbers.mean((1, 2)).tolist())

    def ahead(self, start: Judged) -> tuple[float, float]:
        """Return how much lower the objective is than at the start, and the standard error of that.

        Problem by problem, so that the spread between problems that both share drops out. NaN for a single
        problem.
        """
        gains = start.numbers[0] - self.numbers[0]
        variances = [float(variance_of_mean(family)) for family in gains]
        return float(gains.mean()), sum(variances) ** 0.5 / len(variances)


@dataclass(frozen=True, eq=False)
class Selection:
    """The best softness so far: that of the lowest objective, of equal ones the earliest.

    Parameters
    ----------
    start, kept, last : Judged
        The start, the best and the latest.
    method : dict
        ``state_dict`` of the best; nothing changes it.
    """

    start: Judged
    kept: Judged
    last: Judged
    method: dict[str, Any]

    @classmethod
    def of(cls, start: Judged, method: dict[str, Any]) -> Selection:
        """Return the selection from the start alone, whose ``state_dict`` is copied."""
        return cls(start, start, start, copy.deepcopy(method))

    def extended(self, judged: Judged, method: dict[str, Any]) -> Selection:
        """Return the selection from one more, whose ``state_dict`` is copied if it is the best."""
        if judged.score.objective < self.kept.score.objective:
            return Selection(self.start, judged, judged, copy.deepcopy(method))
        return Selection(self.start, self.kept, judged, self.method)

    def verdict(self, taken: int) -> Verdict:
        """Return what is to be said after a number of steps."""
        ahead, noise = self.kept.ahead(self.start)
        if self.kept.step == self.start.step:
            # It has no difference to itself: the noise is that of telling another one from it.
            others = self.last.step != self.start.step
            noise = self.last.ahead(self.start)[1] if others else math.nan
        problems = self.start.numbers.shape[2]
        return Verdict(taken, problems, self.kept.score, self.start.score, ahead, noise)

    def to_state(self) -> dict[str, Any]:
        """Return tensors and numbers that `from_state` reads."""
        judged = {"start": self.start, "kept": self.kept, "last": self.last}
        parts = {n: {"step": one.step, "numbers": one.numbers} for n, one in judged.items()}
        return parts | {"method": self.method}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Selection:
        """Return what `to_state` described.

        Raises
        ------
        TypeError, ValueError
            Something in it is missing, of a wrong kind or shape, or not finite; the message says what.
        """
        expected = ("start", "kept", "last", "method")
        if state.keys() != set(expected):
            raise ValueError(
                f"selection must have {', '.join(expected)}, got {', '.join(map(str, state))}"
            )
        method = check_type(state["method"], "selection.method", dict)
        return cls(*(_judged(state[name], f"selection.{name}") for name in expected[:3]), method)


def _judged(state: Any, name: str) -> Judged:
    check_type(state, name, dict)
    step = check_integer(state.get("step"), f"{name}.step", minimum=0)
    numbers = check_tensor(state.get("numbers"), f"{name}.numbers", (3, "F", "N"))
    check_finite(numbers, f"{name}.numbers")
    return Judged(step, numbers)
