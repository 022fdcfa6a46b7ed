"""A comparison as rows and as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from meta.evaluation.candidates import ANNEALING_RATIO, Learned
from meta.evaluation.comparison import Comparison, Result
from meta.evaluation.statistics import Interval
from meta.evaluation.verdicts import Verdict, number, percent


def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return a JSON-able row for each softness and split, by falling success rate within a split.

    Keys:

    - family, split, softness, label, kind (learned or fixed), problems, seeds, steps;
    - the settings scale (pixels; of an annealed one half-way), gamma, learning_rate, and at_edge: which of
      them are at an end of their grid;
    - success_mean, error_median, error_mean at the last step, and success_best, error_best_median,
      error_best_mean where each problem's smallest error along the way counts; steps_to_success, a median,
      null if infinite; for each, ends of its 95 % interval: success_low, error_median_low, and so on;
    - solved_by, the share solved after each of solved_by_steps; seconds, of solving.

    An error that is not a number counts as the family's cap.
    """
    return [_row(comparison, result) for result in comparison.ranked]


def _row(comparison: Comparison, result: Result) -> dict[str, Any]:
    choice, protocol = result.tuned.choice, comparison.protocol
    measures = {
        "success": ("success_mean", result.success),
        "error_median": ("error_median", result.error),
        "error_mean": ("error_mean", result.error_mean),
        "success_best": ("success_best", result.success_best),
        "error_best_median": ("error_best_median", result.error_best),
        "error_best_mean": ("error_best_mean", result.error_best_mean),
        "steps_to_success": ("steps_to_success", result.steps_to_success),
    }
    row = {
        "family": comparison.family.name,
        "split": result.split.value,
        "softness": result.key,
        "label": result.label,
        "kind": "learned" if isinstance(result.candidate, Learned) else "fixed",
        "problems": protocol.problems,
        "seeds": protocol.seeds,
        "steps": protocol.steps,
        "scale": choice.scale,
        "gamma": choice.gamma,
        "learning_rate": choice.learning_rate,
        "at_edge": list(result.tuned.at_edge),
        "seconds": result.outcome.seconds,
        "solved_by_steps": result.outcome.steps.tolist(),
        "solved_by": result.outcome.solved_best.double().mean(1).tolist(),
    }
    for prefix, (name, interval) in measures.items():
        row[name] = _finite(interval.estimate)
        row[f"{prefix}_low"] = _finite(interval.low)
        row[f"{prefix}_high"] = _finite(interval.high)
    return row


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def verdicts(comparison: Comparison) -> dict[str, dict[str, str]]:
    """Return what can be said of each learned softness, by key: success, error, overall and text."""
    found = {result.key: Verdict.on(comparison, result) for result in comparison.learned}
    return {
        key: {
            "success": verdict.success.value,
            "error": verdict.error.value,
            "overall": verdict.overall.value,
            "text": verdict.text,
        }
        for key, verdict in found.items()
    }


def markdown(comparisons: Sequence[Comparison]) -> str:
    """Return the whole report as Markdown: how it was made, then a table and verdicts per family."""
    parts = ["# Learned against fixed softness\n", METHOD]
    parts += [section(comparison) for comparison in comparisons]
    return "\n".join(parts)


METHOD = f"""\
Every softness solves the same held-out problems, whose objects and seeds are not those of training. Fixed
softnesses chose their scale, their learning rate and, where depth matters, their gamma on training problems,
by success and error (successive halving), each from equally many settings. An annealed one falls by a factor
of {ANNEALING_RATIO:g} over the steps and chose the scale half-way. They have the probabilistic sum and the
depth softmax. A learned softness brings its scale at every step, its T-conorm, its gamma and the learning
rate under which it was learned, and chose nothing. All take equally many steps; a step with wider scales
takes longer. The best fixed softness is found with these results in sight, which favours the fixed ones.

Success and error are those of the last step; brackets are 95 % bootstrap intervals over problems and seeds,
and tell nothing about objects other than the ones used. The *best* columns take each problem's smallest
measured error along the way, which a user without the solution cannot pick. *Steps* is the median number of
steps until a problem is first measured as solved; an unsolved one counts as infinitely many. Seconds are for
solving all problems of the row, with whatever else the machine was doing then: with several workers they say
little.
"""

HEADER = (
    "| Softness | Split | Success % | Error, median | Error, mean | Success % (best) "
    "| Error, median (best) | Steps | Scale px | Gamma | Rate | Seconds |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def section(comparison: Comparison) -> str:
    """Return heading, table and verdicts of a family as Markdown."""
    family, protocol = comparison.family, comparison.protocol
    head = (
        f"{protocol.total} problems a row ({protocol.problems} x {protocol.seeds} seeds) in {protocol.steps} "
        f"Adam steps; settings chosen on {protocol.tuning_problems} training problems among scales of "
        f"{_list(protocol.scales)} px, gammas of {_list(protocol.gammas)} and learning rates of "
        f"{_list(protocol.rates)} times the family's own. Errors in {family.error_unit}."
    )
    table = "\n".join([HEADER, *(_line(result) for result in comparison.ranked)])
    notes = [Verdict.on(comparison, result).text for result in comparison.learned]
    if any(result.tuned.at_edge for result in comparison.held_out):
        notes.append("Settings marked * are at an end of the grid: a wider one might hold better.")
    return f"## {family.name}\n\n{head}\n\n{table}\n\n" + "\n\n".join(notes) + "\n"


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _line(result: Result) -> str:
    tuned, learned = result.tuned, isinstance(result.candidate, Learned)
    steps = result.steps_to_success
    cells = [
        f"**{result.label}**" if learned else result.label,
        result.split.value,
        percent(result.success).replace(" %", ""),
        number(result.error),
        number(result.error_mean),
        _percent_only(result.success_best),
        f"{result.error_best.estimate:.3g}",
        f"{steps.estimate:g}" if math.isfinite(steps.estimate) else "never",
        *(
            f"{getattr(tuned.choice, name):.3g}{'*' if name in tuned.at_edge else ''}"
            for name in ("scale", "gamma", "learning_rate")
        ),
        f"{result.outcome.seconds:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _percent_only(rate: Interval) -> str:
    return f"{100 * rate.estimate:.1f}"
