"""The table of conditions that nothing was made for, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from meta.evaluation.condition_differences import (
    Difference,
    corrected_p_values,
    differences,
    others,
    success_rates,
)
from meta.evaluation.condition_jobs import Budget, Entrants, UnderCondition, compare_under
from meta.evaluation.conditions import Condition
from meta.evaluation.statistics import LEVEL
from meta.report.markdown import markdown_table
from meta.report.tables import processors
from meta.runs.folder import write_json_atomically, write_text_atomically
from meta.runs.versions import versions
from tasks.base import TaskFamily

METHOD = """\
Every entrant is as it was before: nothing was learned or chosen under these conditions. A cell has the mean
success rate of the families that a condition applies to; behind it, for all but the first entrant, is what
the first is ahead, problem by problem: percentage points of success, and its error as a multiple of the other
one's (geometric mean; errors end at the family's cap). Brackets are 95 % bootstrap intervals over problems.
In the last row every condition counts alike; its p-values, of success and of the error, are corrected for all
of that row, and *ahead* or *behind* is said where that of success is below 0.05.
"""


def make_conditions(
    conditions: Sequence[Condition],
    families: Sequence[TaskFamily],
    entrants: Entrants,
    budget: Budget,
    out: Path,
) -> list[UnderCondition]:
    """Run entrants under conditions, and write conditions.md and conditions.json into a folder.

    Arguments and errors are those of `meta.evaluation.condition_jobs.compare_under`; the folder is there.
    """
    found, left_out = compare_under(conditions, families, entrants, budget)
    options = {"resamples": budget.resamples, "seed": budget.seed}
    write_text_atomically(out / "conditions.md", conditions_markdown(found, left_out, **options))
    values = {
        "cells": conditions_json(found, **options),
        "mean": _ahead_json(found, **options),
        "mean_p": _by_key(found, corrected_p_values(found, seed=budget.seed)),
        "left_out": left_out,
        "processors": processors([c for one in found for c in one.comparisons]),
        "versions": versions(),
    }
    write_json_atomically(out / "conditions.json", values)
    return found


def conditions_json(
    found: Sequence[UnderCondition], *, resamples: int = 2000, seed: int = 0
) -> list[dict[str, Any]]:
    """Return JSON-able rows, one for each family under each condition, with what the first is ahead."""
    return [
        {
            "condition": one.condition.key,
            "label": one.condition.label,
            "family": c.family.name,
            "problems": c.protocol.total,
            "steps": c.protocol.steps,
            "success": {r.key: r.success.estimate for r in c.held_out},
            "error_median": {r.key: r.error.estimate for r in c.held_out},
            "seconds": {r.key: r.outcome.seconds for r in c.held_out},
            "ahead": _ahead_json(
                [UnderCondition(one.condition, (c,))], resamples=resamples, seed=seed
            ),
        }
        for one in found
        for c in one.comparisons
    ]


def conditions_markdown(
    found: Sequence[UnderCondition],
    left_out: Sequence[str] = (),
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> str:
    """Return the conditions as rows and the entrants as columns, then the same for every family.

    Parameters
    ----------
    found : sequence of UnderCondition
        At least one, of the same entrants, see `meta.evaluation.condition_jobs.compare_under`.
    left_out : sequence of str
        Lines on conditions that are missing.
    resamples, seed : int
        Of the intervals.
    """

    def row(title: str, counts: str, some: Sequence[UnderCondition]) -> list[str]:
        rates = [success_rates(one) for one in some]
        means = [sum(column) / len(some) for column in zip(*rates, strict=True)]
        ahead = differences(some, resamples=resamples, seed=seed)
        cells = [f"{100 * means[0]:.1f}"]
        cells += [f"{100 * m:.1f} ({_ahead(a)})" for m, a in zip(means[1:], ahead, strict=True)]
        return [title, counts, *cells]

    rows = [row(one.condition.label, _counts(one), [one]) for one in found]
    mean = row("**mean of all**", "", found)
    p_values = corrected_p_values(found, seed=seed)
    mean[3:] = [f"{cell[:-1]}; {_p(*p)})" for cell, p in zip(mean[3:], p_values, strict=True)]
    rows.append(mean)
    single = [
        row(f"{one.condition.label}, {c.family.name}", _counts(part), [part])
        for one in found
        for c in one.comparisons
        for part in [UnderCondition(one.condition, (c,))]
    ]
    first = found[0].comparisons[0]
    labels = [result.label for result in (first.learned[0], *others(first))]
    head = ["Condition", "Problems", *(f"{label}, solved %" for label in labels)]
    parts = [
        "## Conditions never seen",
        headline(found, resamples=resamples, seed=seed),
        METHOD.strip(),
        markdown_table(head, rows),
        *left_out,
        "### The same for every family",
        markdown_table(head, single),
    ]
    return "\n\n".join(parts) + "\n"


def headline(found: Sequence[UnderCondition], *, resamples: int = 2000, seed: int = 0) -> str:
    """Return where the first stands in the mean of all, by the corrected p-values of success."""
    first = found[0].comparisons[0]
    ahead = differences(found, resamples=resamples, seed=seed)
    p_values = corrected_p_values(found, seed=seed)
    standings: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
    for other, difference, (p, _) in zip(others(first), ahead, p_values, strict=True):
        word = "ahead of" if difference.success.estimate > 0 else "behind"
        standings[word if p < 1 - LEVEL else "level with"].append(other.label)
    clauses = [f"{word} {', '.join(names)}" for word, names in standings.items() if names]
    return f"In success, in the mean of all conditions, {first.learned[0].label} is {'; '.join(clauses)}."


def _counts(one: UnderCondition) -> str:
    return " + ".join(f"{c.protocol.total} {c.family.name}" for c in one.comparisons)


def _ahead(difference: Difference) -> str:
    success, ratio = difference.success, difference.ratio
    return (
        f"{100 * success.estimate:+.1f} [{100 * success.low:+.1f}, {100 * success.high:+.1f}]; "
        f"error x {ratio.estimate:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
    )


def _p(success: float, error: float) -> str:
    return f"p {success:.2g} and {error:.2g}"


def _ahead_json(found: Sequence[UnderCondition], **options: int) -> dict[str, Any]:
    return _by_key(found, [asdict(ahead) for ahead in differences(found, **options)])


def _by_key(found: Sequence[UnderCondition], values: Sequence[Any]) -> dict[str, Any]:
    """Return values by the keys of those that the first is compared with."""
    keys = [result.key for result in others(found[0].comparisons[0])]
    return dict(zip(keys, values, strict=True))
