"""Compile what most tests need, before they run side by side: ``python -m tests.compiled``.

A process writes the kernels that it has compiled when it ends. So workers that start with an empty cache
compile the same ones each, and so does every program that a test starts.
"""

from __future__ import annotations

from itertools import product

import torch

import taichisoft as ts

COVERAGES = (ts.Gaussian, ts.MLPCoverage, ts.MonotoneSpline)


def main() -> None:
    """Take first and second derivatives of renders with a softness of each of the usual layouts."""
    ts.init("cpu")
    torch.set_num_threads(1)
    for dtype, coverage in product((torch.float32, torch.float64), COVERAGES):
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


if __name__ == "__main__":
    main()
