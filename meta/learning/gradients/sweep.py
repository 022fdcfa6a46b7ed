"""The reverse sweep over a trajectory of which the states were kept, and nothing else.

A step is rebuilt with a graph from the state before it, differentiated, and forgotten. Memory is that of the
states, three numbers for each unknown and step, and of the graph of one step: the number of steps times the
number of pixels does not appear.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from meta.learning.gradients.base import trainable
from meta.learning.gradients.steps import advance_with_graph, counted
from meta.learning.inner import AdamState, Trajectory, solve
from meta.learning.method import Method
from meta.learning.objective import Objective, Rollout
from tasks import Unknowns


@dataclass(frozen=True, eq=False)
class Path:
    """A solved rollout of T steps and P problems.

    Parameters
    ----------
    trajectory : Trajectory
        What `meta.learning.inner.solve` returned, with the errors that count.
    states : list of AdamState
        T + 1, before each step and after the last, without a graph.
    pulls : list of dict of Tensor, or None
        For each state, the derivative of its differentiable errors, weighted by that of the objective, with
        respect to its unknowns; None where the error does not count.
    """

    trajectory: Trajectory
    states: list[AdamState]
    pulls: list[Unknowns | None]


def walk(objective: Objective, rollout: Rollout, method: Method) -> Path:
    """Solve a rollout, and keep what a sweep needs."""
    counts = counted(objective, rollout)
    states: list[AdamState] = []
    trajectory = solve(
        rollout.task,
        method,
        rollout.inner,
        measure_from=counts.index(True),
        on_step=states.append,
    )
    slopes = [
        error_and_slope(rollout, state) if count else None
        for count, state in zip(counts, states, strict=True)
    ]
    return Path(trajectory, states, _weighted(objective, rollout, slopes))


def error_and_slope(rollout: Rollout, state: AdamState) -> tuple[Tensor, Unknowns]:
    """Return the differentiable errors at a state, (P,), and the derivative of each, (P, ...) by name."""
    leaves = {k: v.detach().requires_grad_() for k, v in state.unknowns.items()}
    with torch.enable_grad():
        errors = rollout.task.differentiable_error(leaves)
        # Problems do not touch each other: the gradient of the sum holds that of each.
        slopes = torch.autograd.grad(
            errors.sum(), list(leaves.values()), allow_unused=True, materialize_grads=True
        )
    return errors.detach(), dict(zip(leaves, slopes, strict=True))


def _weighted(
    objective: Objective, rollout: Rollout, slopes: list[tuple[Tensor, Unknowns] | None]
) -> list[Unknowns | None]:
    """Return the slopes times the derivative of the weighted objective by each error."""
    like = next(slope[0] for slope in slopes if slope is not None)
    rows = [torch.zeros_like(like) if slope is None else slope[0] for slope in slopes]
    with torch.enable_grad():
        errors = torch.stack(rows).requires_grad_()
        value = rollout.weight * objective.reduce(errors, rollout.error_cap)
        (weights,) = torch.autograd.grad(value, errors)
    return [
        None if slope is None else {k: _each(w, s) * s for k, s in slope[1].items()}
        for w, slope in zip(weights, slopes, strict=True)
    ]


def _each(weight: Tensor, slope: Tensor) -> Tensor:
    """Return the weights (P,) in the shape of slopes (P, ...)."""
    return weight.to(slope).reshape(-1, *[1] * (slope.dim() - 1))


def sweep(path: Path, rollout: Rollout, method: Method, horizon: int) -> dict[str, Tensor]:
    """Return the derivative of the rollout's part of the objective, by parameter name.

    Parameters
    ----------
    path : Path
        From `walk`, with the same parameters.
    rollout : Rollout
        The problems.
    method : Method
        A copy that may be changed, whose parameters are leaves.
    horizon : int
        States are taken as constants every so many steps, counted from the end.
    """
    parameters = trainable(method)
    totals = {name: torch.zeros_like(p) for name, p in parameters.items()}
    steps, adjoint = rollout.inner.steps, None
    for step in reversed(range(steps)):
        if (steps - 1 - step) % horizon == 0:
            adjoint = None
        adjoint = _pulled(adjoint, path.states[step + 1], path.pulls[step + 1])
        if adjoint is not None:
            adjoint, gradients = _back(rollout, method, path.states[step], adjoint)
            for total, gradient in zip(totals.values(), gradients, strict=True):
                total += gradient
    return totals


def _pulled(
    adjoint: list[Tensor] | None, state: AdamState, pull: Unknowns | None
) -> list[Tensor] | None:
    """Add what the error of a state contributes to its adjoint; None stands for zeros."""
    if pull is None:
        return adjoint
    sums = [torch.zeros_like(v) for v in _tensors(state)] if adjoint is None else adjoint
    return [*(a + pull[k] for k, a in zip(pull, sums, strict=False)), *sums[len(pull) :]]


def _back(
    rollout: Rollout, method: Method, state: AdamState, adjoint: list[Tensor]
) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """Return the adjoint of the state before a step, and the gradients of the parameters in it."""
    leaves = _leaves(state)
    parameters = list(trainable(method).values())
    with torch.enable_grad():
        after = advance_with_graph(rollout, method, leaves)
        found = torch.autograd.grad(
            _tensors(after),
            [*_tensors(leaves), *parameters],
            adjoint,
            allow_unused=True,
            materialize_grads=True,
        )
    count = len(found) - len(parameters)
    return list(found[:count]), found[count:]


def _tensors(state: AdamState) -> list[Tensor]:
    """Return unknowns, then first, then second moments, in the order of the unknowns."""
    parts = (state.unknowns, state.first, state.second)
    return [part[name] for part in parts for name in state.unknowns]


def _leaves(state: AdamState) -> AdamState:
    parts = (state.unknowns, state.first, state.second)
    return AdamState(
        *({k: v.detach().requires_grad_() for k, v in part.items()} for part in parts), state.step
    )
