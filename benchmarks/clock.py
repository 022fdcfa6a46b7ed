"""The time that solving takes, step by step."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from benchmarks.other_renderer import OtherRenderer
from meta.evaluation.measurements import OnStep, solve_unmeasured
from meta.learning.inner import AdamState, InnerSettings, Trajectory
from taichisoft import SoftRasterizer
from tasks.base import Task


class Clock:
    """A solver for `meta.evaluation.measurements.measure` that notes the time at every step of one task."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, float]] = []

    def __call__(
        self,
        task: Task,
        renderer: SoftRasterizer | OtherRenderer,
        settings: InnerSettings,
        on_step: OnStep,
    ) -> Trajectory:
        """Solve a batch of problems, and forget the times of another one."""
        self._marks = []

        def mark(state: AdamState) -> None:
            self._marks.append((time.process_time(), time.perf_counter()))
            on_step(state)

        return solve_unmeasured(task, renderer, settings, mark)

    @property
    def seconds(self) -> Tensor:
        """Seconds since the start of solving, of the processor and of the wall, (T + 1, 2).

        The last step counts as long as the one before: its end is not told apart from that of the measurement
        which follows it.
        """
        times = torch.tensor(self._marks, dtype=torch.float64)
        if len(times) > 2:
            times[-1] = 2 * times[-2] - times[-3]
        return times - times[0]
