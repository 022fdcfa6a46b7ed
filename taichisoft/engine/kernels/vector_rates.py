"""Bundles of the second derivatives of compositing: what is kept beside the backward pass, and what is found.

Names that end in ``_dot``, here and where they are used, are rates.
"""

from typing import NamedTuple

from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, Quads, Vectors
from taichisoft.engine.kernels.vector_layer_bundles import Kept


class Rate:
    """Vectors that are kept of a fragment behind those of `Kept`: rates of the ones of the same name."""

    (S, D, GENERATOR, COVERAGE, DEPTH, SHARE0, SHARE1, SHARE2, INVERSE_SUM) = range(
        Kept.BACKWARD, Kept.BACKWARD + 9
    )
    (NORMAL, TANGENT, ALONG, WEIGHT, OPACITY, OPAQUE, UPSTREAM, CORNER0, CORNER1, CORNER2) = range(
        Kept.BACKWARD + 9, Kept.BACKWARD + 19
    )
    (BY_GENERATOR, BY_COVERAGE, BY_DEPTH, BY_IN_FRONT) = range(
        Kept.BACKWARD + 19, Kept.BACKWARD + 23
    )
    SECOND = Kept.BACKWARD + 23


class PairRate:
    """Vectors that are kept of a pair of places.

    Rates of the depth difference in gammas, of h, of its slope by that difference, and of the part of the
    coverage in front; slope of the generator by that part, and its rate.
    """

    U, ORDER, ORDER_SLOPE, PART, SLOPE, SLOPE_DOT = range(6)
    COUNT = 6


class RowsOf:
    """Rows of all tables, and those before each table but the first, that of the generator."""

    TOTAL, COVERAGE, ORDER, PART, INVERSE = range(5)


class OfBand:
    """Numbers of a band.

    Gradients of the logarithms of the width and of gamma, then rates of these and of the gradients of h and
    its slope at ties.
    """

    WIDTH, GAMMA, WIDTH_DOT, GAMMA_DOT, TIE_DOT, TIE_SLOPE_DOT = range(6)
    COUNT = 6


class Moving:
    """Numbers that move: h at ties with two derivatives, logarithms of the width and of the gammas."""

    TIE, TIE_SLOPE, TIE_BEND, WIDTH, GAMMAS = range(5)


class Motion(NamedTuple):
    """At which rates the inputs move."""

    corners: Ints  # (N * 3) rows of points
    points: Floats  # (P * 4)
    attributes: Floats  # (A * C)
    numbers: Floats  # (4 + B) see `Moving`
    cells: Quads  # of all tables; one row unless they move


class OfCells:
    """What is done with the cells of tables; what moves has a gradient, too."""

    NONE, INTO, MOVE = range(3)


class SecondArrays(NamedTuple):
    """What is read besides, and scratch memory."""

    of_cells: Constant  # see `OfCells`
    rows: Ints  # see `RowsOf`
    upstream: Floats  # ((3 + C) * B * H * W) planes
    tiled: Vectors  # (workers * blocks * (3 + C)) of a band, written here
    image_sums: Vectors  # likewise: rates of the image
    attribute_sums: Vectors  # (workers * 3 * C) of the attributes of a face, written here
    pairs: Vectors  # (capacity of a worker) for each as many as `PairRate` says
    parts: Ints  # (N) what is added to the number of a band for the part of a face


class SecondGradients(NamedTuple):
    """What is found: rates of the image and of the gradients."""

    image: Floats  # ((3 + C) * B * H * W) planes
    corners: Floats  # (parts * 3 * 4) x, y, depth, inverse w
    attributes: Floats  # (parts * 3 * C)
    numbers: Floats  # (bands * OfBand.COUNT)
    cells: Quads  # (workers * rows of all tables) starts at 0; one row unless asked for
