"""Files of comparisons with pooled settings: JSON, Markdown and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from meta.evaluation.comparison import Comparison
from meta.evaluation.pooled.aim import ORACLE
from meta.evaluation.pooled.pool import Pool
from meta.evaluation.settings import EvaluationSettings
from meta.learning.settings import TrainSettings
from meta.report.overview import save_overview
from meta.report.pooled import PooledReport, pooled_markdown
from meta.report.tables import processors
from meta.runs.folder import write_json_atomically, write_text_atomically

NAME = "pooled"

ONE_FOR_ALL = """\
One learned softness against fixed settings each of which was chosen for all families together, by problems
like those that the softness was learned from; and against the published defaults of other renderers. Nothing
was chosen for a family."""
KNOWN = """\
In each column, the softness was learned on that family, and the fixed settings were chosen for it, by its
problems alone. No softness for all families can know so much."""
NEVER_SEEN = """\
In each column, softness and fixed settings are those that were learned and chosen without any problem of that
family: on problems of the others alone."""


def one_for_all(comparisons: Sequence[Comparison], settings: EvaluationSettings) -> PooledReport:
    """Return the report of comparisons with what was chosen for all families."""
    return PooledReport(
        "One setting for all",
        ONE_FOR_ALL,
        tuple(comparisons),
        settings.seed,
        settings.resamples,
    )


def never_seen(comparisons: Sequence[Comparison], settings: EvaluationSettings) -> PooledReport:
    """Return the report of comparisons on the family that was left out."""
    return PooledReport(
        "A family never seen",
        NEVER_SEEN,
        tuple(comparisons),
        settings.seed,
        settings.resamples,
        suffix="-unseen",
    )


def known(comparisons: Sequence[Comparison], settings: EvaluationSettings) -> PooledReport:
    """Return the report of comparisons with what was chosen for each family alone."""
    return PooledReport(
        "Each family on its own",
        KNOWN,
        tuple(comparisons),
        settings.seed,
        settings.resamples,
        "the best setting for the family",
        ORACLE,
        "-known",
    )


def write_pooled(
    reports: Sequence[PooledReport],
    pool: Pool,
    out: Path,
    about: Mapping[str, Any],
    name: str = NAME,
) -> list[Path]:
    """Write JSON, Markdown and a picture for each report; return their paths.

    Parameters
    ----------
    reports : sequence of PooledReport
        Each has a picture, whose name begins as those of the other files.
    pool : Pool
        What was chosen.
    out : Path
        Folder to write to.
    about : mapping
        How it was made: JSON-able, "command" and "problems" among it.
    name : str
        Of the files.
    """
    comparisons = [c for report in reports for c in report.comparisons]
    values = {
        **about,
        "processors": processors(comparisons),
        "choices": pool.to_json(),
        "reports": [report.to_json() for report in reports],
    }
    paths = [out / f"{name}.json", out / f"{name}.md"]
    write_json_atomically(paths[0], values)
    write_text_atomically(paths[1], pooled_markdown(reports, pool, about["command"]))
    for report in reports:
        picture = f"{name}{report.suffix}.png"
        learned = [(c.learned[0],) for c in report.comparisons]
        save_overview(report.comparisons, learned, out / picture)
        paths.append(out / picture)
    return paths


def read_pooled(path: Path) -> tuple[Pool, TrainSettings]:
    """Return what was chosen, and the problems that it is for, from pooled.json.

    Raises
    ------
    ValueError
        It is no such file.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Pool.from_json(values["choices"]), TrainSettings.from_json(values["problems"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} must be a pooled.json of meta.results: {error}") from error
