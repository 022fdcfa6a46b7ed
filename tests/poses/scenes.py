"""Small scenes whose pose is known."""

from __future__ import annotations

import torch
from torch import Tensor

import taichisoft as ts

SIZE = (48, 56)


def views(count: int) -> ts.Camera:
    """Return cameras around the origin that see a mesh of radius 1."""
    return ts.Camera.orbit(3.5, [55.0, 120.0, 200.0][:count], 25.0, image_size=SIZE)


@torch.no_grad()
def hard_mask(mesh: ts.Mesh, camera: ts.Camera) -> Tensor:
    """Return the masks of a mesh, (V, H, W)."""
    return ts.SoftRasterizer.hard().silhouette(ts.Mesh(mesh.vertices, mesh.faces), camera)
