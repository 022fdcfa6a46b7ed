"""Comparing and disturbing training runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import taichisoft
from meta.learning.outer import OuterOptimizer
from meta.learning.settings import TrainSettings
from meta.runs import history, trainer
from meta.runs.folder import RunFolder
from tests.forks import Program
from tests.meta.learning.problems import PointFamily, tiny


def without_times(row: dict) -> dict:
    """Return a row of a history without what may differ between equal runs."""
    return {k: v for k, v in row.items() if k != "seconds"}


def rows_of(path: Path) -> list[dict]:
    """Return a history without what may differ between equal runs."""
    return [without_times(row) for row in history.read(path)]


def steps_of(folder: RunFolder) -> list[dict]:
    """Return the history of a run without what may differ between equal runs."""
    return rows_of(folder.history)


def weights_of(folder: RunFolder) -> list[torch.Tensor]:
    """Return the softness that was saved."""
    return [p.detach() for p in taichisoft.Softness.load(folder.softness).parameters()]


def assert_same(one: RunFolder, two: RunFolder) -> None:
    """Check that two runs are equal to the last bit."""
    assert steps_of(one) == steps_of(two)
    for a, b in zip(weights_of(one), weights_of(two), strict=True):
        assert torch.equal(a, b)


def stop_at(patch: pytest.MonkeyPatch, step: int, error: type[BaseException]) -> None:
    """Make the given step fail after it has changed the softness."""
    original = OuterOptimizer.step

    def failing(self, estimate, index):
        original(self, estimate, index)
        if index + 1 == step:
            raise error

    patch.setattr(OuterOptimizer, "step", failing)


def environment() -> dict[str, str]:
    """Return the variables of processes that run alone."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def training(words: list[str]) -> Program:
    """Start `meta.train` in a process of its own, which ends as the command does."""
    code = f"from meta import train; train.leave(train.main({words!r}))"
    return Program(code, environment())


def rendered(**changes):
    """Return settings of a few small steps on rendered problems."""
    return tiny(
        **{
            "families": ("pose", "shape3d"),
            "image_size": 12,
            "pose_problems": 2,
            "shape3d_problems": 1,
            "shape3d_views": 2,
            "shape3d_subdivisions": 1,
            "inner_steps": 3,
            "es_pairs": 1,
            **changes,
        }
    )


def words_of(settings: TrainSettings) -> list[str]:
    """Return the command line of settings, with every option that they have."""
    words = []
    for option in settings.options():
        name, value = option.name.replace("_", "-"), option.value
        if isinstance(value, bool):
            group, dot, last = name.rpartition(".")
            words.append(f"--{name}" if value else f"--{group}{dot}no-{last}")
        elif value not in ((), ""):
            words += [f"--{name}", *map(str, value if isinstance(value, tuple) else [value])]
    return words


@pytest.fixture
def points(monkeypatch):
    """Replace rendered problems by exact ones."""
    monkeypatch.setattr(trainer, "build_families", lambda settings: [PointFamily()])
