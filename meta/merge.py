"""One softness for many kinds of scenes from runs for few: ``python -m meta.merge RUN RUN ... --out FILE``.

Each run learns for one family, where its few numbers can be told apart by few problems. In the merged
softness every number follows what is known of a scene before the first step (`taichisoft.Situation`), and is
near what each run learned in the scenes of that run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import taichisoft
from meta.jobs.full_disk import cure
from meta.learning.merge import RIDGE
from meta.runs.folder import RunFolder
from meta.runs.merging import merge_sources, sources_of
from taichisoft import Situation


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m meta.merge",
        description="Merge what runs learned into one softness that follows the situation of a scene.",
    )
    parser.add_argument(
        "runs", metavar="RUN", type=Path, nargs="+", help="run folder made by meta.train"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="softness file to write"
    )
    parser.add_argument(
        "--ridge",
        type=float,
        default=RIDGE,
        help=f"weight of the squares of the weights ({RIDGE:g})",
    )
    given = parser.parse_args(arguments)
    try:
        taichisoft.init("cpu")
        softness = merge_sources(sources_of(_by_name(given.runs)), given.ridge)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        softness.save(given.out, softness.trained)
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        print(f"error: {error}{cure(error)}", file=sys.stderr)
        return 1
    print(softness.describe(situation=Situation()))
    print(given.out)
    return 0


def _by_name(folders: Sequence[Path]) -> dict[str, RunFolder]:
    """Return run folders by their names; ValueError if two have the same."""
    found = {folder.resolve().name: RunFolder(folder) for folder in folders}
    if len(found) < len(folders):
        raise ValueError(f"runs must have different names, got {', '.join(map(str, folders))}")
    return found


if __name__ == "__main__":
    sys.exit(main())
