"""Bundles of kernels that work in whole vectors."""

from typing import NamedTuple

from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, IntVectors, Quads, Vectors


class Tiles(NamedTuple):
    """Images and the blocks that cover them, see `taichisoft.engine.kernels.blocks`."""

    images: int
    height: int  # of an image, in pixels
    width: int
    rows: int  # of blocks
    columns: int


class Faces(NamedTuple):
    """Faces as `taichisoft.engine.kernels.faces` has set them up."""

    frames: Floats  # (N * FRAME)
    rows: Ints  # (N * 2) first and past-last row of blocks in reach; equal for a culled face
    image: Ints  # (N) image of each face
    start: Ints  # (B + 1) faces of image b are start[b] .. start[b + 1] - 1
    count: int  # N
    slices: int  # row slices per face, where a worker owns slices


class VectorTable(NamedTuple):
    """A tabulated curve, see `taichisoft.engine.kernels.bundles.Table`, whose cells are read as rows."""

    pieces: Constant
    numbers: Floats
    cells: Quads  # (K)


class Found(NamedTuple):
    """Room for what is found at the blocks of some rows of a face."""

    rows: int  # that there is room for
    places: int  # of a worker: one for each block of the rows
    blocks: Ints  # number of the block
    cells: IntVectors
    cell_numbers: Ints  # the same memory, to be read one by one
    numbers: Vectors  # for each place as many vectors as the pass keeps
