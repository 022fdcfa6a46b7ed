"""Attributes of a surface: rows of numbers to be interpolated, and which of them a corner has."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.base.checks import check_like, check_type
from taichisoft.geometry.mesh import Mesh, MeshBatch


@dataclass(frozen=True, eq=False)
class Attributes:
    """Numbers at the corners of faces.

    Parameters
    ----------
    values : Tensor, (A, C) or (B, A, C)
        Rows of C numbers: for all images, or for each.
    index : Tensor, (F, 3), int64
        Row of each corner of each face.
    """

    values: Tensor
    index: Tensor

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return self.values.shape[-1]

    @property
    def batch_size(self) -> int:
        """Number of images B, 1 without a batch axis."""
        return self.values.shape[0] if self.values.ndim == 3 else 1

    @classmethod
    def at_corners(cls, values: Tensor) -> Attributes:
        """Return attributes with rows of their own for each corner, (b, 3 F, C) with b = 1 or B."""
        index = torch.arange(values.shape[1], device=values.device).reshape(-1, 3)
        return cls(values[0] if values.shape[0] == 1 else values, index)

    def corners(self) -> Tensor:
        """Return the row of every corner, (b, 3 F, C) with b = 1 or B."""
        values = self.values if self.values.ndim == 3 else self.values[None]
        # Unlike an index, `index_select` adds gradients in order on the CPU.
        return values.index_select(1, self.index.reshape(-1))


def colors_of(mesh: Mesh | MeshBatch) -> Attributes | None:
    """Return the colours of the vertices or faces of a mesh, if it has any."""
    if mesh.vertex_colors is not None:
        packed = isinstance(mesh, MeshBatch)
        return Attributes(
            mesh.vertex_colors.flatten(0, -2) if packed else mesh.vertex_colors, mesh.faces
        )
    if mesh.face_colors is not None:
        own = torch.arange(mesh.num_faces, device=mesh.device)[:, None].expand(-1, 3)
        return Attributes(mesh.face_colors, own)
    return None


def with_colors(mesh: Mesh | MeshBatch, colors: Tensor) -> Mesh:
    """Return a mesh with other colours: (V, C) or (B, V, C) per vertex, or (F, C) or (B, F, C) per face.

    If there are as many faces as vertices they are taken as vertex colours. Raises TypeError or ValueError
    for a wrong type, dtype, shape or device, or a batch of different meshes.
    """
    if isinstance(mesh, MeshBatch):
        raise ValueError(
            "colors cannot be given for a batch of different meshes; give each mesh its own "
            "vertex_colors or face_colors"
        )
    check_type(colors, "colors", Tensor)
    check_like(colors, "colors", mesh.vertices, "vertices")
    rows = colors.shape[-2] if colors.ndim in (2, 3) else None
    if rows == mesh.num_vertices:
        return mesh.with_vertex_colors(colors)
    if rows == mesh.num_faces:
        return mesh.with_face_colors(colors)
    raise ValueError(
        f"colors must have shape (V, C), (B, V, C), (F, C) or (B, F, C) with V={mesh.num_vertices} "
        f"and F={mesh.num_faces}, got {tuple(colors.shape)}"
    )
