"""Problems in float64, and their outer loss as one long program, to check meta-gradients with."""

from __future__ import annotations

from dataclasses import fields, replace

import torch
from torch import Tensor

from meta.learning.inner import AdamState, InnerSettings, adam_step, start
from meta.learning.method import Method
from meta.learning.objective import Rollout, TrajectoryObjective, Window, late
from tasks import PoseFamily, Shape3DFamily, Split, Task, TaskFamily
from tasks.occlusion import OcclusionFamily
from tasks.shape3d import Shape3DTask


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


POSE = PoseFamily(image_size=(16, 16), dtype=torch.float64)
SHAPE = Shape3DFamily(image_size=(12, 12), views=2, subdivisions=0, dtype=torch.float64)
PLANES = OcclusionFamily(image_size=(16, 16), planes=3, dtype=torch.float64)


class Dented(Shape3DTask):
    """Shapes that start from a sphere without symmetries.

    From a whole one, views along a face let rounding decide which edge is the nearest one.
    """

    def init(self):
        """Return random displacements."""
        (name, zeros), *_ = super().init().items()
        noise = torch.randn(zeros.shape, generator=seeded(), dtype=zeros.dtype)
        return {name: 0.05 * noise}


def problems(family: TaskFamily, seed: int = 3) -> Task:
    """Return two problems."""
    task = family.sample(seed, 2, Split.TRAIN)
    if isinstance(task, Shape3DTask):
        return Dented(**{f.name: getattr(task, f.name) for f in fields(task)})
    return task


def objective_of(task: Task, family: TaskFamily, steps: int, window: Window = late):
    inner = InnerSettings(steps, 0.6 * family.learning_rate)
    return TrajectoryObjective((Rollout(task, inner, family.error_cap),), window)


def outer_loss(
    objective: TrajectoryObjective,
    method: Method,
    borders: dict[int, AdamState] | None = None,
    graph: bool = False,
) -> Tensor:
    """Return the objective with differentiable errors, written down as one long program.

    At the steps of `borders` the state is replaced by a given one.
    """
    (rollout,) = objective.rollouts
    task, renderer = rollout.task, method.renderer
    rate = rollout.inner.learning_rate * method.rate()
    inner = replace(rollout.inner, learning_rate=rate)
    state = start(task)
    errors = [task.differentiable_error(state.unknowns)]
    for step in range(inner.steps):
        state = (borders or {}).get(step, state)
        renderer.set_progress(step / (inner.steps - 1))
        unknowns = {k: v.requires_grad_() for k, v in state.unknowns.items()}
        loss = task.loss(unknowns, renderer).sum()
        gradients = torch.autograd.grad(loss, list(unknowns.values()), create_graph=graph)
        state = adam_step(state, dict(zip(unknowns, gradients, strict=True)), inner)
        if not graph:
            state = AdamState(*(detached(p) for p in parts(state)), state.step)
        errors.append(task.differentiable_error(state.unknowns))
    return objective.reduce(torch.stack(errors), rollout.error_cap)


def parts(state: AdamState) -> tuple[dict[str, Tensor], ...]:
    return state.unknowns, state.first, state.second


def detached(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in values.items()}
