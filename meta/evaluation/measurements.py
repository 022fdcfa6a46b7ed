"""What solving problems under one softness led to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from meta.learning.inner import AdamState, InnerSettings, solve
from taichisoft import SoftRasterizer
from tasks.base import Task, Unknowns


@dataclass(frozen=True, eq=False)
class Measurements:
    """The errors of N problems, measured M times while they were being solved.

    Parameters
    ----------
    steps : Tensor, (M,)
        After how many steps; the first is 0, the last all of them.
    errors : Tensor, (M, N)
        Softness-free errors, float64; infinite where an error is not a number.
    solved : Tensor, (M, N)
        Which errors count as success, bool.
    solved_best : Tensor, (M, N)
        The same for the smallest error up to then.
    seconds : float
        Time that solving took, without measuring.
    states : dict of Tensor
        The unknowns of the first task at each measurement, (M, P, ...).
    """

    steps: Tensor
    errors: Tensor
    solved: Tensor
    solved_best: Tensor
    seconds: float
    states: Unknowns

    @property
    def errors_best(self) -> Tensor:
        """Smallest errors up to each measurement, (M, N)."""
        return self.errors.cummin(0).values

    @property
    def steps_to_success(self) -> Tensor:
        """After how many steps each problem was first measured to be solved, (N,); infinite if never."""
        first = self.steps.double()[self.solved_best.int().argmax(0)]
        return torch.where(self.solved_best.any(0), first, torch.inf)

    def to_tensors(self) -> dict[str, Tensor]:
        """Return all but the seconds as tensors by name, for a file."""
        named = {name: getattr(self, name) for name in ("steps", "errors", "solved", "solved_best")}
        return named | {f"state.{name}": value for name, value in self.states.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], seconds: float) -> Measurements:
        """Return what `to_tensors` took apart."""
        named = {name: value for name, value in tensors.items() if not name.startswith("state.")}
        states = {name[6:]: value for name, value in tensors.items() if name.startswith("state.")}
        return cls(**named, seconds=seconds, states=states)


def measure(
    tasks: Sequence[Task],
    renderer: SoftRasterizer,
    settings: InnerSettings,
    *,
    every: int,
) -> Measurements:
    """Solve batches of problems under one softness.

    Parameters
    ----------
    tasks : sequence of Task
        The problems; each task is one render per step.
    renderer : SoftRasterizer
        The softness.
    settings : InnerSettings
        Steps and learning rate.
    every : int
        How often errors are measured, in steps; the start and the end always are.
    """
    histories, seconds = [], 0.0
    for task in tasks:
        states, duration = _solve(task, renderer, settings, every)
        seconds += duration
        histories.append(states)
    steps = [step for step, _ in histories[0]]
    stacked = [
        torch.stack([_errors(task, unknowns) for _, unknowns in states])
        for task, states in zip(tasks, histories, strict=True)
    ]
    best = [measured.cummin(0).values for measured in stacked]
    return Measurements(
        torch.tensor(steps),
        torch.cat(stacked, 1).double(),
        _success(tasks, stacked),
        _success(tasks, best),
        seconds,
        {name: torch.stack([u[name] for _, u in histories[0]]) for name in histories[0][0][1]},
    )


def _solve(
    task: Task,
    renderer: SoftRasterizer,
    settings: InnerSettings,
    every: int,
) -> tuple[list[tuple[int, Unknowns]], float]:
    """Return the unknowns at the steps to measure, and the seconds that it took."""
    states: list[tuple[int, Unknowns]] = []

    def record(state: AdamState) -> None:
        if state.step % every == 0 or state.step == settings.steps:
            states.append((state.step, {k: v.detach() for k, v in state.unknowns.items()}))

    # Measuring at the start and the end only: the rest is measured from the record, so that the
    # time is that of solving.
    begin = time.perf_counter()
    solve(task, renderer, settings, measure_every=settings.steps, on_step=record)
    return states, time.perf_counter() - begin


@torch.no_grad()
def _errors(task: Task, unknowns: Unknowns) -> Tensor:
    error = task.error(unknowns).detach().cpu()
    return torch.where(torch.isnan(error), torch.inf, error)


def _success(tasks: Sequence[Task], errors: Sequence[Tensor]) -> Tensor:
    """Return which errors (M, P) of each task count as solved, side by side, (M, N)."""
    solved = [
        torch.stack([task.success(row) for row in measured])
        for task, measured in zip(tasks, errors, strict=True)
    ]
    return torch.cat(solved, 1).bool()
