"""Normals of faces and vertices, finite for every mesh."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.base.checks import check_type
from taichisoft.geometry.mesh import Mesh, MeshBatch
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
        each: join them (``load_mesh(..., merge=True)``) for a smooth one.

    Returns
    -------
    Tensor, (V, 3) or (B, V, 3); (B, Vmax, 3) of a `MeshBatch`
        In world coordinates, pointing outwards. Zero, as is its gradient, for a vertex without a face, and
        where the faces cancel but for rounding, as those of a double-sided mesh do (give each side vertices
        of its own). Differentiable with respect to the vertices.
    """
    areas, sides = _area_vectors(mesh)
    packed = isinstance(mesh, MeshBatch)
    vertices = mesh.vertices.flatten(0, 1) if packed else mesh.vertices

    def around(of_faces: Tensor) -> Tensor:
        corners = of_faces.repeat_interleave(3, dim=-2)
        total = vertices.new_zeros(*vertices.shape[:-1], of_faces.shape[-1])
        return total.index_add(-2, mesh.faces.reshape(-1), corners)

    sums = _above_noise(around(areas), around(sides))
    return unit_or_zero(sums).reshape(mesh.vertices.shape)


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
