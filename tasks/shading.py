"""Colours of pictures: light on faces, and a background that is the task's own."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from taichisoft import MeshBatch, SoftImage

# Of the cameras of `tasks.pose`: from above, the left and behind them.
LIGHT = (-0.4, 0.6, 0.7)
AMBIENT = 0.3


def lit(meshes: MeshBatch) -> MeshBatch:
    """Return white meshes with the light on each face as its colour, one channel.

    Parameters
    ----------
    meshes : MeshBatch
        In the axes of the world, +z towards the camera. Colours are ignored.

    Returns
    -------
    MeshBatch
        With ``0.3 + 0.7 max(0, n l)`` for the normal n of a face and the direction l to a
        distant lamp (Lambert's law). Differentiable, twice, in the vertices; a face without area
        has no normal, and 0.3.
    """
    # `taichisoft.Lighting` rounds otherwise, and published results are to the last bit from these numbers.
    a, b, c = meshes.vertices.flatten(0, 1)[meshes.faces].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    square = normal.square().sum(-1)
    # Also where the square is too small for the second derivatives of the root.
    no_area = square <= torch.finfo(square.dtype).tiny ** 0.5
    length = torch.where(no_area, 1, square).sqrt()
    lamp = normal.new_tensor(LIGHT) / math.hypot(*LIGHT)
    cosine = torch.where(no_area, 0, normal @ lamp / length)
    light = AMBIENT + (1 - AMBIENT) * cosine.clamp(min=0)
    return MeshBatch(
        meshes.vertices,
        meshes.faces,
        meshes.face_counts,
        meshes.vertex_counts,
        face_colors=light[:, None],
    )


def over(image: SoftImage, background: float, drawn: Tensor) -> Tensor:
    """Return the colours of an image over another background than it was drawn on.

    Parameters
    ----------
    image : SoftImage
        With colours (B, H, W, C).
    background : float
        The new background, in all channels.
    drawn : Tensor, () or (C,)
        The old one: that of the renderer.

    Returns
    -------
    Tensor, (B, H, W, C)
        Differentiable in the image.
    """
    change = background - drawn.to(image.color)
    return image.color + (1 - image.alpha).unsqueeze(-1) * change
