"""A comparison as rows, as a table and as a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meta.comparison import Comparison, Result
from meta.statistics import Interval


def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return a JSON-able row for each softness and split, by falling success rate within a split.

    Keys: family, split, softness, scale (pixels), problems, seeds, success_mean, success_low,
    success_high, error_median, error_mean (all at the last step), seconds (of solving, for all
    problems), and learning_rate, scale_at_edge, rate_at_edge, steps, success_best, error_best_median,
    error_best_mean, where "best" takes each problem's smallest error along the way. An error that is
    not a number counts as the family's cap.
    """
    return [_row(comparison, result) for result in comparison.ranked]


def _row(comparison: Comparison, result: Result) -> dict[str, Any]:
    outcome, candidate = result.outcome, result.tuned.candidate
    protocol = comparison.protocol
    last = comparison.finite(outcome.errors[-1])
    best = comparison.finite(outcome.errors_best[-1])
    return {
        "family": comparison.family.name,
        "split": result.split.value,
        "softness": result.key,
        "scale": candidate.scale,
        "problems": protocol.problems,
        "seeds": protocol.seeds,
        "success_mean": result.success.mean,
        "success_low": result.success.low,
        "success_high": result.success.high,
        "error_median": float(last.quantile(0.5)),
        "error_mean": float(last.mean()),
        "seconds": outcome.seconds,
        "learning_rate": candidate.learning_rate,
        "scale_at_edge": result.tuned.scale_at_edge,
        "rate_at_edge": result.tuned.rate_at_edge,
        "steps": protocol.steps,
        "success_best": float(outcome.solved_best[-1].double().mean()),
        "error_best_median": float(best.quantile(0.5)),
        "error_best_mean": float(best.mean()),
    }


def verdict(comparison: Comparison) -> str:
    """Return in one or two sentences which softness solved more, or that none can be said to."""
    ours, theirs = comparison.learned, comparison.best_fixed
    fixed = f"{theirs.label}, the best of the fixed functions"
    numbers = f"{_percent(ours.success)} against {_percent(theirs.success)}"
    if ours.success.overlaps(theirs.success):
        sentence = (
            f"No winner: the learned softness solves {numbers} of {fixed}; {_order(ours, theirs)}"
        )
    elif ours.success.mean > theirs.success.mean:
        sentence = (
            f"The learned softness wins over {fixed}: {numbers}; the intervals do not overlap."
        )
    else:
        sentence = (
            f"The learned softness loses to {fixed}: {numbers}; the intervals do not overlap."
        )
    return f"{sentence} {_paired(comparison.paired_difference())}"


def _order(ours: Result, theirs: Result) -> str:
    if ours.success.mean == theirs.success.mean:
        return "the rates are equal."
    higher = ours if ours.success.mean > theirs.success.mean else theirs
    return f"{higher.label} is higher, but the intervals overlap."


def _paired(difference: Interval) -> str:
    points = [100 * value for value in (difference.mean, difference.low, difference.high)]
    return (
        f"Problem by problem, the difference is {points[0]:+.1f} percentage points "
        f"(interval {points[1]:+.1f} to {points[2]:+.1f})."
    )


def _percent(rate: Interval) -> str:
    return f"{100 * rate.mean:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def markdown(comparisons: Sequence[Comparison]) -> str:
    """Return the whole report as Markdown: how it was made, then a table and a verdict per family."""
    parts = ["# Learned against fixed softness\n", _method(comparisons[0])]
    parts += [_section(comparison) for comparison in comparisons]
    return "\n".join(parts)


def _method(comparison: Comparison) -> str:
    protocol = comparison.protocol
    scales = ", ".join(f"{scale:g}" for scale in protocol.scales)
    rates = ", ".join(f"{rate:g}" for rate in protocol.rates)
    return (
        "Every softness solves the same held-out problems, whose meshes and seeds are not those of "
        f"training, in {protocol.steps} Adam steps. Fixed functions chose their scale among {scales} px and "
        f"their learning rate among {rates} times the family's own, on training problems, by success "
        "and error (successive halving, the same grid and budget for each). The learned softness brings its "
        "scale and chose its learning rate in the same way.\n\n"
        "Success and error are those of the last step; intervals are 95 % bootstrap intervals over "
        "problems and seeds, and tell nothing about meshes other than the ones used. The *best* columns "
        "take each problem's smallest measured error along the way, which a user without the solution "
        "cannot pick. Seconds are for solving all problems of the row.\n"
    )


HEADER = (
    "| Softness | Split | Success % [95 %] | Error median | Error mean | Success % (best) "
    "| Error median (best) | Scale px | Rate | Seconds |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def _section(comparison: Comparison) -> str:
    family = comparison.family
    labels = {result.key: result.label for result in comparison.held_out}
    lines = [_line(row, labels[row["softness"]]) for row in rows(comparison)]
    protocol = comparison.protocol
    total = protocol.problems * protocol.seeds
    head = (
        f"{total} problems a row ({protocol.problems} x {protocol.seeds} seeds), settings chosen on "
        f"{protocol.tuning_problems} training problems. Errors in {family.error_unit}."
    )
    notes = [verdict(comparison)]
    tuned = [result.tuned for result in comparison.held_out]
    if any(choice.scale_at_edge or choice.rate_at_edge for choice in tuned):
        notes.append("Settings marked * are at an end of the grid: a wider one might hold better.")
    table = "\n".join([HEADER, *lines])
    return f"## {family.name}\n\n{head}\n\n{table}\n\n" + "\n\n".join(notes) + "\n"


def _line(row: dict[str, Any], label: str) -> str:
    interval = Interval(row["success_mean"], row["success_low"], row["success_high"])
    cells = [
        f"**{label}**" if row["softness"] == "learned" else label,
        row["split"],
        _percent(interval).replace(" %", ""),
        f"{row['error_median']:.3g}",
        f"{row['error_mean']:.3g}",
        f"{100 * row['success_best']:.1f}",
        f"{row['error_best_median']:.3g}",
        f"{row['scale']:.3g}{'*' if row['scale_at_edge'] else ''}",
        f"{row['learning_rate']:.3g}{'*' if row['rate_at_edge'] else ''}",
        f"{row['seconds']:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"
