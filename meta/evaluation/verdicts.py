"""Verdicts on learned softnesses, as far as the intervals allow them, in words."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from enum import Enum

from meta.evaluation.candidates import LEARNED
from meta.evaluation.comparison import Comparison, Result
from meta.evaluation.statistics import Interval


class Standing(Enum):
    """Where one result is relative to another: level unless something decides it."""

    AHEAD = "ahead"
    LEVEL = "level"
    BEHIND = "behind"

    @classmethod
    def of(cls, ours: Interval, theirs: Interval, *, more_is_better: bool) -> Standing:
        """Return where the first is: decided only if the intervals do not overlap."""
        if ours.overlaps(theirs):
            return cls.LEVEL
        return cls.AHEAD if (ours.low > theirs.high) == more_is_better else cls.BEHIND


@dataclass(frozen=True, eq=False)
class Verdict:
    """A learned softness against the best fixed one, which is another one for each measure.

    Parameters
    ----------
    ours : Result
        The learned softness.
    by_success, by_error : Result
        The fixed ones with the highest success rate, and with the least median error.
    """

    ours: Result
    by_success: Result
    by_error: Result

    @classmethod
    def on(cls, comparison: Comparison, ours: Result) -> Verdict:
        """Return the verdict on a result against the fixed ones of its family."""
        return cls(ours, comparison.best_by_success, comparison.best_by_error)

    @property
    def success(self) -> Standing:
        """In success rate at the last step."""
        return Standing.of(self.ours.success, self.by_success.success, more_is_better=True)

    @property
    def error(self) -> Standing:
        """In median error at the last step."""
        return Standing.of(self.ours.error, self.by_error.error, more_is_better=False)

    @property
    def overall(self) -> Standing:
        """Behind if it is in any measure; else ahead if it is in any; else level: the intervals overlap."""
        both = (self.success, self.error)
        if Standing.BEHIND in both:
            return Standing.BEHIND
        return Standing.AHEAD if Standing.AHEAD in both else Standing.LEVEL

    @property
    def headline(self) -> str:
        """Return the outcome in a sentence."""
        standings = {"success rate": self.success, "median error": self.error}
        won = [name for name, standing in standings.items() if standing is Standing.AHEAD]
        lost = [name for name, standing in standings.items() if standing is Standing.BEHIND]
        clauses = ([f"wins in {' and '.join(won)}"] if won else []) + (
            [f"loses in {' and '.join(lost)}"] if lost else []
        )
        if not clauses:
            return f"No winner: the intervals of {self.ours.label} and the best fixed softness overlap."
        return f"{self.ours.label} {' but '.join(clauses)} against the best fixed softness."

    @property
    def sentence(self) -> str:
        """Return the outcome in success rate in one sentence, in which differences are problem by problem."""
        ours, theirs = self.ours.success, self.by_success.success
        ahead = self.ours.success_ahead(self.by_success)
        points = [f"{100 * value:+.1f}" for value in astuple(ahead)]
        if ahead.low <= 0 <= ahead.high:
            meaning = "which may be chance"
        else:
            meaning = f"so the learned one is {'ahead' if ahead.low > 0 else 'behind'}"
        count = self.ours.outcome.solved[-1].numel()
        subject = "The learned softness" if self.ours.key == LEARNED else self.ours.label
        return (
            f"{subject} solved {percent(ours)} of {count} unseen problems, the best fixed softness "
            f"({self.by_success.label}) {percent(theirs)}: {points[0]} percentage points "
            f"[{points[1]}, {points[2]}], {meaning}."
        )

    @property
    def text(self) -> str:
        """Return the outcome with its numbers, in a few sentences."""
        return " ".join([self.headline, self._success_text(), self._error_text()])

    def _success_text(self) -> str:
        ours, theirs = self.ours.success, self.by_success.success
        ahead = astuple(self.ours.success_ahead(self.by_success))
        points = [f"{100 * value:+.1f}" for value in ahead]
        return (
            f"Solved: {percent(ours)} against {percent(theirs)} of {self.by_success.label}; "
            f"{_overlap(ours, theirs)}; problem by problem {points[0]} percentage points "
            f"(interval {points[1]} to {points[2]})."
        )

    def _error_text(self) -> str:
        ours, theirs = self.ours.error, self.by_error.error
        mean, median = self.ours.error_ratios(self.by_error)
        return (
            f"Median error: {number(ours)} against {number(theirs)} of {self.by_error.label}; "
            f"{_overlap(ours, theirs)}; problem by problem {number(median)} times the error in the median, "
            f"{number(mean)} times in the geometric mean."
        )


def percent(rate: Interval) -> str:
    """Return a rate in percent with its interval."""
    return f"{100 * rate.estimate:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def number(value: Interval) -> str:
    """Return a number with its interval, to three digits."""
    return f"{value.estimate:.3g} [{value.low:.3g}, {value.high:.3g}]"


def _overlap(first: Interval, second: Interval) -> str:
    return "the intervals overlap" if first.overlaps(second) else "the intervals do not overlap"
