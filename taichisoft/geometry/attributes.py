"""Attributes of a surface: rows of numbers to be interpolated, and which of them a corner has."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from taichisoft.base.checks import check_like, check_number, check_shares, check_type
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch
from taichisoft.geometry.records import replace_unchecked


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
    return _attributes(mesh, mesh.vertex_colors, mesh.face_colors)


def opacity_of(mesh: Mesh | MeshBatch) -> Attributes | None:
    """Return the opacity of the vertices or faces of a mesh, if it has one, as one channel."""
    columns = (x if x is None else x[..., None] for x in (mesh.vertex_opacity, mesh.face_opacity))
    return _attributes(mesh, *columns)


def has_opacity(mesh: Mesh | MeshBatch) -> bool:
    """Return whether a mesh or any of its materials has an opacity of its own."""
    of_material = any(material.has_opacity for material in mesh.materials or ())
    return of_material or mesh.vertex_opacity is not None or mesh.face_opacity is not None


def without_colors(mesh: Mesh | MeshBatch) -> Mesh | MeshBatch:
    """Return a mesh without its colours, if it has any; of its materials opacity is left."""
    materials = mesh.materials
    if mesh.vertex_colors is None and mesh.face_colors is None and materials is None:
        return mesh
    mesh = replace_unchecked(mesh, vertex_colors=None, face_colors=None)
    if materials is None:
        return mesh
    if not any(material.has_opacity for material in materials):
        return replace_unchecked(mesh, materials=None, face_materials=None)
    white = mesh.vertices.new_ones(1)
    left = tuple(replace_unchecked(x, color=white, image=None) for x in materials)
    return replace_unchecked(mesh, materials=left)


def _attributes(
    mesh: Mesh | MeshBatch, of_vertices: Tensor | None, of_faces: Tensor | None
) -> Attributes | None:
    if of_vertices is not None:
        packed = isinstance(mesh, MeshBatch)
        return Attributes(of_vertices.flatten(0, -2) if packed else of_vertices, mesh.faces)
    if of_faces is not None:
        own = torch.arange(mesh.num_faces, device=mesh.device)[:, None].expand(-1, 3)
        return Attributes(of_faces, own)
    return None


def joined(first: Attributes | None, second: Attributes) -> Attributes:
    """Return attributes with the channels of both, one after the other."""
    if first is None:
        return second
    if first.index is second.index and first.values.shape[-2] == second.values.shape[-2]:
        parts = [first.values, second.values]
        if any(x.ndim == 3 for x in parts):
            batch = max(first.batch_size, second.batch_size)
            parts = [x.expand(batch, -1, -1) for x in parts]
        return Attributes(torch.cat(parts, -1), first.index)
    corners = [first.corners(), second.corners()]
    batch = max(x.shape[0] for x in corners)
    return Attributes.at_corners(torch.cat([x.expand(batch, -1, -1) for x in corners], -1))


def with_colors(mesh: Mesh | MeshBatch, colors: Tensor) -> Mesh:
    """Return a mesh with other colours: (V, C) or (B, V, C) per vertex, or (F, C) or (B, F, C) per face.

    They take the place of its materials as well, with the opacity of these. If there are as many faces as
    vertices they are taken as vertex colours. Raises TypeError or ValueError for a wrong type, dtype, shape
    or device, or a batch of different meshes.
    """
    if isinstance(mesh, MeshBatch):
        raise ValueError(
            "colors cannot be given for a batch of different meshes; give each mesh its own "
            "vertex_colors or face_colors"
        )
    check_type(colors, "colors", Tensor)
    check_like(colors, "colors", mesh.vertices, "vertices")
    if mesh.materials is not None:
        mesh = mesh.with_materials(None)
    rows = colors.shape[-2] if colors.ndim in (2, 3) else None
    if rows == mesh.num_vertices:
        return mesh.with_vertex_colors(colors)
    if rows == mesh.num_faces:
        return mesh.with_face_colors(colors)
    raise ValueError(
        f"colors must have shape (V, C), (B, V, C), (F, C) or (B, F, C) with V={mesh.num_vertices} "
        f"and F={mesh.num_faces}, got {tuple(colors.shape)}"
    )


Opacity = Tensor | float
"""One number for all, or a tensor of one for each vertex or face."""


def with_opacity(mesh: Mesh | MeshBatch, opacity: Opacity) -> Mesh | MeshBatch:
    """Return a mesh with another opacity: one number, (V,) or (B, V) per vertex, or (F,) or (B, F) per face.

    If there are as many faces as vertices they are taken as vertices. Raises TypeError or ValueError for a
    wrong type, dtype, shape or device, a number outside of [0, 1], or more than one number for a batch of
    different meshes.
    """
    vertices = mesh.vertices
    if not isinstance(opacity, Tensor):
        opacity = vertices.new_tensor(check_number(opacity, "opacity"))
    check_like(opacity, "opacity", vertices, "vertices")
    check_shares(opacity, "opacity")
    if opacity.ndim == 0:
        rows = vertices.shape[:-1] if isinstance(mesh, MeshBatch) else vertices.shape[-2:-1]
        return replace(mesh, vertex_opacity=opacity.expand(rows), face_opacity=None)
    if isinstance(mesh, MeshBatch):
        raise ValueError(
            "opacity must be one number for a batch of different meshes; give each mesh its own "
            "vertex_opacity or face_opacity"
        )
    if opacity.ndim in (1, 2) and opacity.shape[-1] == mesh.num_vertices:
        return mesh.with_vertex_opacity(opacity)
    if opacity.ndim in (1, 2) and opacity.shape[-1] == mesh.num_faces:
        return mesh.with_face_opacity(opacity)
    raise ValueError(
        f"opacity must be one number or have shape (V,), (B, V), (F,) or (B, F) with V={mesh.num_vertices} "
        f"and F={mesh.num_faces}, got {tuple(opacity.shape)}"
    )
