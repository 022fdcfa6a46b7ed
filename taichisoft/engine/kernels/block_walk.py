"""Device functions of the blocks of pixels in reach of a face: a walk over them."""

from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blocks import COLUMNS, block_functions
from taichisoft.engine.kernels.vectors import vector_functions


class Block(NamedTuple):
    """A block of pixels, seen from a face."""

    index: Any  # in tiled arrays
    forms: Any  # of its row of blocks: see `block_functions`
    x: Any  # columns of pixels from where the forms are


class Rows(NamedTuple):
    """Rows of blocks of an image, and where a worker keeps what it finds in them."""

    image: Any
    first: Any
    last: Any  # past the last row
    place: Any
    together: Any  # rows that there is room for; at most as many as there are lanes


@cache
def block_walk_functions(real):
    """Return the device functions for the float type `real`."""
    geo = block_functions(real)
    of = vector_functions(real)

    @ti.func
    def walk(
        face: ti.template(),
        bounds: ti.template(),
        tiles: ti.template(),
        rows: ti.template(),
        reach,
        find: ti.template(),
        use: ti.template(),
        state: ti.template(),
    ):
        """Visit all blocks within reach in some rows of blocks, twice.

        First ``find(block, place, face, state)`` keeps what depends on the geometry, in the places from
        ``rows.place`` on, then ``use(place, face, state)`` reads it.
        """
        dx, dy = geo.offsets()
        origin = rows.image * tiles.rows * tiles.columns
        for group in range((rows.last - rows.first + rows.together - 1) // rows.together):
            above = rows.first + group * rows.together
            begins, ends = geo.row_spans(face, bounds, reach, above, tiles.width)
            place = rows.place
            for line in range(ti.min(rows.together, rows.last - above)):
                begin = begins[line]
                end = ends[line]
                row = above + line
                base = origin + row * tiles.columns
                forms = geo.row_forms_of(face, dx, dy, begin, row)
                for column in range(begin, end):
                    x = of.broadcast(ti.cast((column - begin) * COLUMNS, real))
                    block = ti.static(Block(base + column, forms, x))
                    find(block, place + column - begin, face, state)
                place += end - begin
            for at in range(rows.place, place):
                use(at, face, state)

    return SimpleNamespace(walk=walk)
