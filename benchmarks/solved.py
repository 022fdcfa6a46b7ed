"""Training problems of a family, solved under one softness after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import taichisoft as ts
from meta.evaluation.measurements import measure
from meta.learning.inner import InnerSettings
from tasks.base import Split, Task, TaskFamily

# Problems that are drawn, and solved, together.
BATCH = 25
# Seeds of problems: no others are drawn from near here.
FIRST_SEED = 3_000_000
# What a scale in pixels is multiplied with at the first step, and divided by at the last.
SPREAD = math.sqrt(10.0)


@dataclass(frozen=True)
class Solved:
    """How many problems a softness solves.

    Parameters
    ----------
    problems, solved : int
        Number of problems, and of those that are solved after the last step.
    error : float
        Mean of the errors after the last step, each up to the family's cap, over that cap.
    seconds : float
        Time that solving took.
    """

    problems: int
    solved: int
    error: float
    seconds: float

    @property
    def share(self) -> float:
        """The share that is solved."""
        return self.solved / self.problems

    @property
    def deviation(self) -> float:
        """The standard deviation of the share."""
        return math.sqrt(self.share * (1 - self.share) / self.problems)

    def __add__(self, other: Solved) -> Solved:
        """Return the result of both sets of problems."""
        problems = self.problems + other.problems
        error = (self.error * self.problems + other.error * other.problems) / problems
        seconds = self.seconds + other.seconds
        return Solved(problems, self.solved + other.solved, error, seconds)

    def text(self) -> str:
        """Return share and deviation in percent."""
        return f"{100 * self.share:.1f} ± {100 * self.deviation:.1f}"


def draw(family: TaskFamily, problems: int, seed: int) -> list[Task]:
    """Return training problems, in batches, each from a seed of its own."""
    sizes = [min(BATCH, problems - first) for first in range(0, problems, BATCH)]
    first_seed = FIRST_SEED + 10_000 * seed
    return [family.sample(first_seed + i, size, Split.TRAIN) for i, size in enumerate(sizes)]


def annealed(pixels: float) -> ts.ExponentialAnnealing:
    """Return a scale in pixels that falls tenfold, and is so many half-way."""
    return ts.ExponentialAnnealing(SPREAD * pixels, pixels / SPREAD)


def solve_all(
    family: TaskFamily, tasks: Sequence[Task], renderer: ts.SoftRasterizer, steps: int
) -> Solved:
    """Solve the problems of a family at its own learning rate."""
    settings = InnerSettings(steps, family.learning_rate)
    found = measure(tasks, renderer, settings, every=steps)
    last = found.errors[-1]
    return Solved(
        len(last),
        int(found.solved[-1].sum()),
        float(last.clamp(max=family.error_cap).mean()) / family.error_cap,
        found.seconds,
    )
