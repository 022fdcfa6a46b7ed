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
    widths = torch.maximum(occlusion.widths(farthest - nearest), LEAST_WIDTH * size)
    # Relative to no extent, at no depth.
    return torch.where(widths > 0, widths, 1)


def depth_range(scene: Scene) -> tuple[Tensor, Tensor]:
    """Return the least and the largest depth of the faces that are drawn in each image, (B,) each.

    0 and 0 where there are none. Differentiable: the gradient is that of the vertices which are nearest and
    farthest.
    """
    depth = scene.points[:, 2]
    if not len(scene.faces):
        nothing = (depth.sum() * 0).expand(scene.batch_size)
        return nothing, nothing
    corners = depth.detach()[scene.faces]
    hidden = corners.amin(1, keepdim=True) < scene.near
    ends = []
    for sign in (1, -1):
        key = torch.where(hidden, torch.inf, sign * corners).reshape(-1)
        least, corner = _least(key, [3 * count for count in scene.face_counts])
        at = depth[scene.faces.reshape(-1)[corner]]
        ends.append(torch.where(least < torch.inf, at, 0))
    return ends[0], ends[1]


def _least(key: Tensor, counts: list[int]) -> tuple[Tensor, Tensor]:
    """Return the least number of each of consecutive groups, infinity if it is empty, and its place."""
    if min(counts) == max(counts):
        least, place = key.view(len(counts), -1).min(1)
        first = torch.arange(len(counts), device=key.device) * counts[0]
        return least, place + first
    found: list[Tensor] = []
    places: list[Tensor] = []
    begin = 0
    none = key.new_tensor(torch.inf), torch.zeros((), dtype=torch.int64, device=key.device)
    for count in counts:
        least, place = key[begin : begin + count].min(0) if count else none
        found.append(least)
        places.append(place + begin if count else place)
        begin += count
    return torch.stack(found), torch.stack(places)
