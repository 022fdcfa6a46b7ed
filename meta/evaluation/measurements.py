"""Measurements of problems being solved under one softness."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from meta.learning.inner import AdamState, InnerSettings, Trajectory, solve
from meta.learning.method import Method
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
    losses : Tensor, (T, N)
        Soft losses before each step, under the softness; infinite where a loss is not a number.
    seconds : float
        Time that solving took, without measuring.
    states : dict of Tensor
        The unknowns of the first task at each measurement, (M, P, ...).
    cpu_seconds : float
        Time that processors spent on it, all threads together: what else the machine does then hardly
        matters. The very first step, in which kernels are loaded or compiled, counts as the second. Not a
        number in records of earlier versions.
    """

    steps: Tensor
    errors: Tensor
    solved: Tensor
    solved_best: Tensor
    losses: Tensor
    seconds: float
    states: Unknowns
    cpu_seconds: float = math.nan

    @property
    def errors_best(self) -> Tensor:
        """Smallest errors up to each measurement, (M, N)."""
        return self.errors.cummin(0).values

    @property
    def steps_to_success(self) -> Tensor:
        """After how many steps each problem was first measured to be solved, (N,); infinite if never."""
        first = self.steps.double()[self.solved_best.int().argmax(0)]
        return torch.where(self.solved_best.any(0), first, torch.inf)

    @property
    def cpu_seconds_per_step(self) -> float:
        """Time that processors spend on a step of one problem, in seconds."""
        return self.cpu_seconds / max(1, self.losses.numel())

    def to_tensors(self) -> dict[str, Tensor]:
        """Return all but the seconds as tensors by name, for a file."""
        names = ("steps", "errors", "solved", "solved_best", "losses")
        tensors = {name: getattr(self, name) for name in names}
        return tensors | {f"state.{name}": value for name, value in self.states.items()}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], seconds: float, cpu_seconds: float = math.nan
    ) -> Measurements:
        """Return what `to_tensors` took apart."""
        fields = {name: value for name, value in tensors.items() if not name.startswith("state.")}
        states = {name[6:]: value for name, value in tensors.items() if name.startswith("state.")}
        return cls(**fields, seconds=seconds, states=states, cpu_seconds=cpu_seconds)


OnStep = Callable[[AdamState], None]
Solver = Callable[[Task, SoftRasterizer, InnerSettings, OnStep], Trajectory]


def solve_unmeasured(
    task: Task, renderer: SoftRasterizer, settings: InnerSettings, on_step: OnStep
) -> Trajectory:
    """Solve a batch of problems, whose errors are measured at the start and the end only."""
    method = Method(renderer)
    return solve(task, method, settings, measure_every=settings.steps, on_step=on_step)


def measure(
    tasks: Sequence[Task],
    renderer: SoftRasterizer,
    settings: InnerSettings,
    *,
    every: int,
    solver: Solver = solve_unmeasured,
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
    solver : callable
        Solves a task, and calls what it is given with the state before each step and after the last.
    """
    histories, losses, seconds, cpu = [], [], 0.0, 0.0
    for task in tasks:
        begin = time.perf_counter()
        # Errors are measured from the record afterwards, so that the time is that of solving.
        record = _Record(every, settings.steps)
        losses.append(solver(task, renderer, settings, record).losses)
        seconds += time.perf_counter() - begin
        cpu += record.cpu_seconds(first=not histories)
        histories.append(record.states)
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
        torch.cat(losses, 1).cpu(),
        seconds,
        {name: torch.stack([u[name] for _, u in histories[0]]) for name in histories[0][0][1]},
        cpu,
    )


class _Record:
    """The unknowns at the steps to measure: every so many, and the last."""

    def __init__(self, every: int, last: int):
        self.every, self.last = every, last
        self.states: list[tuple[int, Unknowns]] = []
        self.times: list[float] = []

    def __call__(self, state: AdamState) -> None:
        self.times.append(time.process_time())
        if state.step % self.every == 0 or state.step == self.last:
            self.states.append((state.step, {k: v.detach() for k, v in state.unknowns.items()}))

    def cpu_seconds(self, *, first: bool) -> float:
        """Return the processor time of all steps; that of the second in place of the first, if wanted."""
        steps = [after - before for before, after in pairwise(self.times)]
        return sum(steps[1:2] + steps[1:] if first and len(steps) > 1 else steps)


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
