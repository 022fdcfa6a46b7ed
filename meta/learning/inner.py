"""The inner loop: solving a batch of problems with Adam under a given softness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from meta.learning.method import Method
from tasks.base import Task, Unknowns


@dataclass(frozen=True)
class InnerSettings:
    """Settings of the inner optimisation.

    Parameters
    ----------
    steps : int
        Number of Adam steps.
    learning_rate : float
        Rate of Adam.
    betas : tuple of float
        Decay rates of Adam's moments.
    """

    steps: int
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.99)


@dataclass(frozen=True)
class AdamState:
    """Unknowns and Adam's moments after a number of steps."""

    unknowns: Unknowns
    first: Unknowns
    second: Unknowns
    step: int


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What happened while a batch of P problems was being solved for T steps.

    Parameters
    ----------
    unknowns : dict of Tensor
        The last unknowns.
    errors : Tensor, (T + 1, P)
        Softness-free errors, the start's first; only the rows in `error_steps` are measured, and rows
        between repeat the last measured one.
    losses : Tensor, (T, P)
        Soft losses; NaN is recorded as infinity.
    """

    unknowns: Unknowns
    errors: Tensor
    losses: Tensor


def start(task: Task) -> AdamState:
    """Return the state before the first step."""
    unknowns = task.init()
    zeros = {name: torch.zeros_like(value) for name, value in unknowns.items()}
    return AdamState(unknowns, zeros, dict(zeros), 0)


def adam_step(
    state: AdamState, gradients: Unknowns, settings: InnerSettings, rate: Tensor | float = 1.0
) -> AdamState:
    """Return the state after one step of Adam (Kingma and Ba 2015).

    Out of place and made of differentiable torch operations, so that a trajectory can be differentiated
    through, also with respect to the rate. A gradient that is not finite leaves its element where it is,
    moments included.

    Parameters
    ----------
    state : AdamState
        The state before.
    gradients : dict of Tensor
        Of the unknowns.
    settings : InnerSettings
        Learning rate and decay rates.
    rate : Tensor or float
        What the learning rate is multiplied with, a scalar; see `meta.learning.method.Method`.
    """
    learning_rate = settings.learning_rate * rate
    step = state.step + 1
    parts = (state.unknowns, gradients, state.first, state.second)
    after: tuple[Unknowns, ...] = ({}, {}, {})
    # All unknowns of a dtype in one row: the operations are many, and small.
    for names in _alike(state.unknowns):
        row = [torch.cat([part[name].reshape(-1) for name in names]) for part in parts]
        sizes = [state.unknowns[name].numel() for name in names]
        for found, moved in zip(
            after, _moved(*row, step, learning_rate, settings.betas), strict=True
        ):
            for name, piece in zip(names, moved.split(sizes), strict=True):
                found[name] = piece.reshape(state.unknowns[name].shape)
    unknowns, first, second = ({k: part[k] for k in state.unknowns} for part in after)
    return AdamState(unknowns, first, second, step)


def _alike(unknowns: Unknowns) -> list[list[str]]:
    """Return the names of unknowns of one dtype and device each."""
    groups: dict[tuple[torch.dtype, torch.device], list[str]] = {}
    for name, value in unknowns.items():
        groups.setdefault((value.dtype, value.device), []).append(name)
    return list(groups.values())


def _moved(
    value: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    step: int,
    learning_rate: Tensor | float,
    betas: tuple[float, float],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return unknowns and both moments after a step, each like `value`."""
    b1, b2 = betas
    finite = torch.isfinite(gradient)
    gradient = torch.where(finite, gradient, 0)
    m = torch.where(finite, b1 * first + (1 - b1) * gradient, first)
    v = torch.where(finite, b2 * second + (1 - b2) * gradient**2, second)
    # The square root has no derivative at 0, where an element has never had a gradient.
    moved = v > 0
    spread = torch.where(moved, v, 1).sqrt() / (1 - b2**step) ** 0.5 + 1e-8
    update = learning_rate * (m / (1 - b1**step)) / spread
    return value - torch.where(finite & moved, update, 0), m, v


def solve(
    task: Task,
    method: Method,
    settings: InnerSettings,
    *,
    measure_every: int = 1,
    measure_from: int = 0,
    on_step: Callable[[AdamState], None] | None = None,
) -> Trajectory:
    """Solve a batch of problems, without a graph through the trajectory.

    An annealed scale of the softness follows the steps: its progress is 0 at the first gradient and 1 at the
    last, where it stays. A conditioned one is told the situation of the problems before the first step.

    Parameters
    ----------
    task : Task
        The problems.
    method : Method
        Softness and rate; their parameters are not changed and get no gradient.
    settings : InnerSettings
        Steps and rates.
    measure_every : int
        How often the error is measured; the start and the end always are.
    measure_from : int
        First step after which the error is measured, besides the start.
    on_step : callable, optional
        Called with the state before each step and after the last.
    """
    renderer, rate = method.renderer, method.rate().detach()
    task.tell(renderer)
    state = start(task)
    errors, losses = [task.error(state.unknowns)], []
    for step in range(settings.steps):
        if on_step is not None:
            on_step(state)
        renderer.set_progress(step / max(settings.steps - 1, 1))
        leaves = {k: v.detach().requires_grad_() for k, v in state.unknowns.items()}
        with torch.enable_grad():
            loss = task.loss(leaves, renderer)
            gradients = torch.autograd.grad(loss.sum(), list(leaves.values()))
        with torch.no_grad():
            state = adam_step(state, dict(zip(leaves, gradients, strict=True)), settings, rate)
            losses.append(torch.where(torch.isfinite(loss), loss, torch.inf))
            done = step + 1
            wanted = done >= measure_from and done % measure_every == 0
            if wanted or done == settings.steps:
                errors.append(task.error(state.unknowns))
            else:
                errors.append(errors[-1])
    if on_step is not None:
        on_step(state)
    return Trajectory(state.unknowns, torch.stack(errors), torch.stack(losses))
