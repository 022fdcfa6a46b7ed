"""The history of a run: one line of JSON per outer step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from taichisoft.base.files import append_line, cut, write_atomically


@dataclass(frozen=True)
class Record:
    """One outer step.

    Parameters
    ----------
    step : int
        Its number, from 1.
    objective : float
        What was lowered: the error along the trajectories in caps, in [0, 1].
    error_mean : float
        Mean capped error of the last inner step, in caps.
    success : float
        Rate of solved problems.
    gradient_norm : float
        Norm of the meta-gradient before clipping, or length of the step of an estimator that moves the
        parameters itself; NaN, null in the file, if it was not finite.
    skipped : int
        Number of steps so far that were left out because value or gradient was not finite.
    clipped : int
        Number of steps so far whose gradient was longer than allowed, and was cut.
    scale : float
        Scale of the softness after the step, in pixels.
    seconds : float
        Time that the step took.
    parameters : dict
        The learned parameters of the softness after the step, by their names in its ``state_dict``: numbers
        or nested lists of numbers. With the saved softness they give that of every step, to the last bit.
        If it is learned, also "rate", the multiple of each family's own learning rate.
    noise : float
        Standard error of the objective, by the spread between its problems; null if it is not known.
    validation_objective, validation_error_mean, validation_success : float or None
        What the softness after the step did on the validation problems; null if it was not judged.
    validation_ahead, validation_noise : float or None
        How much lower its objective there is than the start's, and the standard error of that.
    validation_seconds : float or None
        Time that judging took.
    """

    step: int
    objective: float
    error_mean: float
    success: float
    gradient_norm: float
    skipped: int
    clipped: int
    scale: float
    seconds: float
    parameters: dict[str, Any]
    noise: float = math.nan
    validation_objective: float | None = None
    validation_error_mean: float | None = None
    validation_success: float | None = None
    validation_ahead: float | None = None
    validation_noise: float | None = None
    validation_seconds: float | None = None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Record:
        """Return the step of a line, as `read` gives it. What was not finite is NaN."""
        judged = row.get("validation_objective") is not None
        lost = {
            field.name: math.nan
            for field in fields(cls)
            if field.name in row and row[field.name] is None
            if judged or not field.name.startswith("validation_")
        }
        return cls(**{**row, **lost})

    def line(self) -> str:
        """Return the line of the file."""
        values = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(self).items()
        }
        return json.dumps(values, allow_nan=False) + "\n"


def append(path: Path, record: Record) -> None:
    """Add a step to the file, and wait until it is on the disk."""
    append_line(path, record.line())


def read(path: Path) -> list[dict]:
    """Return the steps in the file; an incomplete last line, left by a crash, is not one.

    Raises
    ------
    ValueError
        A line is damaged.
    """
    return [_parsed(line, path, number) for number, line in enumerate(_lines(path), 1)]


def read_whole(path: Path) -> tuple[list[dict], list[str]]:
    """Return the steps from the first on as far as they are whole, and what is wrong with the file.

    Of a step that is there several times, since two processes wrote the file at once, the last one counts.
    """
    rows, faults = _by_step(path)
    whole = []
    while len(whole) + 1 in rows:
        whole.append(rows[len(whole) + 1])
    return whole, faults


def number_in(row: dict, name: str) -> float:
    """Return a number of a step; NaN if it has none that a float can hold."""
    value = row.get(name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if number else math.nan
    except OverflowError:
        return math.nan


def truncate(path: Path, steps: int) -> str:
    """Cut the file to its first steps, and repair what several processes that wrote it at once have ruined.

    Parameters
    ----------
    path : Path
        The file.
    steps : int
        How many to keep.

    Returns
    -------
    str
        What was repaired, in a sentence; empty if the steps were there, each in its line.

    Raises
    ------
    ValueError
        One of the steps is missing or damaged.
    """
    if steps == 0 and not path.is_file():
        return ""
    lines = _lines(path)[:steps]
    try:
        _check_steps(lines, steps, path)
    except ValueError:
        return _repair(path, steps)
    # Needs no space, so that it can be done on a full disk.
    cut(path, sum(len(line) + 1 for line in lines))
    return ""


def _check_steps(lines: list[bytes], steps: int, path: Path) -> None:
    for number, line in enumerate(lines, 1):
        found = _parsed(line, path, number).get("step")
        if found != number:
            raise ValueError(f"line {number} of {path} must be of step {number}, got {found}")
    if len(lines) < steps:
        raise ValueError(
            f"{path} must have at least the {steps} steps of the checkpoint, got {len(lines)}"
        )


def _repair(path: Path, steps: int) -> str:
    """Write the last line of each step, in their order."""
    rows, faults = _by_step(path)
    if any(step not in rows for step in range(1, steps + 1)):
        # Says which line is the first that is wrong.
        _check_steps(_lines(path)[:steps], steps, path)
    text = "".join(json.dumps(rows[step]) + "\n" for step in range(1, steps + 1))
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))
    return (
        f"{path} was written by several processes at once ({len(faults)} lines too many, the first: "
        f"{faults[0]}): cut at the checkpoint, {steps} steps are kept, of each the last line"
    )


def _by_step(path: Path) -> tuple[dict[int, dict], list[str]]:
    """Return the last row of each step, and what is wrong with the file."""
    rows: dict[int, dict] = {}
    faults = []
    for number, line in enumerate(_lines(path), 1):
        try:
            row = _parsed(line, path, number)
        except ValueError as error:
            faults.append(str(error))
            continue
        step = row.get("step")
        if type(step) is not int or step < 1:
            faults.append(
                f"line {number} of {path} must have a step, a number from 1, got {step!r}"
            )
            continue
        if step != len(rows) + 1:
            faults.append(f"line {number} of {path} is of step {step} and not {len(rows) + 1}")
        rows[step] = row
    return rows, faults


def _lines(path: Path) -> list[bytes]:
    """Return the whole lines; text after the last line break is none, and may end within a character."""
    return path.read_bytes().split(b"\n")[:-1] if path.is_file() else []


def _parsed(line: bytes, path: Path, number: int) -> dict:
    try:
        row = json.loads(line.decode("utf-8", errors="replace"))
    # A line may hold brackets in brackets without end, or a number of too many digits.
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number} of {path} is damaged: {error}") from error
    if not isinstance(row, dict):
        raise ValueError(f"line {number} of {path} is damaged: no step")
    return row
