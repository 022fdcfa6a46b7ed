"""Bundles of compositing front to back: a band of rows, its fragments, and what is asked of them.

A fragment is a face at a pixel within its reach. The fragments of a band are numbered face by face.
"""

from typing import NamedTuple

from taichisoft.engine.kernels.blend import Attributes
from taichisoft.engine.kernels.bundles import Raster
from taichisoft.engine.kernels.kernel import Constant, Floats, Ints
from taichisoft.engine.kernels.layer_tables import LayerTables

# The values of a fragment, one after the other: depth; coverage and its generator, with opacity; how near
# depths are equal. Then its attributes.
DEPTH = 0
COVERED = 1
GENERATED = 2
TOLERANCE = 3
ATTRIBUTES = 4
# Of the gradients, in the place of that of the tolerance: what is summed up over all fragments behind.
BEHIND = 3


class Band(NamedTuple):
    """Consecutive rows of pixels, counted through all images, and the faces of these images."""

    first_row: int
    last_row: int  # past the last one
    first_face: int
    num_faces: int


class Chunks(NamedTuple):
    """Consecutive fragments of one face: what a worker takes together."""

    count: int
    faces: Ints  # (count)
    starts: Ints  # (count) first fragment
    ends: Ints  # (count) past the last one


class Model(NamedTuple):
    """What fragments are composited by."""

    tables: LayerTables
    gammas: Floats  # (B) width of the order in each image
    at_tie: Floats  # (3) the order of equal depths, its slope and its second derivative there
    low: float  # end of the order: a face that is so many gammas behind does not count as in front
    high: float  # end of the order: one that is so many in front counts wholly
    full: float  # total of faces wholly in front behind which nothing is seen, and what then stands for it
    hidden: float
    first_above: int  # row of the first cell of the inverse that has 1 taken off
    tie: float  # of the largest depth of a face: depths that differ by less are equal
    takes_max: Constant
    by_index: Constant  # whether of equally deep faces the one with the smaller index is in front
    opacity: Constant  # whether the last attribute is one
    straight: Constant  # whether distances follow slopes of their own


class LayerArrays(NamedTuple):
    """What fragments are evaluated from."""

    raster: Raster
    attributes: Attributes
    reach: float  # pixels
    model: Model


class Layers(NamedTuple):
    """The fragments of a band."""

    planes: int  # numbers of a fragment, 4 + C
    pixel: Ints  # (F) in the band; -1 for a fragment that is out of reach
    # (F) a number of each fragment of a pixel; then, in the order, the place of the first one that does not
    # count wholly, or the fragment of the maximum, -1 for none
    place: Ints
    order: Ints  # (F) fragments pixel by pixel
    in_front: Floats  # (F) in the order, what is in front of each
    values: Floats  # (F * (4 + C))


class CellSums(NamedTuple):
    """Gradients of the cells of all tables."""

    wanted: Constant  # whether they are asked for; if not, the arrays have one element
    of_workers: Floats  # (workers * cells) starts at 0
