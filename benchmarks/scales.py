"""The worth of `suggest_scale` on held-out problems, next to a scale of one pixel.

``python -m benchmarks.scales`` solves problems of three families, and moves a ball to where a silhouette
shows it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

import taichisoft as ts
from meta.report.markdown import markdown_table
from tasks import MIDDLE_START, PoseFamily, Shape2DFamily, Shape3DFamily, Split, TaskFamily

SEED = 5
STEPS = 30
# Of translations: size and rate in scene units, and what counts as solved.
RADIUS = 0.35
RATE = 0.04
SOLVED = 0.05


@dataclass(frozen=True)
class Problems:
    """Problems to solve with a scale.

    Parameters
    ----------
    name : str
        Of the row.
    mesh, camera
        What is drawn at the start.
    target : Tensor or None
        Silhouettes to fit.
    solve : callable
        Takes a renderer, returns the errors (P,) after the last step and which are solved.
    """

    name: str
    mesh: ts.Mesh | ts.MeshBatch
    camera: ts.Camera
    target: Tensor | None
    solve: Callable[[ts.SoftRasterizer], tuple[Tensor, Tensor]]


class Watching(ts.SoftRasterizer):
    """A renderer that remembers what it drew last."""

    drawn: tuple

    def silhouette(self, mesh, camera):
        """Draw and remember."""
        self.drawn = (mesh, camera)
        return super().silhouette(mesh, camera)

    def forward(self, mesh, camera, colors=None):
        """Draw and remember."""
        self.drawn = (mesh, camera)
        return super().forward(mesh, camera, colors)


def of_family(name: str, family: TaskFamily, count: int, target: Callable) -> Problems:
    """Return held-out problems of a family."""
    task = family.sample(SEED, count, Split.HELD_OUT)
    watching = Watching()
    with torch.no_grad():
        task.loss(task.init(), watching)

    def solve(renderer: ts.SoftRasterizer) -> tuple[Tensor, Tensor]:
        last = {}
        ts.fit(
            task,
            steps=STEPS,
            learning_rate=family.learning_rate,
            renderer=renderer,
            progress=False,
            # The last state, as in the evaluation of learned softness.
            on_step=lambda step, state: last.update(
                {n: x.detach().clone() for n, x in state.items()}
            ),
        )
        error = task.error(last)
        return error, task.success(error)

    return Problems(name, *watching.drawn, target(task), solve)


def translations(count: int, size: int = 64) -> Problems:
    """Return a ball to be moved by 0.5 to 1 scene units, mostly beyond where it is."""
    generator = torch.Generator().manual_seed(SEED)
    ball = ts.shapes.icosphere(2)
    ball = ball.with_vertices(RADIUS * ball.vertices)
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), image_size=(size, size))
    angle = 2 * math.pi * torch.rand(count, generator=generator)
    far = 0.5 + 0.5 * torch.rand(count, generator=generator)
    truth = torch.stack([far * angle.cos(), far * angle.sin()], -1)

    def moved(offset: Tensor) -> ts.Mesh:
        return ball.with_vertices(ball.vertices + pad(offset, (0, 1))[:, None])

    target = ts.SoftRasterizer.hard().silhouette(moved(truth), camera)

    def solve(renderer: ts.SoftRasterizer) -> tuple[Tensor, Tensor]:
        found = ts.fit(
            lambda p: 1 - ts.iou(renderer.silhouette(moved(p["offset"]), camera), target),
            {"offset": torch.zeros(count, 2)},
            2 * STEPS,
            learning_rate=RATE,
            renderer=renderer,
            progress=False,
        )
        error = (found.parameters["offset"] - truth).norm(dim=-1)
        return error, error < SOLVED

    return Problems("translation", moved(0 * truth), camera, target, solve)


def problems(count: int) -> Iterator[Problems]:
    """Return all that is solved."""
    yield of_family("pose, 15 to 35 degrees", PoseFamily(), count, lambda task: task.targets)
    middle = PoseFamily(start_angle=MIDDLE_START)
    yield of_family("pose, 35 to 55 degrees", middle, count, lambda task: task.targets)
    spheres = Shape3DFamily(views=6, subdivisions=2)
    yield of_family("shape3d", spheres, max(1, count // 2), lambda task: task.seen.images)
    yield of_family("shape2d", Shape2DFamily(), max(1, count // 2), lambda task: None)
    yield translations(count)


def main(arguments: list[str] | None = None) -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--count", type=int, default=64, help="problems of a family (half for shapes)"
    )
    count = parser.parse_args(arguments).count
    print(markdown_table(("problems", "scale px", "solved", "median error"), ()))
    for p in problems(count):
        scales = {"1": ts.Pixels(1.0), "suggested": ts.suggest_scale(p.mesh, p.camera)}
        if p.target is not None:
            scales["suggested for the target"] = ts.suggest_scale(p.mesh, p.camera, p.target)
        for label, scale in scales.items():
            wide = float(scale.in_pixels(p.camera.image_size[0]))
            error, solved = p.solve(ts.SoftRasterizer(ts.Gaussian(scale)))
            rate = float(solved.double().mean())
            print(
                f"| {p.name} | {label}: {wide:.2g} | {rate:.0%} | {float(error.median()):.3g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
