"""Scenes whose images are known in closed form, and derivatives without a backward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

import taichisoft as ts
from tests.helpers import pixel_camera

# Where the straight edge of a `strip` is: on no pixel centre, exact in float32.
EDGE = 12.3125
WIDTH = 25


def half_plane(edge: float | Tensor, dtype: torch.dtype, depth: float = 1.0) -> Tensor:
    """Return the (3, 3) corners of a triangle that near row 0 is all that lies right of x = edge.

    Its other two edges are about a thousand pixels away.
    """
    corners = torch.tensor([[0, -1024, 0], [0, 1024, 0], [4096, 0, 0]], dtype=dtype)
    return corners + torch.stack([torch.as_tensor(x, dtype=dtype) for x in (edge, 0.0, depth)])


def faces_of(*corners: Tensor, colors: Tensor | None = None) -> ts.Mesh:
    """Return a mesh of unconnected faces, each given by its (3, 3) corners."""
    vertices = torch.cat(corners)
    return ts.Mesh(vertices, torch.arange(len(vertices)).reshape(-1, 3), colors)


def strip(renderer: ts.SoftRasterizer, dtype: torch.dtype, edge: float | Tensor = EDGE) -> Tensor:
    """Render the alpha of a half-plane in one row of pixels, (WIDTH,), with the engine."""
    mesh = faces_of(half_plane(edge, dtype))
    return renderer.silhouette(mesh, pixel_camera(1, WIDTH, dtype))[0, 0]


@torch.no_grad()
def exact_strip(coverage: ts.Coverage, edge: float | Tensor = EDGE) -> Tensor:
    """Return what `strip` has to be: the coverage, its tail removed, at distances known exactly."""
    distance = torch.arange(WIDTH, dtype=torch.float64) + 0.5 - edge
    return coverage.without_tail(distance / coverage.scale.in_pixels(1))


def by_pixel(image: Tensor, variable: Tensor) -> Tensor:
    """Return the derivatives of every pixel of a row, one backward pass for each, stacked."""
    return torch.stack(
        [torch.autograd.grad(pixel, variable, retain_graph=True)[0] for pixel in image]
    )


@torch.no_grad()
def central_difference(function: Callable[[], Tensor], entry: Tensor, step: float = 1e-5) -> Tensor:
    """Return the derivative of a function with respect to a one-element view of what it reads."""
    kept = entry.clone()
    ends = []
    for sign in (1, -1):
        entry.copy_(kept + sign * step)
        ends.append(function())
    entry.copy_(kept)
    return (ends[0] - ends[1]) / (2 * step)


def central_differences(
    function: Callable[[], Tensor], parameter: Tensor, step: float = 1e-5
) -> Tensor:
    """Return the derivatives with respect to every entry of a parameter, shaped like it."""
    flat = parameter.detach().reshape(-1)
    entries = [central_difference(function, flat[i : i + 1], step) for i in range(len(flat))]
    return torch.stack(entries).reshape(*parameter.shape, *entries[0].shape)
