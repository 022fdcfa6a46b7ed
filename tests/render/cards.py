"""Rectangular cards of one colour each, in pixels and depth, whose pictures can be written down."""

from __future__ import annotations

import torch
from torch import Tensor

import taichisoft as ts

SIDES = torch.tensor([(0, 1, 2), (0, 2, 3)])
Number = float | Tensor


def card(left: Number, top: Number, right: Number, bottom: Number, depth: Number) -> Tensor:
    """Return the corners of a rectangle that faces the camera, (..., 4, 3); numbers may be batches."""
    numbers = (torch.as_tensor(x, dtype=torch.float64) for x in (left, top, right, bottom, depth))
    x0, y0, x1, y1, z = torch.broadcast_tensors(*numbers)
    corners = [(x0, y0, z), (x0, y1, z), (x1, y1, z), (x1, y0, z)]
    return torch.stack([torch.stack(corner, -1) for corner in corners], -2)


def scene(cards: list[Tensor], colors: Tensor, unit: float = 1.0) -> ts.Mesh:
    """Return a mesh of cards, one row of colours each, in units of so many pixels and depths."""
    shape = torch.broadcast_shapes(*(corners.shape[:-2] for corners in cards))
    vertices = torch.cat([corners.expand(*shape, 4, 3) for corners in cards], -2)
    faces = torch.cat([SIDES + 4 * k for k in range(len(cards))])
    return ts.Mesh(unit * vertices, faces, colors.repeat_interleave(4, 0))


def camera(size: int, unit: float = 1.0) -> ts.Camera:
    """Return a camera for which `unit` is a pixel; what is behind depth 0 is seen."""
    intrinsics = torch.diag(torch.tensor([1 / unit, 1 / unit, 1.0], dtype=torch.float64))[None]
    rotation = torch.eye(3, dtype=torch.float64)[None]
    translation = torch.zeros(1, 3, dtype=torch.float64)
    return ts.Camera(rotation, translation, intrinsics, (size, size), False, -unit)


# Positions within a pixel over which what is seen of an edge is averaged; at none has a coverage a kink.
WITHIN_A_PIXEL = (torch.arange(5, dtype=torch.float64) + 0.37) / 5
