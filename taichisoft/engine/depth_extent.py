"""Extents in depth of what is drawn in each image, and the widths of an order relative to them."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.engine.scene import Scene
from taichisoft.softness.occlusion import FrontToBack

# A width is at least this part of the largest depth: less is rounding in float32.
LEAST_WIDTH = 1e-6


def gammas_of(scene: Scene, occlusion: FrontToBack) -> Tensor:
    """Return the widths of an order in scene units, (B,) float64, differentiable in the points."""
    nearest, farthest = depth_range(scene)
    size = torch.maximum(nearest.abs(), farthest.abs()).detach().double()
    least = torch.where(size > 0, LEAST_WIDTH * size, 1)
    return torch.maximum(occlusion.widths(farthest - nearest), least)


def depth_range(scene: Scene) -> tuple[Tensor, Tensor]:
    """Return the least and the largest depth of the faces that are drawn in each image, (B,) each.

    0 and 0 where there are none. Differentiable: the gradient is that of the vertices which are nearest and
    farthest.
    """
    depth = scene.points[:, 2]
    corners = depth.detach()[scene.faces]
    hidden = corners.amin(1) < scene.near
    ends = []
    for sign in (1, -1):
        key = torch.where(hidden[:, None], torch.inf, sign * corners)
        least, corner = key.min(1)
        found = []
        first = 0
        for count in scene.face_counts:
            if not count:
                found.append(depth.sum() * 0)
                continue
            value, face = least[first : first + count].min(0)
            at = scene.faces[first + face, corner[first + face]]
            found.append(torch.where(value < torch.inf, depth[at], 0))
            first += count
        ends.append(torch.stack(found))
    return ends[0], ends[1]
