"""Bundles that kernels share: faces, renders, tabulated curves.

Bundles of one kernel are defined beside it.
"""

from typing import NamedTuple

from taichisoft.engine.kernels.kernel import Constant, Floats, Ints


class Corners(NamedTuple):
    """Corners of faces."""

    points: Floats  # (P * 4) x and y in pixels, depth, inverse w
    faces: Ints  # (N * 3) rows of points


class Raster(NamedTuple):
    """Faces, the images that they are drawn in, and the rows of pixels that they reach."""

    corners: Corners
    face_start: Ints  # (B + 1) faces of image b are face_start[b] .. face_start[b + 1] - 1
    face_image: Ints  # (N) image of each face
    rows: Ints  # (N * 2) first and past-last row in reach; none for a culled face
    height: int
    width: int
    slices: int  # row slices per face, where a worker owns slices


class Table(NamedTuple):
    """A tabulated curve, see `taichisoft.engine.kernels.curve`."""

    pieces: Constant  # a power of two; of slopes, 0 where the curve has no slopes of its own
    numbers: Floats  # (2 + pieces * 6)
    cells: Floats  # (K * 4); of slopes without a piece they are not read
