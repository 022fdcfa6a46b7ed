"""What solving problems under one softness led to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from meta.inner import AdamState, InnerSettings, solve
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
    states : list of dict of Tensor
        The unknowns of the first task at each measurement.
    """

    steps: Tensor
    errors: Tensor
    solved: Tensor
    solved_best: Tensor
    seconds: float
    states: list[Unknowns]

    @property
    def errors_best(self) -> Tensor:
        """Smallest errors up to each measurement, (M, N)."""
        return self.errors.cummin(0).values


def measure(
    tasks: Sequence[Task],
    renderer: SoftRasterizer,
    settings: InnerSettings,
    *,
    every: int,
    on_step: Callable[[], object],
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
    on_step : callable
        Called once a step, with nothing.
    """
    histories, seconds = [], 0.0
    for task in tasks:
        states, duration = _solve(task, renderer, settings, every, on_step)
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
        [unknowns for _, unknowns in histories[0]],
    )


def _solve(
    task: Task,
    renderer: SoftRasterizer,
    settings: InnerSettings,
    every: int,
    on_step: Callable[[], object],
) -> tuple[list[tuple[int, Unknowns]], float]:
    """Return the unknowns at the steps to measure, and the seconds that it took."""
    states: list[tuple[int, Unknowns]] = []

    def record(state: AdamState) -> None:
        if state.step % every == 0 or state.step == settings.steps:
            states.append((state.step, {k: v.detach() for k, v in state.unknowns.items()}))
        if state.step > 0:
            on_step()

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
