"""The outcome in one table and one picture: where a learned softness stands, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from meta.evaluation.condition_differences import corrected_p_values, differences, others
from meta.evaluation.condition_jobs import UnderCondition
from meta.evaluation.pooled.given import DEFAULTS, SUGGESTED
from meta.evaluation.pooled.pool import BEST
from meta.evaluation.pooled.table import MEAN, Stand
from meta.evaluation.verdicts import Standing
from meta.report.conditions import headline
from meta.report.figures import decorate, new_figure, save_figure
from meta.report.markdown import markdown_table
from meta.report.pooled import PooledReport, cell_text
from meta.runs.folder import write_text_atomically

CONDITIONS_TITLE = "Conditions never seen"
COLORS = {Standing.AHEAD: "#0072b2", Standing.LEVEL: "0.5", Standing.BEHIND: "#d1350f"}

ABOUT = """\
Each cell has where the learned softness stands, then how many more problems in a hundred it solves, and how
many times the error of the other it leaves, with 95 % intervals. Both solve the same held-out problems, in
equally many steps. *Ahead* and *behind* are said where a paired test, corrected for all comparisons of its
report, has p < 0.05; behind by one of the two measures is behind."""


@dataclass(frozen=True)
class Line:
    """One comparison.

    Parameters
    ----------
    title, other : str
        What was compared under which circumstances, and with what.
    cells : mapping of str to Stand
        By family, and `MEAN`; those that there are.
    """

    title: str
    other: str
    cells: Mapping[str, Stand]


def lines(reports: Sequence[PooledReport], found: Sequence[UnderCondition]) -> list[Line]:
    """Return all comparisons: of each report with the first of the fixed ones, of the first with more.

    Parameters
    ----------
    reports : sequence of PooledReport
        That of all families first.
    found : sequence of UnderCondition
        Of the same softness, against the one fixed setting first; may be empty.
    """
    made = [Line(report.title, report.other, report.paired.cells[BEST]) for report in reports]
    first = reports[0]
    labels = {result.key: result.label for result in first.comparisons[0].fixed}
    made[1:1] = [
        Line(first.title, labels[key], first.paired.cells[key]) for key in (SUGGESTED, *DEFAULTS)
    ]
    if found:
        made += _under_conditions(found, first)
    return made


def _under_conditions(found: Sequence[UnderCondition], report: PooledReport) -> list[Line]:
    options = {"seed": report.seed}
    ahead = differences(found, resamples=report.resamples, **options)
    p_values = corrected_p_values(found, **options)
    labels = [result.label for result in others(found[0].comparisons[0])]
    return [
        Line(CONDITIONS_TITLE, label, {MEAN: Stand(one.success, p[0], one.ratio, p[1])})
        for label, one, p in zip(labels, ahead, p_values, strict=True)
    ]


def write_claim(
    reports: Sequence[PooledReport], found: Sequence[UnderCondition], out: Path
) -> None:
    """Write claim.md and claim.png into a folder; the arguments are those of `lines`."""
    made = lines(reports, found)
    options = {"seed": reports[0].seed, "resamples": reports[0].resamples}
    said = [f"- **{report.title}.** {report.headline}" for report in reports]
    said += [f"- **{CONDITIONS_TITLE}.** {headline(found, **options)}"] if found else []
    names = [*reports[0].families, MEAN]
    rows = [
        [line.title, line.other]
        + [cell_text(line.cells[name]) if name in line.cells else "" for name in names]
        for line in made
    ]
    table = markdown_table(["", "against", *names], rows)
    parts = ["\n".join(said), "![differences and their intervals](claim.png)", table, ABOUT]
    write_text_atomically(out / "claim.md", "\n\n".join(parts) + "\n")
    _draw(made, names, out / "claim.png")


def _draw(made: Sequence[Line], names: Sequence[str], path: Path) -> None:
    """Draw the differences in success, a row for each comparison and a column for each family."""
    figure = new_figure(2.1 * len(names) + 3.4, 0.32 * len(made) + 1.1)
    columns = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axes, name in zip(columns, names, strict=True):
        axes.axvline(0, color="0.4", linewidth=0.9)
        for row, line in enumerate(made):
            if name in line.cells:
                center, low, high = (100 * value for value in astuple(line.cells[name].success))
                color = COLORS[line.cells[name].by_success]
                axes.plot([low, high], [row, row], color=color, linewidth=1.8)
                axes.plot(center, row, "o", color=color, markersize=5)
        axes.set(title=name, xlabel="points of success")
        axes.set_yticks(
            range(len(made)), [f"{line.title}: {line.other}" for line in made], fontsize=8
        )
        axes.set_ylim(len(made) - 0.5, -0.5)
        decorate(axes, "x")
    save_figure(figure, path)
