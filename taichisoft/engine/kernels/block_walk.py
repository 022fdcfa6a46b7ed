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


@cache
def block_walk_functions(real):
    """Return the device functions for the float type `real`."""
    geo = block_functions(real)
    of = vector_functions(real)
    lanes = of.lanes

    @ti.func
    def walk(
        face: ti.template(),
        bounds: ti.template(),
        tiles: ti.template(),
        image,
        first,
        last,
        reach,
        visit: ti.template(),
        state: ti.template(),
    ):
        """Call the device function ``visit(block, face, state)`` for all blocks within reach.

        In the rows of blocks from `first` to before `last` of an image.
        """
        dx, dy = geo.offsets()
        origin = image * tiles.rows * tiles.columns
        for group in range((last - first + lanes - 1) // lanes):
            above = first + group * lanes
            begins, ends = geo.row_spans(face, bounds, reach, above, tiles.width)
            for line in range(ti.min(lanes, last - above)):
                begin = begins[line]
                row = above + line
                base = origin + row * tiles.columns
                forms = geo.forms_of(face, dx, dy, begin, row)
                for column in range(begin, ends[line]):
                    x = of.broadcast(ti.cast((column - begin) * COLUMNS, real))
                    visit(ti.static(Block(base + column, forms, x)), face, state)

    return SimpleNamespace(walk=walk)
