"""Another library's renderer in the place of ours: as much of it as tasks of silhouettes call."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

import taichisoft as ts
from meta.evaluation.measurements import OnStep
from meta.learning.inner import InnerSettings, Trajectory, adam_step, start
from tasks.base import Task


class OtherRenderer(ABC):
    """Silhouettes by another library, which has no softness of ours."""

    @abstractmethod
    def silhouette(self, mesh: ts.Mesh | ts.MeshBatch, camera: ts.Camera) -> Tensor:
        """Return coverage in [0, 1], (B, H, W), in the dtype of the mesh.

        It has a first derivative with respect to vertices and camera. Batch sizes of mesh and camera must be
        equal or 1.
        """

    @abstractmethod
    def set_progress(self, progress: float) -> None:
        """Say how much of an optimisation is done, from 0 (before its first step) to 1 (at its last)."""


def solve_with(
    task: Task, renderer: OtherRenderer, settings: InnerSettings, on_step: OnStep
) -> Trajectory:
    """Solve a batch of problems as `meta.learning.inner.solve` does, which asks renderers for their softness.

    Parameters
    ----------
    task : Task
        The problems, whose loss is one of silhouettes.
    renderer : OtherRenderer
        Who draws them.
    settings : InnerSettings
        Steps and rates.
    on_step : callable
        Called with the state before each step and after the last.

    Returns
    -------
    Trajectory
        Its errors are those of the start, and of the end after the last step.
    """
    state = start(task)
    first, losses = task.error(state.unknowns), []
    for step in range(settings.steps):
        on_step(state)
        renderer.set_progress(step / max(settings.steps - 1, 1))
        leaves = {k: v.detach().requires_grad_() for k, v in state.unknowns.items()}
        loss = task.loss(leaves, renderer)
        gradients = torch.autograd.grad(loss.sum(), list(leaves.values()))
        with torch.no_grad():
            state = adam_step(state, dict(zip(leaves, gradients, strict=True)), settings)
            losses.append(torch.where(torch.isfinite(loss), loss, torch.inf).detach())
    on_step(state)
    errors = [first] * settings.steps + [task.error(state.unknowns)]
    return Trajectory(state.unknowns, torch.stack(errors), torch.stack(losses))
