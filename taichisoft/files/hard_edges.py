"""Hard edges: which corners of faces have the same normal in a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from taichisoft.geometry.mesh import Mesh

# Digits after the point that normals in a file agree in.
DIGITS = 3


def with_normals_of(mesh: Mesh, normals: np.ndarray) -> Mesh:
    """Return a mesh with the hard edges that the normals of its corners say.

    Corners at one place with one normal share it, even if the vertex is repeated there, along a seam of UV
    coordinates, say. Corners without a normal share that of their vertex.

    Parameters
    ----------
    mesh : Mesh
    normals : array, (F, 3, 3)
        Of each corner, NaN where there is none.
    """
    missing = np.isnan(normals).any(-1, keepdims=True)
    faces = mesh.faces.numpy()
    vertex = np.where(missing, faces[..., None], -1)
    directions = np.where(missing, 0, normals.round(DIGITS))
    keys = np.concatenate([mesh.vertices.numpy()[faces], directions, vertex], -1).reshape(-1, 7)
    _, index = np.unique(keys, axis=0, return_inverse=True)
    return replace(mesh, normal_faces=torch.from_numpy(index.reshape(-1, 3).astype(np.int64)))


def without_needless(mesh: Mesh) -> Mesh:
    """Return a mesh without its ``normal_faces`` if they say what the vertices do."""
    index = mesh.normal_faces
    if index is None:
        return mesh
    pairs = torch.stack([mesh.faces.reshape(-1), index.reshape(-1)], 1)
    counts = {len(torch.unique(x, dim=0)) for x in (pairs, pairs[:, 0], pairs[:, 1])}
    return replace(mesh, normal_faces=None) if len(counts) == 1 else mesh
