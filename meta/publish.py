"""The shipping of a learned softness: ``python -m meta.publish RUN NAME --evaluation evaluation.json``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from meta.evaluation.candidates import LEARNED
from meta.report.page.ranking import read_rows
from meta.report.weights import WEIGHTS, publish
from meta.runs.folder import RunFolder


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
        rows = read_rows(file)
        key, folder = given.softness, given.weights
        print(publish(RunFolder(given.run), given.name, rows, softness=key, folder=folder))
    except (OSError, ValueError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
