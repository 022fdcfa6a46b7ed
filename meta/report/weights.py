"""Weight files: learned softnesses where the library finds them, with the evaluation that they earned."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import taichisoft
from meta.config.parts import RATE
from meta.evaluation.candidates import LEARNED
from meta.report.row import Row
from meta.runs.folder import RunFolder
from taichisoft import Softness

WEIGHTS = Path(taichisoft.__file__).parent / "weights"


def publish(
    run: RunFolder,
    name: str,
    rows: Sequence[Row],
    *,
    softness: str = LEARNED,
    folder: Path = WEIGHTS,
) -> Path:
    """Copy the softness of a run to where the library finds it, with how it came about.

    `trained` of the copy holds the step, settings and versions of the run, the rate if it was learned, under
    "validation" why it is that step, and under "evaluation" the rows that it earned on held-out problems, one
    for each family it was tested on.

    Parameters
    ----------
    run : RunFolder
        A run that is evaluated.
    name : str
        What `SoftRasterizer.pretrained` is to find it by: small letters, digits and hyphens.
    rows : sequence of Row
        Rows of the evaluation.
    softness : str
        Its key in these rows.
    folder : Path
        Where the file goes.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileNotFoundError, ValueError
        No such run, a damaged one, a name with other characters, or no row of the softness.
    """
    run.read_settings()
    about = run.read_about()
    if "versions" not in about:
        raise ValueError(f"{run.config} is damaged: the field 'versions' is missing")
    learned = Softness.load(run.softness)
    if "step" not in learned.trained:
        raise ValueError(f"{run.softness} is damaged: trained: the field 'step' is missing")
    names = ("step", RATE, "validation")
    kept = {name: learned.trained[name] for name in names if name in learned.trained}
    origin = kept | {name: about[name] for name in ("settings", "versions")}
    return _ship(learned, origin, name, rows, softness, folder)


def publish_file(
    file: Path, name: str, rows: Sequence[Row], *, softness: str, folder: Path = WEIGHTS
) -> Path:
    """Copy a softness that is of no single run to where the library finds it, with what it says of itself.

    The parameters are those of `publish`, but for the file; so are the errors.
    """
    learned = Softness.load(file)
    return _ship(learned, dict(learned.trained), name, rows, softness, folder)


def _ship(
    learned: Softness,
    origin: dict[str, Any],
    name: str,
    rows: Sequence[Row],
    softness: str,
    folder: Path,
) -> Path:
    if not re.fullmatch("[a-z0-9-]+", name):
        raise ValueError(f"name must be of small letters, digits and hyphens, got {name!r}")
    earned = [row.to_json() for row in rows if row.softness == softness and row.held_out]
    if not earned:
        keys = ", ".join(sorted({row.softness for row in rows})) or "none"
        raise ValueError(f"rows must hold one of {softness!r}, got those of {keys}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    learned.save(path, trained={**origin, "evaluation": earned})
    return path
