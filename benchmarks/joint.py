"""Joint learning of a softness with the poses: both lower the same soft loss, each at its own rate.

This is what the pose notebook of "Learning to Rasterize Differentiably" does. It is no meta-learning: nothing
carries over from one batch of problems to the next.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from meta.evaluation.measurements import OnStep
from meta.learning.inner import AdamState, InnerSettings, Trajectory, adam_step, start
from taichisoft import SoftRasterizer
from tasks.base import Task


def solve_jointly(
    task: Task,
    renderer: SoftRasterizer,
    settings: InnerSettings,
    *,
    rate: float,
    on_step: OnStep = lambda state: None,
) -> Trajectory:
    """Solve a batch of problems while the parameters of the softness follow the summed loss as well.

    Parameters
    ----------
    task : Task
        The problems.
    renderer : SoftRasterizer
        Its parameters that require gradients are changed in place.
    settings : InnerSettings
        Steps, learning rate of the unknowns, and betas of both.
    rate : float
        Learning rate of the softness.
    on_step : callable
        Called with the state of the unknowns before each step and after the last.

    Returns
    -------
    Trajectory
        As of `meta.learning.inner.solve`, with every error measured. A gradient that is not finite leaves its
        element where it is, be it an unknown or a parameter.
    """
    task.tell(renderer)
    parameters = {n: p for n, p in renderer.named_parameters() if p.requires_grad}
    poses, softness = start(task), _initial(parameters)
    follow = replace(settings, learning_rate=rate)
    errors, losses = [task.error(poses.unknowns)], []
    for step in range(settings.steps):
        on_step(poses)
        renderer.set_progress(step / max(settings.steps - 1, 1))
        leaves = {k: v.detach().requires_grad_() for k, v in poses.unknowns.items()}
        loss = task.loss(leaves, renderer)
        inputs = [*leaves.values(), *parameters.values()]
        gradients = torch.autograd.grad(loss.sum(), inputs)
        with torch.no_grad():
            ours, theirs = gradients[: len(leaves)], gradients[len(leaves) :]
            poses = adam_step(poses, dict(zip(leaves, ours, strict=True)), settings)
            softness = adam_step(softness, dict(zip(parameters, theirs, strict=True)), follow)
            for name, parameter in parameters.items():
                parameter.copy_(softness.unknowns[name])
            losses.append(torch.where(torch.isfinite(loss), loss, torch.inf).detach())
            errors.append(task.error(poses.unknowns))
    on_step(poses)
    return Trajectory(poses.unknowns, torch.stack(errors), torch.stack(losses))


def _initial(parameters: dict[str, torch.nn.Parameter]) -> AdamState:
    values = {name: value.detach().clone() for name, value in parameters.items()}
    zeros = {name: torch.zeros_like(value) for name, value in values.items()}
    return AdamState(values, zeros, dict(zeros), 0)
