"""How far off losses on depth leave a mesh that is moved along the view axis to where a depth map shows it.

``python -m benchmarks.depth_bias`` prints a table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

import taichisoft as ts
from meta.report.markdown import markdown_table

Loss = Callable[[ts.SoftImage, Tensor], Tensor]

SIZE = 48
SCALES = (0.4, 1.0)
STEPS = 8
RENDERERS = {
    "default": lambda scale: ts.SoftRasterizer(ts.Gaussian(scale)),
    "back faces culled": lambda scale: ts.SoftRasterizer(
        ts.Gaussian(scale), culling=ts.Culling.BACK
    ),
    "BoundedSum": lambda scale: ts.SoftRasterizer(ts.Gaussian(scale), ts.BoundedSum()),
}
MESHES = {
    "ball": (lambda: ts.shapes.icosphere(2), (0.0, 0.0, 3.0)),
    "cube": (ts.shapes.cube, (1.0, 1.2, 3.0)),
}


def blended(image: ts.SoftImage, target: Tensor) -> Tensor:
    """Compare depth over a background at 0, as where depth is composited."""
    return ts.mse_loss(image.alpha * image.depth, target)


def by_alpha(image: ts.SoftImage, target: Tensor) -> Tensor:
    """Compare by `depth_loss`."""
    return ts.depth_loss(image.depth, image.alpha, target)


LOSSES = {"mse of alpha times depth": blended, "depth_loss": by_alpha}


def offset(
    mesh: ts.Mesh, camera: ts.Camera, renderer: ts.SoftRasterizer, loss: Loss, steps: int
) -> float:
    """Return where along the view axis the loss is stationary, by secants from near 0, the truth."""
    with torch.no_grad():
        target = ts.SoftRasterizer.hard()(mesh, camera).depth

    def slope(along: float) -> float:
        moved = torch.tensor(along, dtype=mesh.dtype, requires_grad=True)
        image = renderer(mesh.with_vertices(mesh.vertices + moved * camera.rotation[0, 2]), camera)
        return float(torch.autograd.grad(loss(image, target), moved)[0])

    before, now = 0.05, -0.03
    slopes = slope(before), slope(now)
    for _ in range(steps):
        if abs(now - before) < 1e-6:
            break
        step = slopes[1] * (now - before) / (slopes[1] - slopes[0])
        before, now = now, max(-1.0, min(1.0, now - step))
        slopes = slopes[1], slope(now)
    return now


def main(arguments: list[str] | None = None) -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=SIZE, help="height and width in pixels")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the secant method")
    given = parser.parse_args(arguments)
    print(markdown_table(("mesh", "renderer", "scale px", *LOSSES), ()))
    for mesh_name, (make, eye) in MESHES.items():
        mesh = make().to(dtype=torch.float64)
        camera = ts.Camera.look_at(eye, image_size=(given.size, given.size), dtype=torch.float64)
        for name, renderer in RENDERERS.items():
            for scale in SCALES:
                offsets = [
                    offset(mesh, camera, renderer(scale), loss, given.steps)
                    for loss in LOSSES.values()
                ]
                numbers = " | ".join(f"{x:.4f}" for x in offsets)
                print(f"| {mesh_name} | {name} | {scale:g} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
