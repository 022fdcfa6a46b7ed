"""The fixed softness functions to compare with, and how their settings are found.

Each function gets its scale and its inner learning rate from the same grid, on the same training problems, by
successive halving (Jamieson and Talwalkar 2016): all settings are tried on a few problems, the better half on
some more, and so on. A learned softness brings its scale; its learning rate is found in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from meta.inner import InnerSettings
from meta.measurements import Measurements, measure
from taichisoft import (
    Coverage,
    ExponentialReversed,
    GammaReversed,
    Gaussian,
    Logistic,
    SoftRasterizer,
    Uniform,
)
from tasks.base import Task


@dataclass(frozen=True)
class Baseline:
    """A fixed coverage function.

    Parameters
    ----------
    label : str
        Name in tables and legends.
    coverage : callable
        Makes the function from a scale in pixels.
    """

    label: str
    coverage: Callable[[float], Coverage]

    def renderer(self, scale: float, like: SoftRasterizer) -> SoftRasterizer:
        """Return this function in place of the coverage of another renderer; all else is shared."""
        return SoftRasterizer(self.coverage(scale), like.aggregation, like.occlusion)


BASELINES: MappingProxyType[str, Baseline] = MappingProxyType(
    {
        "gaussian": Baseline("Gaussian", Gaussian),
        "logistic": Baseline("Logistic", Logistic),
        "softras": Baseline("Logistic squared (SoftRas)", lambda s: Logistic(s, squared=True)),
        "exponential": Baseline("Exponential reversed", ExponentialReversed),
        "gamma": Baseline("Gamma 0.5 reversed", lambda s: GammaReversed(s, shape=0.5)),
        "uniform": Baseline("Uniform", Uniform),
    }
)
"""The fixed functions by their names on the command line."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A softness with settings of the inner optimisation.

    Parameters
    ----------
    renderer : SoftRasterizer
        The softness.
    scale : float
        Its scale in pixels.
    learning_rate : float
        Rate of the inner Adam.
    """

    renderer: SoftRasterizer
    scale: float
    learning_rate: float

    def inner(self, steps: int) -> InnerSettings:
        """Return the settings of the inner optimisation."""
        return InnerSettings(steps, self.learning_rate)


@dataclass(frozen=True, eq=False)
class Tuned:
    """The candidate that was chosen.

    Parameters
    ----------
    candidate : Candidate
        The best one.
    score : float
        Success rate minus mean error in caps, over the training problems that it was tried on.
    scale_at_edge, rate_at_edge : bool
        Whether its scale, or learning rate, is the smallest or largest of several tried, so that a
        wider grid might have held a better one.
    """

    candidate: Candidate
    score: float
    scale_at_edge: bool
    rate_at_edge: bool


def grid(
    baseline: Baseline, like: SoftRasterizer, scales: Sequence[float], rates: Sequence[float]
) -> list[Candidate]:
    """Return a fixed function with every scale and learning rate."""
    renderers = [(scale, baseline.renderer(scale, like)) for scale in scales]
    return [Candidate(made, scale, rate) for scale, made in renderers for rate in rates]


def tune(
    candidates: Sequence[Candidate],
    rounds: Sequence[Task],
    steps: int,
    error_cap: float,
    on_step: Callable[[], object],
) -> Tuned:
    """Return the best of some candidates.

    Parameters
    ----------
    candidates : sequence of Candidate
        At least one; of equally good ones the first is chosen.
    rounds : sequence of Task
        Training problems. All candidates solve those of the first round, the better half of them
        those of the second, and so on.
    steps : int
        Steps of the inner optimisation.
    error_cap : float
        An error that is as good as lost.
    on_step : callable
        Called once a step.

    Raises
    ------
    ValueError
        There are no candidates or no rounds.
    """
    if not candidates or not rounds:
        raise ValueError(
            f"candidates and rounds must not be empty, got {len(candidates)} and {len(rounds)}"
        )
    totals = {index: 0.0 for index in range(len(candidates))}
    tried = 0
    for task in rounds:
        tried += task.count
        for index in totals:
            candidate = candidates[index]
            outcome = measure(
                [task], candidate.renderer, candidate.inner(steps), every=steps, on_step=on_step
            )
            totals[index] += task.count * score(outcome, error_cap)
        best = sorted(totals, key=lambda index: -totals[index])
        kept = best[: (len(best) + 1) // 2]
        totals = {index: totals[index] for index in sorted(kept)}
    chosen = candidates[best[0]]
    return Tuned(
        chosen,
        totals[best[0]] / tried,
        _at_edge(chosen.scale, [c.scale for c in candidates]),
        _at_edge(chosen.learning_rate, [c.learning_rate for c in candidates]),
    )


def solves(candidates: int, rounds: Sequence[int]) -> int:
    """Return how many times `tune` solves a task, for a progress bar."""
    total = 0
    for _ in rounds:
        total += candidates
        candidates = (candidates + 1) // 2
    return total


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
