"""Bundles of fragments: what passes through the fields of a fragment map."""

from typing import NamedTuple

from taichisoft.engine.kernels.bundles import Table
from taichisoft.engine.kernels.kernel import Floats, Ints


class FragmentArrays(NamedTuple):
    """Fragments, sorted by face."""

    frames: Floats  # (N * FRAME) faces that are set up
    face: Ints  # (F)
    pixel: Ints  # (F)


class Chunk(NamedTuple):
    """Fragments that pass through the fields together, and the size of the images."""

    first: int
    count: int
    height: int
    width: int


class SoftnessTables(NamedTuple):
    """What a fragment is evaluated by."""

    curve: Table  # coverage or its generator
    slopes: Table
    occlusion: Table


class Seeds(NamedTuple):
    """Cotangents of the gradients, each of the shape of the input; read by SECOND."""

    points: Floats  # (P * 4)
    widths: Floats  # (2)
    cells: Floats  # (K * 4)
    keep_cells: Floats  # (M * 4)
    front: Floats  # (F)


class FragmentSums(NamedTuple):
    """Gradients: the first two of the chunk are stored, the others are added to."""

    upstream: Floats  # (count * outputs) of the upstream gradient; one element unless SECOND
    front: Floats  # (count) of the front depth; one element unless kind is SHARES
    corners: Floats  # (N * 3 * 4)
    widths: Floats  # (workers * 2)
    cells: Floats  # (workers * K * 4); one element unless into_cells, as those that follow
    slope_cells: Floats  # (workers * L * 4)
    keep_cells: Floats  # (workers * M * 4)
