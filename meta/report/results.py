"""The published results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meta.evaluation.comparison import Comparison, Result
from meta.evaluation.verdicts import Standing, Verdict
from meta.report.gains import MAIN, Gain, gains_markdown
from meta.report.matrix import Matrix
from meta.report.overview import table
from meta.report.tables import SHARED, section

CHOSEN = """\
Fixed softnesses chose their scale, T-conorm, gamma and learning rate for each family alone, on training
problems by successive halving: more than any softness of all families can know. These are the ones that were
the best for all families together; [pooled.md](pooled.md) has all that chose, and what from. They composite
front to back.
"""


def main_results(comparison: Comparison) -> tuple[Result, ...]:
    """Return the learned softnesses that are in the table and the picture of all families."""
    return comparison.learned[:MAIN]


def table_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return the table of all families, with what the goal says of it."""
    learned = [main_results(comparison) for comparison in comparisons]
    return f"{table(comparisons, learned)}\n{goal(comparisons)}\n"


def goal(comparisons: Sequence[Comparison]) -> str:
    """Return whether what was hoped for is reached.

    That the learned softness is ahead of the best fixed one in success rate or median error in every
    family, and the general one behind it in none.
    """
    won, behind = [], []
    for comparison in comparisons:
        own, general = (Verdict.on(comparison, result) for result in main_results(comparison)[:2])
        if Standing.AHEAD in (own.success, own.error):
            won.append(comparison.family.name)
        if general.overall is Standing.BEHIND:
            behind.append(comparison.family.name)
    missed = [c.family.name for c in comparisons if c.family.name not in won]
    first = (
        "The learned softness is ahead of the best fixed one, in success rate or median error with intervals "
        f"that do not overlap, {_in(won, missed)}."
    )
    fine = [c.family.name for c in comparisons if c.family.name not in behind]
    return (
        f"{first} The one learned on all families is behind the best fixed one {_in(behind, fine)}."
    )


def results_markdown(
    comparisons: Sequence[Comparison],
    matrix: Matrix,
    gained: Sequence[Gain],
    about: dict[str, Any],
) -> str:
    """Return the whole report.

    Parameters
    ----------
    comparisons : sequence of Comparison
        One for each family; the first learned softnesses are its own, the general one and its start.
    matrix : Matrix
        Generalisation.
    gained : sequence of Gain
        What learning and the shape of a curve added.
    about : dict
        How it was made: command, versions and backend, evaluation and problems with their seeds.
    """
    parts = [
        "# Results",
        _made(about),
        table_markdown(comparisons).strip(),
        "![success and error of all softnesses](overview.png)",
        f"{CHOSEN}\n{SHARED}".strip(),
        "## Generalisation",
        matrix.markdown().strip(),
        "![trained on each family, tested on each](matrix.png)",
        "## What was gained",
        gains_markdown(gained),
    ]
    for comparison in comparisons:
        name = comparison.family.name
        parts += [
            section(comparison).strip(),
            f"![convergence]({name}-convergence.png)",
            f"![curves]({name}-softness.png)",
        ]
    return "\n\n".join(parts) + "\n"


def _made(about: dict[str, Any]) -> str:
    software = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"Made by `{about['command']}` with {software} on the backend {about['backend']}; seed of the "
        f"training runs {about['problems']['seed']}, of the evaluation {about['evaluation']['seed']}. All "
        "settings are in [results.json](results.json), the runs in [runs](runs)."
    )


def _in(where: Sequence[str], elsewhere: Sequence[str]) -> str:
    if not where:
        return "in no family"
    if not elsewhere:
        return "in every family"
    return f"in {', '.join(where)}, and not in {', '.join(elsewhere)}"
