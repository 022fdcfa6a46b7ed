"""Stray vertices: those that no face uses, which files may have, and which nobody sees."""

from __future__ import annotations

import torch

from taichisoft.geometry.mesh import Mesh


def without_stray_vertices(mesh: Mesh) -> Mesh:
    """Return a mesh whose box and radius are those of its faces.

    Vertices (V, 3) that no face uses are moved to the first corner of the first face, so that the numbers of
    all others, and what belongs to them, stay. A mesh without faces, such as a cloud of points, is returned
    as it is.
    """
    if mesh.num_faces == 0:
        return mesh
    used = torch.zeros(mesh.num_vertices, dtype=torch.bool, device=mesh.device)
    used[mesh.faces.flatten()] = True
    corner = mesh.vertices[mesh.faces[0, 0]]
    return mesh.with_vertices(torch.where(used[:, None], mesh.vertices, corner))
