"""The history of a run: one line of JSON per outer step."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from meta.run_folder import write_text_atomically


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
        Number of steps so far that were left out because their gradient was not finite.
    scale : float
        Scale of the softness after the step, in pixels.
    seconds : float
        Time that the step took.
    """

    step: int
    objective: float
    error_mean: float
    success: float
    gradient_norm: float
    skipped: int
    scale: float
    seconds: float

    def line(self) -> str:
        """Return the line of the file."""
        values = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(self).items()
        }
        return json.dumps(values, allow_nan=False) + "\n"


def append(path: Path, record: Record) -> None:
    """Add a step to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(record.line())


def read(path: Path) -> list[dict]:
    """Return the steps in the file; an incomplete last line, left by a crash, is not one."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    # Text after the last line break is no whole line.
    return [json.loads(line) for line in lines[:-1]]


def truncate(path: Path, steps: int) -> None:
    """Cut the file to its first steps.

    Raises
    ------
    ValueError
        It has fewer.
    """
    if steps == 0 and not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    if len(lines) < steps:
        raise ValueError(
            f"{path} must have at least the {steps} steps of the checkpoint, got {len(lines)}"
        )
    write_text_atomically(path, "".join(line + "\n" for line in lines[:steps]))
