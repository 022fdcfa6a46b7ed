"""What a render returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class SoftImage:
    """A rendered batch of images.

    Parameters
    ----------
    alpha : Tensor, (B, H, W)
        Coverage of each pixel by the mesh, in [0, 1].
    depth : Tensor, (B, H, W)
        Mean camera depth of the faces at the pixel, by weight, in scene units; 0 where no face reaches.
    color : Tensor, (B, H, W, C), or None
        Colour over the background; None if neither the mesh nor the call had colours or lighting.
    normals : Tensor, (B, H, W, 3), or None
        If asked for: mean normal of the faces at the pixel, by weight, made unit length, in world
        coordinates; 0 where no face reaches.
    face_ids : Tensor, (B, H, W), int64, or None
        If asked for: the nearest face that covers the pixel centre, among the faces of the mesh of that
        image; -1 for none. Hard, whatever the softness, and without a gradient.
    """

    alpha: Tensor
    depth: Tensor
    color: Tensor | None
    normals: Tensor | None = None
    face_ids: Tensor | None = None
