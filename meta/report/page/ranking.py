"""Rankings: rows and verdicts of each family, as the file of an evaluation has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta.evaluation.verdicts import number, percent
from meta.report.row import Row

# Fixed softnesses that are shown beside the learned one.
SHOWN_FIXED = 3
# What reading a damaged file may end in.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


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
    sentence : str
        What is to be said first of the one that it is about.
    """

    family: str
    rows: tuple[Row, ...]
    verdicts: dict[str, str]
    sentence: str

    @property
    def held_out(self) -> tuple[Row, ...]:
        """The rows of problems that were not learned from."""
        return tuple(row for row in self.rows if row.held_out)

    @property
    def subject(self) -> Row:
        """The held-out row of the learned softness that it is about."""
        first = next(iter(self.verdicts))
        return next(row for row in self.held_out if row.softness == first)

    @property
    def foremost(self) -> tuple[Row, ...]:
        """The learned softness that it is about, and the best fixed ones on the same problems."""
        best = sorted(
            self.fixed, key=lambda row: (-row.success.estimate, row.error_median.estimate)
        )
        return (self.subject, *best[:SHOWN_FIXED])

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
    with _damage_named(path):
        values = json.loads(path.read_text(encoding="utf-8"))
        return _rankings(values["rows"], values["verdicts"])


def read_rows(path: Path) -> list[Row]:
    """Read the rows alone of what `meta.evaluate` or `meta.results` wrote.

    Raises
    ------
    ValueError
        The file is damaged, or from another version.
    """
    with _damage_named(path):
        return [Row.from_json(row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise ValueError(
            f"{path} is no evaluation, or is damaged: {type(error).__name__}: {error}"
        ) from error


def _rankings(
    rows: Sequence[Mapping[str, Any]], verdicts: Mapping[str, Mapping[str, Any]]
) -> tuple[Ranking, ...]:
    return tuple(
        _ranking(
            name, [Row.from_json(row) for row in rows if row["family"] == name], verdicts[name]
        )
        for name in dict.fromkeys(str(row["family"]) for row in rows)
    )


def _ranking(name: str, rows: Sequence[Row], verdicts: Mapping[str, Any]) -> Ranking:
    texts = {str(key): str(verdict["text"]) for key, verdict in verdicts.items()}
    held_out = {row.softness for row in rows if row.held_out}
    for row in rows:
        if not row.solved_by or len(row.solved_by) != len(row.solved_by_steps):
            raise ValueError(
                f"solved_by of {row.softness} must have a rate for each of solved_by_steps"
            )
    if not texts or not held_out.issuperset(texts):
        raise ValueError(
            f"{name} has verdicts on {', '.join(texts) or 'nothing'}, and no such rows"
        )
    about = verdicts[next(iter(texts))]
    # Files of earlier versions begin their text with such a sentence.
    sentence = about.get("sentence", "{}.".format(about["text"].partition(". ")[0].rstrip(".")))
    return Ranking(name, tuple(rows), texts, str(sentence))


def cells(row: Row) -> dict[str, str]:
    """Return what a table says of a row, by the heads of the columns."""
    scale, gamma, rate = row.settings_texts
    return {
        "solved at the last step": percent(row.success),
        "median error": number(row.error_median),
        "mean error": number(row.error_mean),
        "steps until solved": row.steps_text,
        "scale [px]": scale,
        "gamma": gamma,
        "rate": rate,
    }
