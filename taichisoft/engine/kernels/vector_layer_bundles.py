"""Bundles of layers in whole vectors: what is kept of a fragment, of a place and of a pair of places.

A place is a face in a block of pixels: its fragments there, one in each lane.
"""

from typing import NamedTuple

from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, IntVectors, Vectors
from taichisoft.engine.kernels.vector_bundles import Tiles
from taichisoft.engine.kernels.vector_table import FlexibleTable


class Kept:
    """Vectors that are kept of a fragment; the forward pass keeps the first `FORWARD`."""

    # The first one is what passes where that is a product.
    GENERATOR, COVERAGE, DEPTH, SHARE0, SHARE1, SHARE2, WEIGHT, POSITION = range(8)
    FORWARD = 8
    # Distance in scales, the slope of the position by it, and what the adjoint of the distance wants.
    S, RATE, NORMAL, TANGENT, ALONG, EDGE, INVERSE_SUM = range(8, 15)
    # What is in front; opacity, and coverage without it.
    IN_FRONT, OPACITY, OPAQUE = range(15, 18)
    # Upstream gradients: of the weight, and, summed over channels, of the attributes of the corners.
    UPSTREAM, CORNER0, CORNER1, CORNER2 = range(18, 22)
    # Gradients.
    BY_GENERATOR, BY_COVERAGE, BY_DEPTH, BY_IN_FRONT = range(22, 26)
    BACKWARD = 26


class OfPair:
    """Vectors that are kept of a pair of places."""

    # Depth difference in gammas, 0 only where depths are equal; h and its slope by that difference (before
    # these are looked up, position and rate); position and rate in the table of `part`.
    U, ORDER, SLOPE, POSITION, RATE = range(5)
    COUNT = 5


class Extent:
    """Numbers of a place: least and largest depth where covered, what depths may differ by, most coverage."""

    NEAREST, FARTHEST, TOLERANCE, LARGEST, COUNT = range(5)


class Number:
    """Numbers of a softness.

    Ends of the order, the total of faces wholly in front from which on nothing is seen, and h at ties. Of
    the cell of `part` that the least coverages are in: up to which coverage, its row in the table, and the
    position in it, that of no coverage and its slope by coverage. Of an order of a single cell: its row (-1
    if there are several) and the slope of the position in it. Then what is 1 or 0: whether the last of the
    attributes is an opacity, whether of equal depths the smaller place is in front, whether generator and
    coverage have their cells at the same places, whether what passes is a product (see `vector_products`),
    and whether the total is wanted nevertheless. Then what a layer lets pass at least, a total behind which
    nothing is seen, and the row of the first cell of the inverse that has 1 taken off. Last the slope and the
    second derivative of h at ties.
    """

    LOW, HIGH, FULL, AT_TIE, FAINT, FAINT_ROW, FAINT_START, FAINT_RATE = range(8)
    ORDER_ROW, ORDER_RATE, OPACITY, BY_INDEX, SAME = range(8, 13)
    PRODUCT, TOTAL, LEAST, HIDDEN, FIRST_ABOVE = range(13, 18)
    SLOPE_AT_TIE, BEND_AT_TIE = range(18, 20)
    COUNT = 20


class Layers(NamedTuple):
    """Scratch memory of the workers."""

    capacity: int  # places of a worker
    blocks: int  # of a worker
    block: Ints  # of a place, counted in the band; -1 for one without coverage
    extent: Floats  # of a place: see `Extent`
    cells: IntVectors  # of the table of coverage
    cell_numbers: Ints  # the same memory, to be read one by one
    kept: Vectors  # for each place as many as `Kept` says
    start: Ints  # (blocks + 1 of a worker) first place of each block in `order`
    order: Ints  # places of each block, from front to back
    in_front: Ints  # of a place of `order`: how many of its block are wholly in front
    pairs: Ints  # (capacity of a worker) places that may be in front of one, wholly if negative: -1 - place
    pair_cells: IntVectors  # of the table of the order, then of `part`
    pair_cell_numbers: Ints  # the same memory, to be read one by one
    pair_kept: Vectors  # for each as many as `OfPair` says
    visits: Ints  # (2 * (capacity + 1) of a worker) the faces of the band, and their first places
    totals: Vectors  # (blocks)


class Bands(NamedTuple):
    """Rows of blocks that a worker takes together."""

    rows: Ints  # (bands * 3) image, first and past-last row of blocks
    count: int


class Softness(NamedTuple):
    """The curves, see `taichisoft.softness.curves.CompositeCurves`."""

    take_max: Constant
    generator: FlexibleTable
    coverage: FlexibleTable
    order: FlexibleTable
    part: FlexibleTable
    inverse: FlexibleTable
    numbers: Floats  # see `Number`
    gammas: Floats  # (B)


class FacesInBands(NamedTuple):
    """Of `taichisoft.engine.kernels.vector_bundles.Faces` what is read here."""

    frames: Floats
    rows: Ints
    start: Ints


class LayerArrays(NamedTuple):
    """What faces become layers with."""

    softness: Softness
    faces: FacesInBands
    depths: Floats  # (N * DEPTHS)
    tiles: Tiles
    attributes: Floats  # (A * C)
    rows: Ints  # (N * 3) of the attributes
    channels: int  # C, with opacity
    bands: Bands
    layers: Layers
