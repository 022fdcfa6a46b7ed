"""Scene: projected points and packed faces, all that the kernels see of meshes and cameras."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from taichisoft.engine.topology import CornerRows, Topology


@dataclass(frozen=True, eq=False)
class Scene:
    """Projected geometry of a batch of images.

    Parameters
    ----------
    points : Tensor, (P, 4)
        x and y in pixels, depth, inverse w of the vertices of all images.
    topology : Topology
        Its faces.
    attributes : Tensor, (A, C), or None
        Colours, and whatever else is to be interpolated.
    attribute_rows : CornerRows
        Rows of `attributes` of the three corners of each face.
    image_size : tuple of int
        Height and width.
    near : float
        Faces with a vertex nearer than this are not drawn. `build_scene` has cut those that cross it.
    """

    points: Tensor
    topology: Topology
    attributes: Tensor | None
    attribute_rows: CornerRows
    image_size: tuple[int, int]
    near: float

    @property
    def faces(self) -> Tensor:
        """Rows of `points`, (N, 3), int64; the faces of an image are consecutive."""
        return self.topology.corners.rows

    @property
    def face_counts(self) -> tuple[int, ...]:
        """Number of faces of each image."""
        return self.topology.face_counts

    @property
    def source_face(self) -> Tensor:
        """Which face of its mesh each face is, or is a part of, (N,), int64; counted from 0 in every mesh."""
        return self.topology.source_face

    @property
    def attribute_index(self) -> Tensor:
        """Rows of `attributes` of the three corners of each face, (N, 3), int64."""
        return self.attribute_rows.rows

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
        return self.topology.face_images
