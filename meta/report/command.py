"""The command line ``python -m meta.report RUN``, which writes the page about a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

import taichisoft
from meta.report.page.page import page
from meta.report.page.problems import Example, examples
from meta.report.page.run_data import RunData, read_run_data
from meta.runs.folder import write_text_atomically


def report(
    run: Path, out: Path | None = None, evaluation: Path | None = None, problems: int = 1
) -> Path:
    """Write the page about a run.

    Parameters
    ----------
    run : Path
        The folder.
    out : Path, optional
        The page. Default: report.html in the folder.
    evaluation : Path, optional
        evaluation.json, or results.json. Default: evaluation.json in the folder.
    problems : int
        Problems of each family that are solved and shown.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        See `meta.report.page.run_data.read_run_data`.
    """
    data = read_run_data(run, evaluation)
    text = page(data, _problems(data, problems))
    path = out or data.folder.report
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, text)
    return path


def _problems(data: RunData, count: int) -> list[Example]:
    """Solve problems with the softness that is kept and with the first; a run without any gets a note."""
    if not data.checkpoints or count == 0:
        return []
    softnesses = {"learned": data.checkpoints[data.learned].softness}
    if data.checkpoints[0].step == 0 and data.learned > 0:
        softnesses["initial"] = data.checkpoints[0].softness
    try:
        return examples(data.settings, softnesses, count)
    # Meshes may be elsewhere by now, the kernels may not run here, and families of the user raise anything.
    except Exception as error:
        data.notes["problems"] = f"No problem could be solved here: {type(error).__name__}: {error}"
        return []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parsed = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    try:
        taichisoft.init(None if parsed.backend == "auto" else parsed.backend)
        path = report(parsed.run, parsed.out, parsed.evaluation, parsed.problems)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {value}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m meta.report",
        description="Write one HTML page about a run of meta.train: curves, history, results, pictures. It "
        "needs no server and no network.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="run folder made by meta.train")
    parser.add_argument(
        "--out", type=Path, help="the page (default: report.html in the run folder)"
    )
    parser.add_argument(
        "--evaluation",
        type=Path,
        metavar="FILE",
        help="evaluation.json or results.json (default: evaluation.json in the run folder)",
    )
    parser.add_argument(
        "--problems", type=_count, default=1, help="problems of each family to show (default: 1)"
    )
    parser.add_argument(
        "--backend",
        default="auto",
        choices=("auto", *taichisoft.base.backend.BACKENDS),
        help="backend of the kernels (default: auto)",
    )
    return parser
