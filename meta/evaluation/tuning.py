"""Tuning: choosing settings on training problems, with the same budget for equal numbers of settings.

Successive halving (Jamieson and Talwalkar 2016): all settings are tried on a few problems, the better half on
some more, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meta.evaluation.candidates import Choice
from meta.evaluation.measurements import Measurements, Solver, measure, solve_unmeasured
from meta.learning.inner import InnerSettings
from taichisoft import SoftRasterizer
from tasks.base import Task


@dataclass(frozen=True)
class Tuned:
    """What was chosen.

    Parameters
    ----------
    choice : Choice
        The best settings.
    scores : tuple of float
        Of all settings in their order, success rate minus mean error in caps, over the training problems
        that each was tried on; none if there was nothing to choose.
    at_edge : tuple of str
        Which of "scale", "gamma" and "learning_rate" are the smallest or largest of several tried, so that a
        wider grid might have held a better one.
    """

    choice: Choice
    scores: tuple[float, ...]
    at_edge: tuple[str, ...]


def tune(
    choices: Sequence[Choice],
    renderer: Callable[[Choice], SoftRasterizer],
    rounds: Sequence[Task],
    steps: int,
    error_cap: float,
    solver: Solver = solve_unmeasured,
) -> Tuned:
    """Return the best of some settings.

    Parameters
    ----------
    choices : sequence of Choice
        At least one; of equally good ones the first is chosen. A single one is not tried.
    renderer : callable
        Makes the renderer of a choice.
    rounds : sequence of Task
        Training problems. All choices solve those of the first round, the better half of them those of the
        second, and so on.
    steps : int
        Steps of the inner optimisation.
    error_cap : float
        An error that is as good as lost.
    solver : callable
        See `meta.evaluation.measurements.measure`.

    Raises
    ------
    ValueError
        There are no choices or no rounds.
    """
    if not choices or not rounds:
        raise ValueError(
            f"choices and rounds must not be empty, got {len(choices)} and {len(rounds)}"
        )
    if len(choices) == 1:
        return Tuned(choices[0], (), ())
    totals = {index: 0.0 for index in range(len(choices))}
    scores, tried = [0.0] * len(choices), 0
    for task in rounds:
        tried += task.count
        for index in totals:
            choice = choices[index]
            inner = InnerSettings(steps, choice.learning_rate)
            outcome = measure([task], renderer(choice), inner, every=steps, solver=solver)
            totals[index] += task.count * score(outcome, error_cap)
            scores[index] = totals[index] / tried
        best = sorted(totals, key=lambda index: -totals[index])
        kept = best[: (len(best) + 1) // 2]
        totals = {index: totals[index] for index in sorted(kept)}
    chosen = choices[best[0]]
    edges = tuple(
        name
        for name in ("scale", "gamma", "learning_rate")
        if _at_edge(getattr(chosen, name), [getattr(choice, name) for choice in choices])
    )
    return Tuned(chosen, tuple(scores), edges)


def split_rounds(problems: int) -> list[int]:
    """Return how many of the tuning problems each round gets: a quarter, a quarter and a half."""
    quarter = max(1, problems // 4)
    sizes = [quarter, quarter, problems - 2 * quarter]
    return [size for size in sizes if size > 0] if problems >= 3 else [problems]


def score(outcome: Measurements, error_cap: float) -> float:
    """Return how good an outcome is: success rate minus mean error in caps, at the last step.

    The success rate is what is compared in the end; the error tells apart settings between which a
    handful of problems cannot decide by success.
    """
    last = outcome.errors[-1].clamp(max=error_cap) / error_cap
    return float(outcome.solved[-1].double().mean() - last.mean())


def _at_edge(chosen: float, tried: Sequence[float]) -> bool:
    low, high = min(tried), max(tried)
    return low < high and chosen in (low, high)
