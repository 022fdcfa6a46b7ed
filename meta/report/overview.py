"""The overview of all families: one picture and one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path

from matplotlib.axes import Axes

from meta.evaluation.comparison import Comparison, Result
from meta.evaluation.statistics import Interval
from meta.evaluation.verdicts import Verdict, number, percent
from meta.report.figures import decorate, new_figure, save_figure
from meta.report.markdown import markdown_table
from meta.report.plots import LEARNED_COLORS

BEST_COLOR = "#0072b2"
OTHER_COLOR = "0.6"

Measure = Callable[[Result], Interval]


def save_overview(
    comparisons: Sequence[Comparison], learned: Sequence[Sequence[Result]], path: Path
) -> None:
    """Draw success rate and median error with their intervals, a column for each family.

    The shaded interval is that of the best fixed softness: an interval that is out of it is ahead or behind.

    Parameters
    ----------
    comparisons : sequence of Comparison
        With the same fixed softnesses.
    learned : sequence of sequence of Result
        The learned ones to draw of each, with the same labels.
    path : Path
        PNG file to write.
    """
    count = len(learned[0]) + len(comparisons[0].fixed)
    figure = new_figure(3.1 * len(comparisons) + 2, 2 * (0.21 * count + 0.9))
    axes = figure.subplots(2, len(comparisons), squeeze=False, sharey=True)
    for comparison, ours, (top, bottom) in zip(comparisons, learned, axes.T, strict=True):
        results = [*ours, *comparison.fixed]
        _dots(top, results, ours, comparison.best_by_success, lambda r: _scaled(r.success))
        _dots(bottom, results, ours, comparison.best_by_error, lambda r: r.error)
        top.set(title=comparison.family.name, xlabel="problems solved [%]")
        bottom.set(xlabel=f"median error [{comparison.family.error_unit}]")
    save_figure(figure, path)


def _dots(
    axes: Axes, results: Sequence[Result], ours: Sequence[Result], best: Result, measure: Measure
) -> None:
    shade = measure(best)
    axes.axvspan(shade.low, shade.high, color=BEST_COLOR, alpha=0.12, linewidth=0)
    for row, result in enumerate(results):
        value = measure(result)
        color = BEST_COLOR if result is best else OTHER_COLOR
        if row < len(ours):
            color = LEARNED_COLORS[row % len(LEARNED_COLORS)]
        axes.plot([value.low, value.high], [row, row], color=color, linewidth=1.8, zorder=2)
        axes.plot(value.estimate, row, "o", color=color, markersize=5, zorder=3)
    axes.axhline(len(ours) - 0.5, color="0.75", linewidth=0.8)
    axes.set_yticks(range(len(results)), [result.label for result in results], fontsize=8)
    axes.set_ylim(len(results) - 0.5, -0.5)
    decorate(axes, "x")


def _scaled(rate: Interval) -> Interval:
    return Interval(*(100 * value for value in astuple(rate)))


def table(comparisons: Sequence[Comparison], learned: Sequence[Sequence[Result]]) -> str:
    """Return a Markdown table: two rows for each family, a column for each learned softness.

    Parameters
    ----------
    comparisons : sequence of Comparison
        One for each family.
    learned : sequence of sequence of Result
        The learned softnesses to show of each, with the same labels.
    """
    labels = [result.label for result in learned[0]]
    head = ["Family", "", *labels, "Best fixed softness", f"{labels[0]} is"]
    lines = []
    for comparison, ours in zip(comparisons, learned, strict=True):
        verdict, family = Verdict.on(comparison, ours[0]), comparison.family
        best, least = comparison.best_by_success, comparison.best_by_error
        solved = [percent(r.success) for r in ours]
        errors = [number(r.error) for r in ours]
        lines.append(
            [f"{family.name} ({comparison.protocol.total})", "solved", *solved]
            + [f"{percent(best.success)} {best.label}", verdict.success.value]
        )
        lines.append(
            ["", f"error [{family.error_unit}]", *errors]
            + [f"{number(least.error)} {least.label}", verdict.error.value]
        )
    return markdown_table(head, lines) + "\n"
