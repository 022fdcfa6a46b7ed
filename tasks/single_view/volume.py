"""Volume IoU: which points of a grid two surfaces enclose, by generalised winding numbers.

Jacobson et al., "Robust Inside-Outside Segmentation using Generalized Winding Numbers" (2013): the solid
angles of all faces as a point sees them, over that of a sphere. It is 1 inside of a closed surface and 0
outside, 2 where two parts overlap, and nearly so for surfaces with holes. The solid angle of a triangle is
after van Oosterom and Strackee (1983).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from taichisoft import Mesh
from taichisoft.base.checks import check_integer, check_tensor

# Pairs of a point and a face that are looked at together: some 100 MB in float32.
PAIRS = 1_000_000
# Half the side of the grid: of the cube around the unit sphere.
HALF = 1.0
INSIDE = 0.5


def grid_points(cells: int) -> Tensor:
    """Return the centres of the cells of a cube from -1 to 1, (cells^3, 3)."""
    check_integer(cells, "cells", minimum=1)
    along = ((torch.arange(cells) + 0.5) / cells * 2 - 1) * HALF
    return torch.stack(torch.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)


@torch.no_grad()
def winding_numbers(points: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    """Return how often a surface winds around each point, (P,).

    Parameters
    ----------
    points : Tensor, (P, 3)
        Anywhere; on the surface the number is between those of its two sides.
    vertices : Tensor, (V, 3)
        Of the dtype of the points.
    faces : Tensor, (F, 3), int64
        Counter-clockwise seen from outside.
    """
    check_tensor(points, "points", ("P", 3))
    check_tensor(vertices, "vertices", ("V", 3))
    rows = max(1, PAIRS // max(1, len(faces)))
    if not len(faces):
        return torch.zeros_like(points[:, 0])
    found = [_solid_angles(some, vertices, faces).sum(1) for some in points.split(rows)]
    return torch.cat(found) / (4 * math.pi) if found else points.new_zeros(0)


def occupancy(mesh: Mesh, cells: int) -> Tensor:
    """Return which cells have their centre within a mesh without a batch axis, (cells^3,) bool."""
    vertices = mesh.vertices.detach()
    points = grid_points(cells).to(vertices)
    found = torch.zeros(len(points), dtype=torch.bool)
    low, high = vertices.amin(0), vertices.amax(0)
    near = ((points >= low) & (points <= high)).all(1)
    found[near] = winding_numbers(points[near], vertices, mesh.faces) > INSIDE
    return found


def volume_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return intersection over union of occupancies (..., N) bool, (...); 1 if both are empty."""
    union = (first | second).sum(-1)
    shared = (first & second).sum(-1)
    return torch.where(union > 0, shared / union.clamp(min=1), 1.0)


def _solid_angles(points: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    """Return the signed solid angles of faces from points, (P, F)."""
    rays = vertices - points[:, None]
    lengths = rays.norm(dim=-1)
    a, b, c = rays[:, faces].unbind(2)
    x, y, z = lengths[:, faces].unbind(2)
    volume = (a * torch.linalg.cross(b, c)).sum(-1)
    ab, bc, ca = (a * b).sum(-1), (b * c).sum(-1), (c * a).sum(-1)
    return 2 * torch.atan2(volume, x * y * z + ab * z + bc * x + ca * y)
