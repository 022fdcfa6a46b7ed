import torch
from torch import Tensor

import taichisoft as ts
from tasks import Split, Task, TaskFamily, Unknowns

CAMERA = ts.Camera.look_at((0.0, 0.0, 4.0), image_size=(32, 32))
CUBE = ts.shapes.cube()


def rods(angle: Tensor) -> ts.Mesh:  # (P,) in radians
    rod = CUBE.with_vertices(CUBE.vertices * torch.tensor([1.0, 0.2, 0.2]))
    turn = ts.rotations.from_axis_angle(torch.nn.functional.pad(angle[:, None], (2, 0)))
    return rod.transformed(turn, torch.zeros(3))


class RodTask(Task):  # rods to be turned to where silhouettes show them
    solved_below = 3.0

    def __init__(self, truth: Tensor):
        self.truth, self.start = truth, {"angle": torch.zeros_like(truth)}
        self.targets = ts.SoftRasterizer.hard().silhouette(rods(truth), CAMERA)

    def loss(self, unknowns: Unknowns, renderer: ts.SoftRasterizer) -> Tensor:
        return 1 - ts.iou(renderer.silhouette(rods(unknowns["angle"]), CAMERA), self.targets)

    def error(self, unknowns: Unknowns) -> Tensor:  # without any softness
        return (unknowns["angle"] - self.truth).abs().rad2deg()

    def situation(self) -> ts.Situation:
        return ts.situation_of(rods(self.start["angle"]), CAMERA, colors=False)

    def views(self, unknowns: Unknowns, problem: int) -> Tensor:
        angle = unknowns["angle"].detach()[problem : problem + 1]
        return ts.SoftRasterizer.hard().silhouette(rods(angle), CAMERA)[0]


class RodFamily(TaskFamily):
    name, error_unit, error_cap, learning_rate = "rod", "degrees", 60.0, 0.1

    def draw(self, count: int, split: Split, generator: torch.Generator) -> RodTask:
        return RodTask(2 * torch.rand(count, generator=generator) - 1)


class Blend(torch.nn.Module):  # from a Gaussian to a logistic curve, by a weight that is learned
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, distance: Tensor) -> Tensor:
        weight = self.weight.sigmoid()
        return weight * distance.sigmoid() + (1 - weight) * torch.special.ndtr(distance)


def start() -> ts.Softness:
    first, last = ts.Pixels(1.5, learn=True), ts.Pixels(0.3, learn=True)
    return ts.Softness(ts.CustomCoverage(Blend(), ts.ExponentialAnnealing(first, last), reach=6.0))
