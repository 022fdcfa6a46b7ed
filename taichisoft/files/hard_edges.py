"""Hard edges: which corners of faces have the same normal in a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from taichisoft.geometry.mesh import Mesh

# Normals of one place that are no farther apart are the same, in radians: one degree. Files round them, to
# three digits or to 8 bits (a step is 1/127), and a crease of less is not seen.
SAME = np.pi / 180


def with_normals_of(mesh: Mesh, normals: np.ndarray) -> Mesh:
    """Return a mesh with the hard edges that the normals of its corners say.

    Corners at one place with the same normal (to one degree) share it, even if the vertex is repeated there,
    along a seam of UV coordinates, say. Corners without a normal share that of their vertex.

    Parameters
    ----------
    mesh : Mesh
    normals : array, (F, 3, 3)
        Of each corner, of any length; NaN where there is none.
    """
    faces = mesh.faces.numpy()
    missing = ~np.isfinite(normals).all(-1)
    directions = _units(np.where(missing[..., None], 0, normals))
    _, place = np.unique(mesh.vertices.numpy(), axis=0, return_inverse=True)
    groups = np.where(missing, mesh.num_vertices + faces, place.reshape(-1)[faces])
    index = _alike(groups.reshape(-1), directions.reshape(-1, 3))
    return replace(mesh, normal_faces=torch.from_numpy(index.reshape(-1, 3)))


def _units(vectors: np.ndarray) -> np.ndarray:
    """Return finite vectors with a length of 1, or of 0 where it is 0."""
    largest = np.abs(vectors).max(-1, keepdims=True)  # whose square may be infinite, or 0
    scaled = vectors / np.where(largest > 0, largest, 1)
    lengths = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return scaled / np.where(lengths > 0, lengths, 1)


def _alike(groups: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return numbers that are equal where group and direction are.

    In rounds: the first direction that is left of each group takes those near it, so that a chain of small
    steps is not one direction.
    """
    found = np.empty(len(groups), np.int64)
    left, count = np.argsort(groups, kind="stable"), 0
    while len(left):
        own = groups[left]
        first = np.concatenate([[True], own[1:] != own[:-1]])
        taker = np.cumsum(first) - 1
        apart = directions[left] - directions[left[first]][taker]
        near = np.linalg.norm(apart, axis=-1) <= SAME
        found[left[near]] = count + taker[near]
        count += int(first.sum())
        left = left[~near]
    return found


def without_needless(mesh: Mesh) -> Mesh:
    """Return a mesh without its ``normal_faces`` if they say what the vertices do."""
    index = mesh.normal_faces
    if index is None:
        return mesh
    pairs = mesh.faces * (3 * mesh.num_faces) + index
    counts = {len(torch.unique(x)) for x in (pairs, mesh.faces, index)}
    return replace(mesh, normal_faces=None) if len(counts) == 1 else mesh
