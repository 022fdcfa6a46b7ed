"""Normals of faces and vertices, finite for every mesh."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.base.checks import check_type
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch
from taichisoft.geometry.vectors import unit_or_zero

# Roundings, of products of two sides, that a sum of normals may be.
NOISE = 8


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
    areas, sides = _area_vectors(mesh)
    return unit_or_zero(_above_noise(areas, sides))


def vertex_normals(mesh: Mesh | MeshBatch) -> Tensor:
    """Return unit normals of the vertices: those of the faces around each, weighted by area.

    Parameters
    ----------
    mesh : Mesh or MeshBatch
        Faces counter-clockwise seen from outside. Vertices that are repeated along a seam have a normal
        each: join them (``load_mesh(..., merge=True)``) for a smooth one. Hard edges, ``normal_faces``
        of the mesh, are not looked at.

    Returns
    -------
    Tensor, (V, 3) or (B, V, 3); (B, Vmax, 3) of a `MeshBatch`
        In world coordinates, pointing outwards. Zero, as is its gradient, for a vertex without a face, and
        where the faces cancel but for rounding, as those of a double-sided mesh do (give each side vertices
        of its own). Differentiable with respect to the vertices.
    """
    check_type(mesh, "mesh", (Mesh, MeshBatch))
    rows = mesh.vertices.shape[:-1].numel() if isinstance(mesh, MeshBatch) else mesh.num_vertices
    return _shared(mesh, mesh.faces, rows).reshape(mesh.vertices.shape)


def corner_normals(mesh: Mesh | MeshBatch) -> tuple[Tensor, Tensor]:
    """Return the unit normals that corners of faces share, and which each has: hard edges have several.

    Parameters
    ----------
    mesh : Mesh or MeshBatch

    Returns
    -------
    normals : Tensor, (N, 3) or (B, N, 3); (N, 3) of a `MeshBatch`
        Those of `vertex_normals`, or of what ``normal_faces`` of the mesh takes together.
    index : Tensor, (F, 3), int64; (sum of F, 3) of a `MeshBatch`
        Rows of the corners.
    """
    index = mesh.normal_faces
    if index is not None:
        return _shared(mesh, index, 3 * mesh.num_faces), index
    normals = vertex_normals(mesh)
    return normals.flatten(0, 1) if isinstance(mesh, MeshBatch) else normals, mesh.faces


def _shared(mesh: Mesh | MeshBatch, index: Tensor, rows: int) -> Tensor:
    """Return the unit sums of the normals of faces, by the numbers (F, 3) of their corners below ``rows``."""
    areas, sides = _area_vectors(mesh)

    def around(of_faces: Tensor) -> Tensor:
        corners = of_faces.repeat_interleave(3, dim=-2)
        total = of_faces.new_zeros(*of_faces.shape[:-2], rows, of_faces.shape[-1])
        return total.index_add(-2, index.reshape(-1), corners)

    return unit_or_zero(_above_noise(around(areas), around(sides)))


def _above_noise(vectors: Tensor, sides: Tensor) -> Tensor:
    """Return zero in the place of vectors that are the rounding of what they were made of, (..., 1)."""
    largest = vectors.detach().abs().amax(-1, keepdim=True)
    return torch.where(largest > NOISE * torch.finfo(sides.dtype).eps * sides, vectors, 0)


def _area_vectors(mesh: Mesh | MeshBatch) -> tuple[Tensor, Tensor]:
    """Return normals of the faces of twice their area in length, and the products of two sides, (..., 1).

    The products bound how the normals round, and have no gradient.
    """
    check_type(mesh, "mesh", (Mesh, MeshBatch))
    packed = isinstance(mesh, MeshBatch)
    vertices = mesh.vertices.flatten(0, 1) if packed else mesh.vertices
    # Unlike an index, `index_select` adds gradients in order on the CPU.
    a, b, c = (vertices.index_select(-2, corners) for corners in mesh.faces.unbind(1))
    first, second = b - a, c - a
    lengths = [torch.linalg.vector_norm(x.detach(), dim=-1, keepdim=True) for x in (first, second)]
    return torch.linalg.cross(first, second), lengths[0] * lengths[1]
