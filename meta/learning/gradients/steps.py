"""Single inner steps, for estimators that look inside a trajectory."""

from __future__ import annotations

import torch

from meta.learning.inner import AdamState, adam_step
from meta.learning.method import Method
from meta.learning.objective import Objective, Rollout


def advance(rollout: Rollout, method: Method, state: AdamState) -> AdamState:
    """Return the state after the next step, bit-equal to that of `solve`; no graph is kept."""
    leaves = {k: v.detach().requires_grad_() for k, v in state.unknowns.items()}
    start = AdamState(leaves, state.first, state.second, state.step)
    with torch.no_grad():
        return _step(rollout, method, start, create_graph=False)


def advance_with_graph(rollout: Rollout, method: Method, state: AdamState) -> AdamState:
    """Return the state after the next step, differentiable.

    In the method's parameters and in the state, whose unknowns require a gradient.
    """
    return _step(rollout, method, state, create_graph=True)


def _step(rollout: Rollout, method: Method, state: AdamState, *, create_graph: bool) -> AdamState:
    rollout.task.tell(method.renderer)
    method.renderer.set_progress(state.step / max(rollout.inner.steps - 1, 1))
    unknowns = list(state.unknowns.values())
    with torch.enable_grad():
        loss = rollout.task.loss(state.unknowns, method.renderer).sum()
        gradients = torch.autograd.grad(loss, unknowns, create_graph=create_graph)
    named = dict(zip(state.unknowns, gradients, strict=True))
    return adam_step(state, named, rollout.inner, method.rate())


def counted(objective: Objective, rollout: Rollout) -> list[bool]:
    """Return for the start and each step, T + 1, whether the objective depends on the error there.

    The objective itself is asked, with errors of half the cap: errors that do not count need no render.
    """
    cap = rollout.error_cap
    errors = torch.full((rollout.inner.steps + 1, 1), cap / 2, dtype=torch.float64)
    with torch.enable_grad():
        value = objective.reduce(errors.requires_grad_(), cap)
        (slope,) = torch.autograd.grad(value, errors)
    return (slope != 0).flatten().tolist()
