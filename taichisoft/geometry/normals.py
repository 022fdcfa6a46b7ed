"""Normals of faces and vertices, finite for every mesh."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.base.checks import check_type
from taichisoft.geometry.mesh import Mesh, MeshBatch
from taichisoft.geometry.vectors import unit_or_zero


def face_normals(mesh: Mesh | MeshBatch) -> Tensor:
    """Return the unit normals of the faces of a mesh.

    Parameters
    ----------
    mesh : Mesh or MeshBatch
        Faces counter-clockwise seen from outside.

    Returns
    -------
    Tensor, (F, 3) or (B, F, 3); (sum of F, 3) of a `MeshBatch`
        In world coordinates, pointing outwards. Zero for a face without area, as is its gradient.
        Differentiable with respect to the vertices.
    """
    return unit_or_zero(_area_vectors(mesh))


def vertex_normals(mesh: Mesh | MeshBatch) -> Tensor:
    """Return unit normals of the vertices: those of the faces around each, weighted by area.

    Parameters
    ----------
    mesh : Mesh or MeshBatch
        Faces counter-clockwise seen from outside. Vertices that are repeated along a seam have a normal
        each: join them (``load_mesh(..., merge=True)``) for a smooth one.

    Returns
    -------
    Tensor, (V, 3) or (B, V, 3); (B, Vmax, 3) of a `MeshBatch`
        In world coordinates, pointing outwards. Zero, as is its gradient, for a vertex without a face, and
        where the faces cancel. Differentiable with respect to the vertices.
    """
    areas = _area_vectors(mesh)
    packed = isinstance(mesh, MeshBatch)
    vertices = mesh.vertices.flatten(0, 1) if packed else mesh.vertices
    corners = areas.repeat_interleave(3, dim=-2)
    sums = torch.zeros_like(vertices).index_add(-2, mesh.faces.reshape(-1), corners)
    return unit_or_zero(sums).reshape(mesh.vertices.shape)


def _area_vectors(mesh: Mesh | MeshBatch) -> Tensor:
    """Return normals of the faces of twice their area in length."""
    check_type(mesh, "mesh", (Mesh, MeshBatch))
    packed = isinstance(mesh, MeshBatch)
    vertices = mesh.vertices.flatten(0, 1) if packed else mesh.vertices
    # Unlike an index, `index_select` adds gradients in order on the CPU.
    a, b, c = (vertices.index_select(-2, corners) for corners in mesh.faces.unbind(1))
    return torch.linalg.cross(b - a, c - a)
