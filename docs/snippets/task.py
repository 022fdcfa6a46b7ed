from dataclasses import dataclass

import torch
from torch import Tensor

import taichisoft as ts
from meta.learning.inner import InnerSettings, solve
from tasks import Split, Task, TaskFamily, Unknowns
from tasks.base import generator_for


@dataclass(frozen=True, eq=False)
class ShiftTask(Task):
    """Cubes to be moved to where a silhouette shows them; the unknowns are in scene units."""

    truth: Tensor  # (P, 2)

    @property
    def count(self) -> int:
        return len(self.truth)

    def init(self) -> Unknowns:
        return {"shift": torch.zeros_like(self.truth)}

    def solution(self) -> Unknowns:
        return {"shift": self.truth.clone()}

    def loss(self, unknowns: Unknowns, renderer: ts.SoftRasterizer) -> Tensor:
        return 1 - ts.iou(self._draw(unknowns["shift"], renderer), self._targets())

    def error(self, unknowns: Unknowns) -> Tensor:
        return (unknowns["shift"] - self.truth).norm(dim=1)

    def success(self, error: Tensor) -> Tensor:
        return error < 0.045  # half a pixel

    def views(self, unknowns: Unknowns, problem: int) -> Tensor:
        return self._draw(unknowns["shift"].detach(), ts.SoftRasterizer.hard())[problem]

    def target(self, problem: int) -> Tensor:
        return self._targets()[problem]

    def _targets(self) -> Tensor:
        return self._draw(self.truth, ts.SoftRasterizer.hard())

    def _draw(self, shift: Tensor, renderer: ts.SoftRasterizer) -> Tensor:
        camera = ts.Camera.look_at(eye=(0.5, 0.7, 4.0), image_size=(32, 32))
        cube, depth = ts.shapes.cube(), torch.zeros_like(shift[:, :1])
        moved = cube.vertices + torch.cat([shift, depth], 1)[:, None]
        return renderer.silhouette(cube.with_vertices(moved), camera)


@dataclass(frozen=True)
class ShiftFamily(TaskFamily):
    """Shifts of up to 0.4 scene units."""

    name = "shift"
    error_unit = "scene units"
    error_cap = 1.0
    learning_rate = 0.05

    def sample(self, seed: int, count: int, split: Split) -> ShiftTask:
        uniform = torch.rand(count, 2, generator=generator_for(seed, split))
        return ShiftTask(0.8 * uniform - 0.4)


family = ShiftFamily()
problems = family.sample(seed=0, count=4, split=Split.TRAIN)
renderer = ts.SoftRasterizer(ts.Gaussian(ts.ExponentialAnnealing(1.0, 0.1)))
trajectory = solve(problems, renderer, InnerSettings(steps=40, learning_rate=family.learning_rate))
print(trajectory.errors[0], trajectory.errors[-1])
assert problems.success(trajectory.errors[-1]).all()
