"""Compile what most tests need, before they run side by side: ``python -m tests.compiled``.

A process writes the kernels that it has compiled when it ends. So workers that start with an empty cache
compile the same ones each, and so does every program that a test starts. Here two share the work.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context

import torch

import taichisoft as ts

COVERAGES = (ts.Gaussian, ts.MLPCoverage, ts.MonotoneSpline)


def main() -> None:
    """Compile in two processes, which take about as long as each other."""
    context = get_context("spawn")
    shares = (
        [(differentiate, torch.float32), (shade, torch.float32)],
        [(differentiate, torch.float64), (shade, torch.float64), (solve, torch.float32)],
    )
    processes = [context.Process(target=run, args=(share,)) for share in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("tests.compiled: a process failed")


def run(share: list[tuple[Callable[[torch.dtype], None], torch.dtype]]) -> None:
    """Do a share of the work in this process."""
    ts.init("cpu")
    torch.set_num_threads(1)
    for work, dtype in share:
        work(dtype)


def differentiate(dtype: torch.dtype) -> None:
    """Take first and second derivatives of renders with a softness of each of the usual layouts."""
    for coverage in COVERAGES:
        mesh = ts.shapes.icosphere(0).to(dtype=dtype)
        mesh = mesh.with_vertex_colors(mesh.vertices * 0.5 + 0.5)
        camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(8, 8), dtype=dtype)
        renderer = ts.SoftRasterizer(coverage())
        vertices = mesh.vertices.clone().requires_grad_()
        seen = mesh.with_vertices(vertices)
        image = renderer(seen, camera)
        color = image.alpha.square().sum() + image.color.square().sum()
        for loss in (color, renderer.silhouette(seen, camera).square().sum()):
            (gradient,) = torch.autograd.grad(loss, vertices, create_graph=True)
            gradient.square().sum().backward()


def solve(dtype: torch.dtype) -> None:
    """Take derivatives of silhouettes with a softness that stays, as programs that solve problems do.

    One thread draws a small scene, and all draw a large one, with other kernels.
    """
    hard = ts.SoftRasterizer.hard()
    coverages = [ts.Gaussian(), *(c() for c in COVERAGES[1:])]
    for subdivisions, size in ((0, 8), (4, 512)):
        mesh = ts.shapes.icosphere(subdivisions).to(dtype=dtype)
        camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(size, size), dtype=dtype)
        target = hard.silhouette(mesh, camera)
        for coverage in coverages:
            renderer = ts.SoftRasterizer(coverage).requires_grad_(False)
            vertices = mesh.vertices.clone().requires_grad_()
            seen = renderer.silhouette(mesh.with_vertices(vertices), camera)
            ts.mse_loss(seen, target).backward()


def shade(dtype: torch.dtype) -> None:
    """Take derivatives of a render with texture and light."""
    mesh, generator = ts.shapes.icosphere(0).to(dtype=dtype), torch.Generator().manual_seed(0)
    image, uv = (
        torch.rand(*size, dtype=dtype, generator=generator) for size in ((4, 4, 3), (12, 2))
    )
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(8, 8), dtype=dtype)
    texture = ts.Texture(image.requires_grad_(), uv)
    light = ts.Lighting([ts.DirectionalLight((0.0, 0.5, 1.0))])
    ts.SoftRasterizer()(mesh, camera, colors=texture, lighting=light).color.sum().backward()


if __name__ == "__main__":
    main()
