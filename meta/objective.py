"""What meta-training lowers: the softness-free error of problems solved under a softness."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from meta.inner import InnerSettings, Trajectory, solve
from taichisoft import SoftRasterizer
from taichisoft.checks import check_type
from tasks import Task


@dataclass(frozen=True, eq=False)
class Rollout:
    """A batch of problems and how it is solved.

    Parameters
    ----------
    task : Task
        The problems.
    inner : InnerSettings
        Steps and rates.
    error_cap : float
        Error that is as good as lost, > 0.
    """

    task: Task
    inner: InnerSettings
    error_cap: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an evaluation of an objective gives.

    Parameters
    ----------
    value : float
        The objective, in [0, 1] for `TrajectoryObjective`.
    error_mean : float
        Mean over all problems of the last capped error, in caps, so that families can be averaged.
    success : float
        Rate of solved problems at the last step.
    trajectories : tuple of Trajectory
        That of each of the objective's rollouts; empty if it has none, or for a mean of outcomes.
    """

    value: float
    error_mean: float
    success: float
    trajectories: tuple[Trajectory, ...] = ()


class Objective(ABC):
    """A function of the softness that is to be lowered.

    `evaluate` is all that a black-box estimator (evolution strategies) uses. An estimator that looks inside
    uses `rollouts` as well: first order goes on from the trajectories of the outcome, and an unrolled one
    would redo them with a graph, since ``meta.inner.adam_step`` is differentiable, and give the errors of
    its steps to `reduce`. That needs second derivatives from the renderer and a derivative of ``Task.error``.
    """

    @abstractmethod
    def evaluate(self, renderer: SoftRasterizer) -> Outcome:
        """Return the outcome of a softness, equal for equal softness: the problems are fixed."""

    @property
    @abstractmethod
    def rollouts(self) -> tuple[Rollout, ...]:
        """The problems behind the value, weighted equally; empty if it has none."""

    @abstractmethod
    def reduce(self, errors: Tensor, cap: float) -> Tensor:
        """Return the value of one rollout, a scalar, from its errors (T + 1, P); differentiable."""


# Errors well below a twentieth of the cap count linearly, and far larger ones by their order of magnitude.
SHARPNESS = 20.0

Window = Callable[[int], int]


def final(steps: int) -> int:
    """Look at the error after the last step alone."""
    return steps


def late(steps: int) -> int:
    """Look at the mean error over the later half of the steps."""
    return steps // 2 + 1


class TrajectoryObjective(Objective):
    """The softness-free error along the trajectories of fixed problems, compressed to [0, 1].

    The mean of `compressed` errors over the window of steps, over the problems of a rollout, and over the
    rollouts, so that every problem and every family counts the same.

    Parameters
    ----------
    rollouts : tuple of Rollout
        The problems; at least one batch.
    window : callable
        `final` or `late`: maps the number of steps to the first one whose error counts.
    """

    def __init__(self, rollouts: tuple[Rollout, ...], window: Window = late):
        check_type(rollouts, "rollouts", tuple)
        if not rollouts:
            raise ValueError("rollouts must hold at least one batch of problems, got none")
        self._rollouts = rollouts
        self.window = window

    @property
    def rollouts(self) -> tuple[Rollout, ...]:
        """The problems."""
        return self._rollouts

    def evaluate(self, renderer: SoftRasterizer) -> Outcome:
        """Solve all problems and return the outcome."""
        work = frozen(renderer)
        outcomes = [self._evaluate_one(rollout, work) for rollout in self.rollouts]
        trajectories = tuple(t for outcome in outcomes for t in outcome.trajectories)
        return replace(mean_outcome(outcomes), trajectories=trajectories)

    def reduce(self, errors: Tensor, cap: float) -> Tensor:
        """Return the mean compressed error over the window."""
        counted = errors[self.window(len(errors) - 1) :]
        return compressed(counted, cap).mean()

    def _evaluate_one(self, rollout: Rollout, renderer: SoftRasterizer) -> Outcome:
        start = self.window(rollout.inner.steps)
        trajectory = solve(rollout.task, renderer, rollout.inner, measure_from=start)
        last = trajectory.errors[-1]
        return Outcome(
            value=float(self.reduce(trajectory.errors, rollout.error_cap)),
            error_mean=float(capped(last, rollout.error_cap).mean()),
            success=float(rollout.task.success(last).float().mean()),
            trajectories=(trajectory,),
        )


def capped(errors: Tensor, cap: float) -> Tensor:
    """Return errors in caps, at most 1; one that is not a number is as good as lost."""
    return torch.nan_to_num(errors / cap, nan=1.0).clamp(max=1)


def compressed(errors: Tensor, cap: float) -> Tensor:
    """Return ``log(1 + 20 e) / log(21)`` of capped errors e, in [0, 1].

    Between batches of problems the gradient of the mean capped error varies a lot, for it hangs on the few
    problems that end far off. The logarithm listens to all of them: on poses and on shapes it doubled the
    ratio of squared signal to squared noise (1.4 against 0.75, 2.0 against 1.2, with 16 poses or 4 shapes).
    Looking at the late half of the steps instead of the last one had gained a factor of 1.3 to 1.6 before.
    """
    return torch.log1p(SHARPNESS * capped(errors, cap)) / math.log1p(SHARPNESS)


def mean_outcome(outcomes: list[Outcome]) -> Outcome:
    """Return the mean of each number."""
    count = len(outcomes)
    return Outcome(
        value=sum(o.value for o in outcomes) / count,
        error_mean=sum(o.error_mean for o in outcomes) / count,
        success=sum(o.success for o in outcomes) / count,
    )


def frozen(renderer: SoftRasterizer) -> SoftRasterizer:
    """Return a copy without gradients: its curves are tabulated once and not at every render."""
    return copy.deepcopy(renderer).requires_grad_(False)
