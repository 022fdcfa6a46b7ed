"""Closed surfaces that objects are put together from. NumPy float64; `combine` makes a `Mesh`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from taichisoft.base.precision import default_dtype
from taichisoft.geometry.mesh import Mesh

Point = Sequence[float] | np.ndarray
Points = Sequence[Point] | np.ndarray


@dataclass(frozen=True, eq=False)
class Part:
    """A closed surface whose normals point outwards: vertices (V, 3) and faces (F, 3)."""

    vertices: np.ndarray
    faces: np.ndarray

    def moved(self, offset: Point) -> Part:
        """Return the part translated by ``offset``."""
        return Part(self.vertices + np.asarray(offset), self.faces)

    def turned(self, axis: int, degrees: float) -> Part:
        """Return the part rotated about coordinate axis 0, 1 or 2 through the origin.

        Positive angles turn the next axis towards the one after it: x to y about z, and so on.
        """
        first, second = (axis + 1) % 3, (axis + 2) % 3
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        vertices = self.vertices.copy()
        vertices[:, first] = cos * self.vertices[:, first] - sin * self.vertices[:, second]
        vertices[:, second] = sin * self.vertices[:, first] + cos * self.vertices[:, second]
        return Part(vertices, self.faces)

    def mirrored(self, axis: int = 0) -> Part:
        """Return the mirror image that negates one coordinate, still facing outwards."""
        signs = np.ones(3)
        signs[axis] = -1
        return Part(self.vertices * signs, self.faces[:, ::-1])


def combine(parts: Sequence[Part]) -> Mesh:
    """Join parts into one mesh of the default dtype, centred on its bounding box, with largest radius 1."""
    counts = [len(part.vertices) for part in parts]
    starts = np.cumsum([0, *counts[:-1]])
    vertices = np.concatenate([part.vertices for part in parts])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)])
    mesh = Mesh(torch.from_numpy(vertices), torch.from_numpy(faces.astype(np.int64)))
    return mesh.normalized().to(dtype=default_dtype())


def outward(vertices: np.ndarray, faces: np.ndarray) -> Part:
    """Return the part, with all faces reversed if its signed volume is negative."""
    a, b, c = vertices[faces.T]
    inside_out = np.einsum("ij,ij->", a, np.cross(b, c)) < 0
    return Part(vertices, faces[:, ::-1] if inside_out else faces)
