"""The time that solving takes, step by step."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from meta.evaluation.measurements import OnStep, Solver
from meta.learning.inner import AdamState, InnerSettings, Trajectory
from taichisoft import SoftRasterizer
from tasks.base import Task


class Clock:
    """A solver for `meta.evaluation.measurements.measure` that notes the time at every step of one task.

    Parameters
    ----------
    solver : callable
        The solver that it looks at.
    """

    def __init__(self, solver: Solver):
        self._solver = solver
        self._marks: list[tuple[float, float]] = []

    def __call__(
        self, task: Task, renderer: SoftRasterizer, settings: InnerSettings, on_step: OnStep
    ) -> Trajectory:
        """Solve a batch of problems, and forget the times of another one."""
        self._marks = []

        def mark(state: AdamState) -> None:
            self._marks.append((time.process_time(), time.perf_counter()))
            on_step(state)

        return self._solver(task, renderer, settings, mark)

    @property
    def seconds(self) -> Tensor:
        """Seconds since the start of solving, of the processor and of the wall, (T + 1, 2).

        The last step counts as long as the one before: some solvers measure an error between its end and the
        last call.
        """
        times = torch.tensor(self._marks, dtype=torch.float64)
        if len(times) > 2:
            times[-1] = 2 * times[-2] - times[-3]
        return times - times[0]
