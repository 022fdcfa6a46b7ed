"""Scene: projected points and packed faces, all that the kernels see of meshes and cameras."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Scene:
    """Projected geometry of a batch of images.

    Parameters
    ----------
    points : Tensor, (P, 4)
        x and y in pixels, depth, inverse w of the vertices of all images.
    faces : Tensor, (N, 3), int64
        Rows of `points`; the faces of an image are consecutive.
    face_counts : tuple of int
        Number of faces of each image.
    attributes : Tensor, (A, C), or None
        Colours, and whatever else is to be interpolated.
    attribute_index : Tensor, (N, 3), int64
        Rows of `attributes` of the three corners of each face.
    image_size : tuple of int
        Height and width.
    near : float
        Faces with a vertex nearer than this are not drawn. `build_scene` has cut those that cross it.
    source_face : Tensor, (N,), int64
        Which face of its mesh each face is, or is a part of: faces of every mesh are counted from 0.
    """

    points: Tensor
    faces: Tensor
    face_counts: tuple[int, ...]
    attributes: Tensor | None
    attribute_index: Tensor
    image_size: tuple[int, int]
    near: float
    source_face: Tensor

    @property
    def batch_size(self) -> int:
        """Number of images."""
        return len(self.face_counts)

    @property
    def channels(self) -> Tensor:
        """The attributes, with no columns if there are none."""
        if self.attributes is None:
            return self.points.new_zeros(self.points.shape[0], 0)
        return self.attributes

    @property
    def face_images(self) -> Tensor:
        """The image of each face, (N,), int64."""
        counts = torch.tensor(self.face_counts, device=self.points.device)
        return torch.arange(self.batch_size, device=self.points.device).repeat_interleave(counts)
