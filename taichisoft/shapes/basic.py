"""Plain shapes: triangle, quad, cube, icosphere, torus."""

from __future__ import annotations

import numpy as np
import torch

from taichisoft.base.checks import check_integer, check_number
from taichisoft.base.precision import default_dtype
from taichisoft.geometry.mesh import Mesh
from taichisoft.shapes.parts import combine
from taichisoft.shapes.solids import box, geodesic
from taichisoft.shapes.sweeps import circle, ring


def triangle() -> Mesh:
    """Return one equilateral triangle in the plane z = 0, its normal along +z.

    Its corners are at distance 1 from the origin, the first one straight up.
    """
    x = 0.75**0.5
    return _flat([[0.0, 1.0], [-x, -0.5], [x, -0.5]], [[0, 1, 2]])


def quad() -> Mesh:
    """Return a square of two triangles in the plane z = 0, its normal along +z.

    Its corners are at distance 1 from the origin.
    """
    s = 0.5**0.5
    return _flat([[-s, -s], [s, -s], [s, s], [-s, s]], [[0, 1, 2], [0, 2, 3]])


def cube(subdivisions: int = 0) -> Mesh:
    """Return a cube with corners at distance 1 from the origin and ``12 * 4^subdivisions`` faces.

    Raises
    ------
    TypeError, ValueError
        ``subdivisions`` is no int, or negative.
    """
    cells = 2 ** check_integer(subdivisions, "subdivisions", minimum=0)
    return combine([box((0, 0, 0), (1, 1, 1), (cells, cells, cells))])


def icosphere(subdivisions: int = 3) -> Mesh:
    """Return a unit sphere with ``20 * 4^subdivisions`` faces of nearly equal size.

    The default has 642 vertices and 1280 faces.

    Raises
    ------
    TypeError, ValueError
        ``subdivisions`` is no int, or negative.
    """
    frequency = 2 ** check_integer(subdivisions, "subdivisions", minimum=0)
    sphere = geodesic(frequency)
    # not through combine: the centre of the bounding box need not be the centre of the sphere
    vertices = torch.from_numpy(sphere.vertices).to(default_dtype())
    return Mesh(vertices, torch.from_numpy(np.ascontiguousarray(sphere.faces)))


def torus(segments: int = 32, sides: int = 16, *, ratio: float = 0.4) -> Mesh:
    """Return a torus about the y axis with outer radius 1 and ``2 * segments * sides`` faces.

    Parameters
    ----------
    segments, sides : int
        Divisions around the axis and around the tube, at least 3.
    ratio : float
        Radius of the tube over radius of the circle it follows, between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of an argument.
    """
    check_integer(segments, "segments", minimum=3)
    check_integer(sides, "sides", minimum=3)
    check_number(ratio, "ratio", above=0, below=1)
    around = circle(segments)
    path = np.stack([around[:, 0], np.zeros(segments), around[:, 1]], 1) / (1 + ratio)
    part = ring(path, ratio / (1 + ratio), sides)
    vertices = torch.from_numpy(part.vertices).to(default_dtype())
    return Mesh(vertices, torch.from_numpy(np.ascontiguousarray(part.faces)))


def _flat(corners: list[list[float]], faces: list[list[int]]) -> Mesh:
    vertices = torch.tensor([[*corner, 0.0] for corner in corners], dtype=default_dtype())
    return Mesh(vertices, torch.tensor(faces))
