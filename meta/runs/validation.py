"""Validation: problems of a run's own on which the softness after each step is judged.

They are of training objects, with seeds of their own, and the same for every step of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from meta.learning.group import Group
from meta.learning.method import Method
from meta.learning.objective import (
    WINDOWS,
    Rollout,
    TrajectoryObjective,
    capped,
    values_of,
)
from meta.learning.settings import LearningSettings
from meta.learning.sharding import even
from meta.runs.seeds import derived_seed
from tasks import Split, TaskFamily


@dataclass(frozen=True)
class Batch:
    """Problems that are solved at once.

    Parameters
    ----------
    family, size : int
        Indices of family and image size.
    seed, count : int
        Of the problems.
    """

    family: int
    size: int
    seed: int
    count: int


class Validation:
    """The problems; none of them is kept in memory, since equal seeds give equal problems.

    Parameters
    ----------
    settings : LearningSettings
        Of the run.
    families : sequence of (sequence of TaskFamily)
        The families at each image size.
    group : Group
        The processes that share the problems; some may have none.
    """

    def __init__(
        self, settings: LearningSettings, families: Sequence[Sequence[TaskFamily]], group: Group
    ):
        self.settings = settings
        self.families = families
        self.group = group
        self.batches = tuple(_batches(settings))

    def judge(self, method: Method) -> Tensor:
        """Return objective, capped last error and success of every problem, (3, F, N) float64.

        F families of N problems each. The problems do not depend on the number of processes.
        """
        rank, size = self.group.rank, self.group.size
        own = {
            number: self._numbers(batch, method)
            for number, batch in enumerate(self.batches)
            if number % size == rank
        }
        found = {k: numbers for share in self.group.gather(own) for k, numbers in share.items()}
        rows = [
            torch.cat([found[k] for k, batch in enumerate(self.batches) if batch.family == f], 1)
            for f in range(len(self.settings.counts))
        ]
        return torch.stack(rows, 1)

    def _numbers(self, batch: Batch, method: Method) -> Tensor:
        """Return the numbers of a batch, (3, P)."""
        family, inner = self.families[batch.size][batch.family], self.settings.inner
        rollout = Rollout(
            family.sample(batch.seed, batch.count, Split.TRAIN),
            inner.of(family),
            family.error_cap,
        )
        objective = TrajectoryObjective((rollout,), WINDOWS[inner.objective], inner.sharpness)
        (trajectory,) = objective.evaluate(method).trajectories
        last = trajectory.errors[-1]
        values = values_of(objective, trajectory.errors, rollout.error_cap)
        others = (capped(last, rollout.error_cap), rollout.task.success(last))
        return torch.stack([values, *(other.double().cpu() for other in others)])


def _batches(settings: LearningSettings) -> Iterator[Batch]:
    """Yield batches no larger than those of a step, which the run has memory for."""
    named = zip(settings.family_names, settings.counts, strict=True)
    for family, (name, problems) in enumerate(named):
        most = even(problems, settings.outer.shards)[0]
        # As equally many of each size as they can be.
        for size, total in enumerate(even(settings.validation.problems, len(settings.sizes))):
            for number, count in enumerate(even(total, -(-total // most))):
                purpose = f"validation {name} {settings.sizes[size]} {number}"
                yield Batch(family, size, derived_seed(settings.seed, 0, purpose), count)
