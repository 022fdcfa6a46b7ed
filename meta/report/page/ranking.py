"""The results of an evaluation as its file has them: rows and verdicts of each family."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta.evaluation.statistics import Interval
from meta.evaluation.verdicts import number, percent

HELD_OUT = "held-out"


@dataclass(frozen=True)
class Row:
    """One softness on the problems of one split; see `meta.report.tables.rows`.

    Parameters
    ----------
    key, label : str
        Its names in files and in tables.
    split : str
        Which problems.
    learned : bool
        Whether it was learned.
    success, error, error_mean, steps : Interval
        Rate of solved problems, median and mean error at the last step, and the median of the steps until
        solved, with their intervals.
    scale, gamma, learning_rate : float
        Its settings.
    at_edge : tuple of str
        Settings at an end of their grid.
    solved_steps, solved_by : tuple of float
        Rates of problems solved so far, and the inner steps at which they were measured.
    problems : int
        How many in all.
    """

    key: str
    label: str
    split: str
    learned: bool
    success: Interval
    error: Interval
    error_mean: Interval
    steps: Interval
    scale: float
    gamma: float
    learning_rate: float
    at_edge: tuple[str, ...]
    solved_steps: tuple[float, ...]
    solved_by: tuple[float, ...]
    problems: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Row:
        """Return a row of an evaluation; LookupError, TypeError or ValueError if it is none."""
        return cls(
            str(row["softness"]),
            str(row["label"]),
            str(row["split"]),
            row["kind"] == "learned",
            _interval(row, "success", "success_mean"),
            _interval(row, "error_median"),
            _interval(row, "error_mean"),
            _interval(row, "steps_to_success"),
            float(row["scale"]),
            float(row["gamma"]),
            float(row["learning_rate"]),
            tuple(map(str, row["at_edge"])),
            tuple(map(float, row["solved_by_steps"])),
            tuple(map(float, row["solved_by"])),
            int(row["problems"]) * int(row["seeds"]),
        )

    @property
    def cells(self) -> dict[str, str]:
        """What a table says of it, by the heads of the columns."""
        return {
            "solved at the last step": percent(self.success),
            "median error": number(self.error),
            "mean error": number(self.error_mean),
            "steps until solved": f"{self.steps.estimate:g}" if self._ends else "never",
            "scale [px]": self._setting("scale"),
            "gamma": self._setting("gamma"),
            "rate": self._setting("learning_rate"),
        }

    @property
    def _ends(self) -> bool:
        return math.isfinite(self.steps.estimate)

    def _setting(self, name: str) -> str:
        return f"{getattr(self, name):.3g}{'*' if name in self.at_edge else ''}"


@dataclass(frozen=True)
class Ranking:
    """All softnesses on one family, by falling success rate.

    Parameters
    ----------
    family : str
        Its name.
    rows : tuple of Row
        Held-out problems first.
    verdicts : dict of str
        What can be said of the learned ones, by their keys, the one that it is about first.
    """

    family: str
    rows: tuple[Row, ...]
    verdicts: dict[str, str]

    @property
    def held_out(self) -> tuple[Row, ...]:
        """The rows of problems that were not learned from."""
        return tuple(row for row in self.rows if row.split == HELD_OUT)

    @property
    def subject(self) -> Row:
        """The held-out row of the learned softness that it is about."""
        first = next(iter(self.verdicts))
        return next(row for row in self.held_out if row.key == first)

    @property
    def fixed(self) -> tuple[Row, ...]:
        """The held-out rows of fixed softnesses."""
        return tuple(row for row in self.held_out if not row.learned)


def read_rankings(path: Path) -> tuple[Ranking, ...]:
    """Read what `meta.evaluate` or `meta.results` wrote.

    Raises
    ------
    ValueError
        The file is damaged, or from another version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _rankings(values["rows"], values["verdicts"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} is no evaluation, or is damaged: {error!r}") from error


def _rankings(
    rows: Sequence[Mapping[str, Any]], verdicts: Mapping[str, Mapping[str, Any]]
) -> tuple[Ranking, ...]:
    return tuple(
        _ranking(name, [Row.of(row) for row in rows if row["family"] == name], verdicts[name])
        for name in dict.fromkeys(str(row["family"]) for row in rows)
    )


def _ranking(name: str, rows: Sequence[Row], verdicts: Mapping[str, Any]) -> Ranking:
    said = {str(key): str(verdict["text"]) for key, verdict in verdicts.items()}
    held_out = {row.key for row in rows if row.split == HELD_OUT}
    if not said or not held_out.issuperset(said):
        raise ValueError(f"{name} has verdicts on {', '.join(said) or 'nothing'}, and no such rows")
    return Ranking(name, tuple(rows), said)


def _interval(row: Mapping[str, Any], prefix: str, estimate: str = "") -> Interval:
    names = (estimate or prefix, f"{prefix}_low", f"{prefix}_high")
    # What is infinite is null in the file.
    return Interval(*(math.inf if row[name] is None else float(row[name]) for name in names))
