"""Device functions of the pixels in reach of a face: slices of its rows, and a walk over them in chunks."""

from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.triangle import geometry_functions


class Part(NamedTuple):
    """Rows of a face."""

    face: Any
    triangle: Any  # of `geometry_functions`
    first: Any  # row
    last: Any  # past the last row


class Pixels(NamedTuple):
    """Consecutive pixels of a row: a chunk of as many as a worker takes together."""

    base: Any  # number of the first pixel of the row
    start: Any  # first column
    end: Any  # past the last column of the row; may come before the end of the chunk
    py: Any  # centre of the row


@cache
def walk_functions(real, lanes):
    """Return the device functions for the float type `real` and a number of pixels at a time."""
    geo = geometry_functions(real, lanes)

    @ti.func
    def slice_of(raster: ti.template(), item):
        """Face, and first and past-last row, of a slice of the rows of a face."""
        face = item // raster.slices
        count = raster.rows[2 * face + 1] - raster.rows[2 * face]
        first = raster.rows[2 * face] + count * (item - face * raster.slices) // raster.slices
        last = raster.rows[2 * face] + count * (item - face * raster.slices + 1) // raster.slices
        return face, first, last

    @ti.func
    def walk(
        raster: ti.template(),
        part: ti.template(),
        reach,
        visit: ti.template(),
        state: ti.template(),
    ):
        """Call the device function ``visit(pixels, part, state)`` for all chunks within reach."""
        bounds = geo.bounds(part.triangle, reach, raster.width)
        for block in range((part.last - part.first + lanes - 1) // lanes):
            above = part.first + block * lanes
            begins, ends = geo.row_spans(part.triangle, bounds, above)
            for line in range(ti.min(lanes, part.last - above)):
                py = above + line + real(0.5)
                begin = begins[line]
                end = ends[line]
                base = (raster.face_image[part.face] * raster.height + above + line) * raster.width
                for chunk in range((end - begin + lanes - 1) // lanes):
                    start = begin + chunk * lanes
                    visit(ti.static(Pixels(base, start, end, py)), part, state)

    return SimpleNamespace(slice_of=slice_of, walk=walk)
