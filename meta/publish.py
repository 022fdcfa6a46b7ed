"""Ship a learned softness: ``python -m meta.publish RUN NAME --evaluation evaluation.json``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import taichisoft
from meta.config.training import to_json
from meta.evaluate import LEARNED
from meta.runs.folder import RunFolder
from taichisoft import Softness
from tasks import Split

WEIGHTS = Path(taichisoft.__file__).parent / "weights"


def publish(
    run: RunFolder,
    name: str,
    rows: Sequence[dict[str, Any]],
    *,
    softness: str = LEARNED,
    folder: Path = WEIGHTS,
) -> Path:
    """Copy the softness of a run to where the library finds it, with how it came about.

    `trained` of the copy holds the step, settings and versions of the run, and under "evaluation" the rows
    that it earned on held-out problems, one for each family it was tested on.

    Parameters
    ----------
    run : RunFolder
        A run that is evaluated.
    name : str
        What `SoftRasterizer.pretrained` is to find it by: small letters, digits and hyphens.
    rows : sequence of dict
        Rows of the evaluation, see `meta.report.tables.rows`.
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
    if not re.fullmatch("[a-z0-9-]+", name):
        raise ValueError(f"name must be of small letters, digits and hyphens, got {name!r}")
    held_out = Split.HELD_OUT.value
    earned = [row for row in rows if row["softness"] == softness and row["split"] == held_out]
    if not earned:
        keys = ", ".join(sorted({row["softness"] for row in rows})) or "none"
        raise ValueError(f"rows must hold one of {softness!r}, got those of {keys}")
    settings = run.read_settings()
    versions = json.loads(run.config.read_text(encoding="utf-8"))["versions"]
    learned = Softness.load(run.softness)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    told = {"step": learned.trained["step"], "settings": to_json(settings), "versions": versions}
    learned.save(path, trained={**told, "evaluation": earned})
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m meta.publish", description="Ship the softness of a run with the library."
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="run folder made by meta.train")
    parser.add_argument("name", metavar="NAME", help="what SoftRasterizer.pretrained finds it by")
    parser.add_argument(
        "--evaluation", type=Path, metavar="FILE", help="default: RUN/evaluation.json"
    )
    parser.add_argument("--softness", default=LEARNED, help="its key there (default: learned)")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder that it goes to")
    given = parser.parse_args(arguments)
    try:
        file = given.evaluation or given.run / "evaluation.json"
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
        key, folder = given.softness, given.weights
        print(publish(RunFolder(given.run), given.name, rows, softness=key, folder=folder))
    except (OSError, ValueError, TypeError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
