"""The rows, verdicts and Markdown report of comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from meta.evaluation.candidates import ANNEALING_RATIO
from meta.evaluation.comparison import Comparison
from meta.evaluation.protocol import Protocol
from meta.evaluation.verdicts import Verdict, number, percent
from meta.report.markdown import markdown_table
from meta.report.row import Row
from meta.runs.versions import versions
from taichisoft.base.engine import ENGINE


def rows(comparison: Comparison) -> list[Row]:
    """Return a row for each softness and split, by falling success rate within a split.

    An error that is not a number counts as the family's cap.
    """
    return [Row.of(comparison, result) for result in comparison.ranked]


def verdicts(comparison: Comparison) -> dict[str, dict[str, str]]:
    """Return what can be said of each learned softness, by key: success, error, overall, sentence, text."""
    by_key = {result.key: Verdict.on(comparison, result) for result in comparison.learned}
    return {
        key: {
            "success": verdict.success.value,
            "error": verdict.error.value,
            "overall": verdict.overall.value,
            "sentence": verdict.sentence,
            "text": verdict.text,
        }
        for key, verdict in by_key.items()
    }


def markdown(comparisons: Sequence[Comparison]) -> str:
    """Return the whole report as Markdown: how it was made, then a table and verdicts per family."""
    parts = ["# Learned against fixed softness\n", CHOSEN, SHARED, origin(comparisons)]
    parts += [section(comparison, _choice(comparison.protocol)) for comparison in comparisons]
    return "\n".join(parts)


def processors(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the processors that results were made on, as far as they are known."""
    results = [result for comparison in comparisons for result in comparison.ranked]
    return sorted({result.processor for result in results} - {""})


def origin(comparisons: Sequence[Comparison]) -> str:
    """Return where the numbers come from, in a paragraph."""
    names = ("taichisoft", "torch", ENGINE.name)
    software = ", ".join(f"{name} {versions()[name]}" for name in names)
    where = " and ".join(processors(comparisons)) or "a processor that was not noted"
    return (
        f"Made on {where}, with {software}. Another seed gives other numbers, and so does the same seed on a "
        "processor with other vector instructions, whose rounding many steps magnify.\n"
    )


CHOSEN = f"""\
Fixed softnesses chose their scale, their learning rate and, where depth matters, their gamma on training
problems, by success and error (successive halving), each from equally many settings. An annealed one falls by
a factor of {ANNEALING_RATIO:g} over the steps and chose the scale half-way. They have the probabilistic sum
and the depth softmax.
"""

SHARED = """\
Every softness solves the same held-out problems, whose objects and seeds are not those of training. A learned
softness brings its scale at every step, its T-conorm, its gamma and the learning rate under which it was
learned, and chose nothing. All take equally many steps; a step with wider scales takes longer. The best fixed
softness is found with these results in sight, which favours the fixed ones.

Success and error are those of the last step; brackets are 95 % bootstrap intervals over problems and seeds,
and tell nothing about objects other than the ones used. The *best* columns take each problem's smallest
measured error along the way, which a user without the solution cannot pick. *Steps* is the median number of
steps until a problem is first measured as solved; an unsolved one counts as infinitely many. Seconds are for
solving all problems of the row, with whatever else the machine was doing then: with several workers they say
little.
"""

HEADER = (
    *("Softness", "Split", "Success %", "Error, median", "Error, mean", "Success % (best)"),
    *("Error, median (best)", "Steps", "Scale px", "Gamma", "Rate", "Seconds"),
)


def section(comparison: Comparison, choice: str = "") -> str:
    """Return heading, table and verdicts of a family as Markdown.

    Parameters
    ----------
    comparison : Comparison
        That of the family.
    choice : str
        From what the fixed softnesses chose their settings, if that is to be said.
    """
    family, protocol = comparison.family, comparison.protocol
    head = (
        f"{protocol.total} problems a row ({protocol.problems} x {protocol.seeds} seeds) in {protocol.steps} "
        f"Adam steps{choice}. Errors in {family.error_unit}."
    )
    table = family_table(rows(comparison))
    notes = [Verdict.on(comparison, result).text for result in comparison.learned]
    if any(result.tuned.at_edge for result in comparison.held_out):
        notes.append("Settings marked * are at an end of the grid: a wider one might hold better.")
    return f"## {family.name}\n\n{head}\n\n{table}\n\n" + "\n\n".join(notes) + "\n"


def family_table(family_rows: Sequence[Row]) -> str:
    """Return the rows of a family as a table in Markdown."""
    return markdown_table(HEADER, map(_cells, family_rows))


def _choice(protocol: Protocol) -> str:
    return (
        f"; settings chosen on {protocol.tuning_problems} training problems among scales of "
        f"{_list(protocol.scales)} px, gammas of {_list(protocol.gammas)} and learning rates of "
        f"{_list(protocol.rates)} times the family's own"
    )


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _cells(row: Row) -> list[str]:
    return [
        f"**{row.label}**" if row.learned else row.label,
        row.split,
        percent(row.success).replace(" %", ""),
        number(row.error_median),
        number(row.error_mean),
        f"{100 * row.success_best.estimate:.1f}",
        f"{row.error_best_median.estimate:.3g}",
        row.steps_text,
        *row.settings_texts,
        f"{row.seconds:.1f}",
    ]
