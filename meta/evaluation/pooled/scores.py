"""Scores of settings on training problems of one family, in a file that grows while they are made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from meta.evaluation.measurements import measure
from meta.evaluation.pooled.setting import PooledSetting
from meta.jobs.records import Record, digest, read_record, write_record
from meta.learning.inner import InnerSettings
from tasks.base import Split, Task, TaskFamily

# Seed of problems, far from those of tuning and evaluation: see `meta.evaluation.protocol`.
POOLED_SEED = 3_000_000
# Problems of a render.
BATCH = 16
# What is made is written this often at least, in seconds, so that little is lost.
EVERY = 60.0


def training_tasks(family: TaskFamily, seed: int, number: int, count: int) -> list[Task]:
    """Return the training problems of a round, the same for every setting."""
    first = POOLED_SEED + 1_000_000 * seed + 10_000 * number
    sizes = [min(BATCH, count - begin) for begin in range(0, count, BATCH)]
    return [family.sample(first + i, size, Split.TRAIN) for i, size in enumerate(sizes)]


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of settings on the problems of a round.

    Parameters
    ----------
    family : TaskFamily
        The family.
    number, count : int
        Which round, and how many problems.
    steps, seed : int
        Steps of the inner optimisation, and seed of the problems.
    origin : dict
        Everything else that they depend on; JSON-able.
    folder : Path
        Where the file is kept.
    name : str
        How its name begins.
    """

    family: TaskFamily
    number: int
    count: int
    steps: int
    seed: int
    origin: dict[str, Any]
    folder: Path
    name: str

    def of(self, settings: Sequence[PooledSetting]) -> Tensor:
        """Return solved and capped errors in caps of K settings, (K, 2, P) float64; missing ones are made."""
        found = self._read()
        missing = [setting for setting in settings if setting not in found]
        tasks = training_tasks(self.family, self.seed, self.number, self.count) if missing else []
        written = time.monotonic()
        for setting in missing:
            found[setting] = self._solve(setting, tasks)
            if time.monotonic() - written > EVERY or setting is missing[-1]:
                self._write(found)
                written = time.monotonic()
        return torch.stack([found[setting] for setting in settings])

    def _solve(self, setting: PooledSetting, tasks: Sequence[Task]) -> Tensor:
        rate = setting.rate * self.family.learning_rate
        inner = InnerSettings(self.steps, rate)
        outcome = measure(tasks, setting.renderer(), inner, every=self.steps)
        cap = self.family.error_cap
        return torch.stack([outcome.solved[-1].double(), outcome.errors[-1].clamp(max=cap) / cap])

    @property
    def _origin(self) -> dict[str, Any]:
        mine = {"round": self.number, "problems": self.count, "steps": self.steps}
        return {**self.origin, **mine, "seed": self.seed}

    @property
    def _path(self) -> Path:
        return self.folder / f"{self.name}-{self.number}-{digest(self._origin)}.safetensors"

    def _read(self) -> dict[PooledSetting, Tensor]:
        record = read_record(self._path, self._origin)
        if record is None:
            return {}
        settings = [PooledSetting.from_json(values) for values in record.values["settings"]]
        return dict(zip(settings, record.tensors["scores"], strict=True))

    def _write(self, found: dict[PooledSetting, Tensor]) -> None:
        values = {"settings": [setting.to_json() for setting in found]}
        record = Record({"scores": torch.stack(list(found.values()))}, values)
        write_record(self._path, record, self._origin)
