import torch
from torch import Tensor

import taichisoft as ts
from tasks import Split, Task, TaskFamily, Unknowns


def scene(shift: Tensor) -> tuple[ts.Mesh, ts.Camera]:
    cube, camera = ts.shapes.cube(), ts.Camera.look_at((0.5, 0.7, 4.0), image_size=(32, 32))
    moved = cube.vertices + torch.nn.functional.pad(shift, (0, 1))[:, None]
    return cube.with_vertices(moved), camera


def silhouettes(shift: Tensor, renderer: ts.SoftRasterizer) -> Tensor:
    return renderer.silhouette(*scene(shift))


class ShiftTask(Task):  # cubes to be moved to where silhouettes show them
    def __init__(self, truth: Tensor):  # (P, 2)
        self.truth, self.start = truth, {"shift": torch.zeros_like(truth)}
        self.targets = silhouettes(truth, ts.SoftRasterizer.hard())
        self.solved_below = 0.045  # half a pixel, in scene units

    def loss(self, unknowns: Unknowns, renderer: ts.SoftRasterizer) -> Tensor:
        return 1 - ts.iou(silhouettes(unknowns["shift"], renderer), self.targets)

    def error(self, unknowns: Unknowns) -> Tensor:
        return (unknowns["shift"] - self.truth).norm(dim=1)

    def situation(self) -> ts.Situation:  # before the first step, for a softness that follows it
        return ts.situation_of(*scene(self.start["shift"]), colors=False)

    def views(self, unknowns: Unknowns, problem: int) -> Tensor:
        return silhouettes(unknowns["shift"].detach(), ts.SoftRasterizer.hard())[problem]


class ShiftFamily(TaskFamily):  # shifts of up to 0.4 scene units
    name, error_unit, error_cap, learning_rate = "shift", "scene units", 1.0, 0.05

    def draw(self, count: int, split: Split, generator: torch.Generator) -> ShiftTask:
        return ShiftTask(0.8 * torch.rand(count, 2, generator=generator) - 0.4)


problems = ShiftFamily().sample(seed=0, count=4, split=Split.TRAIN)
renderer = ts.SoftRasterizer(ts.Gaussian(ts.ExponentialAnnealing(1.0, 0.1)))
found = ts.fit(problems, renderer=renderer, steps=40, learning_rate=0.05, progress=False)
assert problems.success(problems.error(found.parameters)).all()
