"""Compile what most tests need, before they run side by side: ``python -m tests.compiled``.

A process writes the kernels that it has compiled when it ends. So workers that start with an empty cache
compile the same ones each, and so does every program that a test starts. Here two share the work.
"""

from __future__ import annotations

from multiprocessing import get_context

import torch

import taichisoft as ts

COVERAGES = (ts.Gaussian, ts.MLPCoverage, ts.MonotoneSpline)


def main() -> None:
    """Compile for both floating-point types, each in a process of its own."""
    context = get_context("spawn")
    processes = [
        context.Process(target=differentiate, args=(dtype,))
        for dtype in (torch.float32, torch.float64)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("tests.compiled: a process failed")


def differentiate(dtype: torch.dtype) -> None:
    """Take first and second derivatives of renders with a softness of each of the usual layouts."""
    ts.init("cpu")
    torch.set_num_threads(1)
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
    shade(dtype)


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
