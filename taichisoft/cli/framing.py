"""Framing: the distance that shows all of a mesh."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.cameras.camera import Camera

# Share of the image, along the tighter of its axes, that a framed mesh spans.
FILL = 0.9
# Distance that is left between a framed mesh and the camera.
CLEARANCE = 0.05


def filling_distance(
    vertices: Tensor, azimuth: float, elevation: float, fov: float, image_size: tuple[int, int]
) -> float:
    """Return the distance from which the vertices (V, 3) just span `FILL` of the view.

    The least d with ``|x| f <= FILL W / 2 (d + z)`` for the camera coordinates (x, y, z) relative to the
    origin of every vertex, and the same for y and H.
    """
    camera = Camera.orbit(1.0, azimuth, elevation, fov=fov, image_size=image_size)
    points = vertices @ camera.rotation[0].mT
    half = FILL / 2 * torch.tensor([image_size[1], image_size[0]])
    needed = (points[:, :2].abs() * camera.intrinsics[0, 0, 0] / half).amax(-1) - points[:, 2]
    return float(torch.maximum(needed, CLEARANCE - points[:, 2]).max())
