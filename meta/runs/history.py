"""The history of a run: one line of JSON per outer step."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from taichisoft.base.files import append_line, write_atomically


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
        Norm of the meta-gradient before clipping; NaN, null in the file, if it was not finite.
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


def truncate(path: Path, steps: int) -> None:
    """Cut the file to its first steps.

    Raises
    ------
    ValueError
        It has fewer, or one of them is damaged or not the one that belongs there.
    """
    if steps == 0 and not path.is_file():
        return
    lines = _lines(path)
    if len(lines) < steps:
        raise ValueError(
            f"{path} must have at least the {steps} steps of the checkpoint, got {len(lines)}"
        )
    for number, line in enumerate(lines[:steps], 1):
        found = _parsed(line, path, number).get("step")
        if found != number:
            raise ValueError(f"line {number} of {path} must be of step {number}, got {found}")
    text = "".join(line + "\n" for line in lines[:steps])
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _lines(path: Path) -> list[str]:
    """Return the whole lines; text after the last line break is none, and may end within a character."""
    if not path.is_file():
        return []
    return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]


def _parsed(line: str, path: Path, number: int) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number} of {path} is damaged: {error}") from error
    if not isinstance(row, dict):
        raise ValueError(f"line {number} of {path} is damaged: no step")
    return row
