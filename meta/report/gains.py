"""What learning adds to its start, a free curve to a closed form, and one family to all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

from meta.evaluation.comparison import Comparison, Result
from meta.evaluation.statistics import Interval
from meta.evaluation.verdicts import number
from meta.report.markdown import markdown_table

# A family's own softness, the one of all families, and what its own started from come first.
MAIN = 3

ABOUT = """\
Problem by problem, with 95 % intervals that are not corrected for their number: how many more problems in a
hundred the first softness solves than the second, and how many times the error it leaves, in the geometric
mean. A curve of any shape was learned as the closed form was, on the same problems."""


@dataclass(frozen=True)
class Gain:
    """How much more one softness solves of the problems of a family than another.

    Parameters
    ----------
    family, ours, theirs : str
        The family, and what the two are called.
    success : Interval
        Difference of the shares that are solved.
    ratio : Interval
        Geometric mean of the ratio of errors; below 1 is better.
    """

    family: str
    ours: str
    theirs: str
    success: Interval
    ratio: Interval

    @classmethod
    def of(cls, family: str, ours: Result, theirs: Result) -> Gain:
        """Return that of two results on the same problems."""
        mean, _ = ours.error_ratios(theirs)
        return cls(family, ours.label, theirs.label, ours.success_ahead(theirs), mean)

    @property
    def cells(self) -> list[str]:
        """A row of the table."""
        points = [f"{100 * value:+.1f}" for value in astuple(self.success)]
        solved = f"{points[0]} [{points[1]}, {points[2]}]"
        return [self.family, self.ours, self.theirs, solved, number(self.ratio)]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return asdict(self)


def gains(comparison: Comparison, curves: Sequence[str] = ()) -> list[Gain]:
    """Return what is gained on one family.

    Parameters
    ----------
    comparison : Comparison
        Its first learned softnesses are the family's own, that of all families, and the start of its own.
    curves : sequence of str
        Keys of those whose curves were learned; ones that did not take part are left out.
    """
    own, general, start = comparison.learned[:MAIN]
    pairs = [
        (own, start),
        *((r, own) for r in comparison.learned if r.key in curves),
        (general, own),
    ]
    return [Gain.of(comparison.family.name, *pair) for pair in pairs]


def gains_markdown(found: Sequence[Gain]) -> str:
    """Return the table, and how to read it."""
    head = ["Family", "", "minus", "Solved, points", "Error, times"]
    return f"{ABOUT}\n\n{markdown_table(head, [gain.cells for gain in found]).strip()}"
