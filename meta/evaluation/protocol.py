"""The protocol of an evaluation on one family."""

from __future__ import annotations

from dataclasses import dataclass

from meta.evaluation.candidates import Grid
from meta.evaluation.tuning import split_rounds
from tasks.base import Split, Task, TaskFamily

# Seeds of problems: small numbers, which the hashed seeds of training are all but certain to miss.
TUNING_SEED = 1_000_000
EVALUATION_SEED = 2_000_000


@dataclass(frozen=True)
class Protocol:
    """How softnesses are compared on a family; the same for every one.

    Parameters
    ----------
    problems, seeds : int
        Problems per seed, and seeds: how many are solved in all is their product.
    tuning_problems : int
        Training problems on which settings are chosen.
    steps : int
        Steps of the inner optimisation.
    scales : tuple of float
        Scales in pixels that fixed softnesses may choose from.
    gammas : tuple of float
        Gammas of the occlusion in scene units that they may choose from.
    rates : tuple of float
        Learning rates to choose from, as multiples of the family's own.
    measure_every : int
        How often errors are measured, in steps.
    seed : int
        Seed of the problems.
    """

    problems: int
    seeds: int
    tuning_problems: int
    steps: int
    scales: tuple[float, ...]
    gammas: tuple[float, ...]
    rates: tuple[float, ...]
    measure_every: int
    seed: int

    @property
    def total(self) -> int:
        """Number of problems of all seeds."""
        return self.problems * self.seeds

    def grid(self, family: TaskFamily) -> Grid:
        """Return what there is to choose from."""
        rates = tuple(factor * family.learning_rate for factor in self.rates)
        return Grid(self.scales, self.gammas, rates)

    def tuning_tasks(self, family: TaskFamily) -> list[Task]:
        """Return the problems on which settings are chosen, a task for each round."""
        sizes = split_rounds(self.tuning_problems)
        first = TUNING_SEED + 1000 * self.seed
        return [family.sample(first + i, size, Split.TRAIN) for i, size in enumerate(sizes)]

    def evaluation_tasks(self, family: TaskFamily, split: Split) -> list[Task]:
        """Return the problems that are compared on, a task for each seed."""
        first = EVALUATION_SEED + 1000 * self.seed
        return [family.sample(first + i, self.problems, split) for i in range(self.seeds)]
