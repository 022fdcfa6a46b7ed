"""Device functions of a triangle over blocks of pixels, one pixel a lane: reach, distance, nearest edge.

An image is cut into blocks of two columns and as many rows as a vector register has room for. A block that
does not fit at the right or lower end of the image has lanes outside of it; their numbers are of no use and
do no harm. Arrays over blocks, "tiled", are indexed ``(image * block rows + row) * block columns + column``.

What is computed is that of `taichisoft.engine.kernels.triangle`. In a row of blocks the distances across an
edge and along it are linear in the column, so that one product and one sum each are left for a block. An edge
that begins far from the image is measured from its other end, in the same direction: along it a pixel is then
between minus its length and 0.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.vectors import lanes_of, vector_functions

# Columns of a block. Two, since faces are small: less of a square block lies outside of them.
COLUMNS = 2


def block_rows(real) -> int:
    """Return how many rows of pixels a block of a float type has."""
    return lanes_of(real) // COLUMNS


@cache
def block_functions(real):
    """Return a namespace of structs and device functions for the float type `real`."""
    of = vector_functions(real)
    vec, lanes = of.vec, of.lanes
    lesser, greater = of.lesser, of.greater
    rows = block_rows(real)
    vec3 = ti.types.vector(3, real)
    tiny = 1e-30
    # By more than squares are off by rounding, for edges some hundred times as long as the distance.
    farther = 1 + (2e-5 if real is ti.f32 else 1e-12)
    # Per edge: anchor, unit direction from its start to its end, range of the positions along it from the
    # anchor, inverse length (0 if none). 1 or -1 by the winding; see `solidity` of `triangle`.
    Face = ti.types.struct(
        x=vec3,
        y=vec3,
        ux=vec3,
        uy=vec3,
        low=vec3,
        high=vec3,
        inverse=vec3,
        winding=real,
        solid=real,
    )
    # Smallest and largest x, and per edge 1 / normal.x, or 0 if it bounds no row.
    Bounds = ti.types.struct(left=real, right=real, slopes=vec3)
    # Distances across and along the three edges, at a block.
    Forms = ti.types.struct(a0=vec, a1=vec, a2=vec, u0=vec, u1=vec, u2=vec)
    # What rows add to them, and x at a block: that alone differs in a row of blocks. Not by steps from where
    # a face begins: so two faces find the same distance to the edge that they share.
    RowForms = ti.types.struct(x=vec, a0=vec, a1=vec, a2=vec, u0=vec, u1=vec, u2=vec)

    @ti.func
    def offsets():
        """Centres of the pixels of a block from its corner."""
        dx = vec(0.0)
        dy = vec(0.0)
        for lane in ti.static(range(lanes)):
            dx[lane] = lane % COLUMNS + 0.5
            dy[lane] = lane // COLUMNS + 0.5
        return dx, dy

    @ti.func
    def row_spans(face: ti.template(), bounds: ti.template(), reach, row, width):
        """First and past-last block column within reach of a face, of `lanes` rows of blocks from `row` on.

        The triangle grown by its reach lies in its grown box and in its three grown half-planes. In a row of
        blocks those reach farthest at its first or at its last row of pixels.
        """
        y = vec(0.0)
        for lane in ti.static(range(lanes)):
            y[lane] = lane * rows + 0.5
        y = y + ti.cast(row * rows, real)
        low = of.broadcast(bounds.left - reach)
        high = of.broadcast(bounds.right + reach)
        for e in ti.static(range(3)):
            inverse = bounds.slopes[e]
            ny = face.winding * face.ux[e]
            x = face.x[e] - (reach + ny * (y - face.y[e])) * inverse
            other = x - (rows - 1.0) * (ny * inverse)
            low = ti.select(inverse > 0, greater(low, lesser(x, other)), low)
            high = ti.select(inverse < 0, lesser(high, greater(x, other)), high)
        # Column j has its centre at j + 1/2; both ends stay in the range of an integer.
        limit = of.broadcast(ti.cast(width, real))
        begin = of.to_ints(ti.ceil(lesser(greater(low - 0.5, vec(0.0)), limit)))
        end = of.to_ints(ti.floor(lesser(greater(high - 0.5, vec(-1.0)), limit - 1.0))) + 1
        shift = ti.static(COLUMNS.bit_length() - 1)
        first_block = begin >> shift
        last_block = (end + (COLUMNS - 1)) >> shift
        return first_block, ti.select(end > begin, last_block, first_block)

    @ti.func
    def forms_of(face: ti.template(), dx, dy, column, row):
        """Return `Forms` at a block, given its column and its row of blocks."""
        x = dx + ti.cast(column * COLUMNS, real)
        y = dy + ti.cast(row * rows, real)
        x0, x1, x2 = x - face.x[0], x - face.x[1], x - face.x[2]
        y0, y1, y2 = y - face.y[0], y - face.y[1], y - face.y[2]
        wind = face.winding
        ux, uy = ti.static((face.ux, face.uy))
        return Forms(
            (wind * ux[0]) * y0 - (wind * uy[0]) * x0,
            (wind * ux[1]) * y1 - (wind * uy[1]) * x1,
            (wind * ux[2]) * y2 - (wind * uy[2]) * x2,
            ux[0] * x0 + uy[0] * y0,
            ux[1] * x1 + uy[1] * y1,
            ux[2] * x2 + uy[2] * y2,
        )

    @ti.func
    def row_forms_of(face: ti.template(), dx, dy, column, row):
        """Return `RowForms` at a block, given its column and its row of blocks."""
        x = dx + ti.cast(column * COLUMNS, real)
        y = dy + ti.cast(row * rows, real)
        y0, y1, y2 = y - face.y[0], y - face.y[1], y - face.y[2]
        wind = face.winding
        ux, uy = ti.static((face.ux, face.uy))
        return RowForms(
            x,
            (wind * ux[0]) * y0,
            (wind * ux[1]) * y1,
            (wind * ux[2]) * y2,
            uy[0] * y0,
            uy[1] * y1,
            uy[2] * y2,
        )

    @ti.func
    def edge_forms(face: ti.template(), forms: ti.template(), e: ti.template(), x):
        """Distances across an edge and along it, `x` pixels to the right of the forms of a row."""
        a, u = ti.static(((forms.a0, forms.u0), (forms.a1, forms.u1), (forms.a2, forms.u2))[e])
        nx = 0.0 - face.winding * face.uy[e]
        right = (forms.x + x) - face.x[e]
        return a + of.broadcast(nx) * right, u + of.broadcast(face.ux[e]) * right

    @ti.func
    def on_edge(face: ti.template(), e: ti.template(), along):
        """Return a position along an edge limited to the edge."""
        return lesser(greater(along, of.broadcast(face.low[e])), of.broadcast(face.high[e]))

    @ti.func
    def distance(face: ti.template(), forms: ti.template(), x):
        """Signed Euclidean distance to the boundary, `x` pixels to the right of the forms."""
        a0, u0 = edge_forms(face, forms, 0, x)
        a1, u1 = edge_forms(face, forms, 1, x)
        a2, u2 = edge_forms(face, forms, 2, x)
        # Beyond the ends of the edge.
        e0 = u0 - on_edge(face, 0, u0)
        e1 = u1 - on_edge(face, 1, u1)
        e2 = u2 - on_edge(face, 2, u2)
        nearest = lesser(lesser(a0 * a0 + e0 * e0, a1 * a1 + e1 * e1), a2 * a2 + e2 * e2)
        line = lesser(lesser(a0, a1), a2) + face.solid
        return ti.select(line >= 0.0, line, 0.0 - ti.sqrt(nearest))

    @ti.func
    def measure(across, beyond):
        """Return a squared distance to an edge, a little more where its end is nearest.

        An end is no nearer than the other edge that it ends, where that has its foot. Where the two are all
        but the same, rounding would decide between a line and a point, whose second derivatives differ.
        """
        return across * across + beyond * (beyond * real(farther))

    @ti.func
    def nearest_edge(face: ti.template(), forms: ti.template(), x):
        """Return what of a gradient depends on the pixel, `x` pixels to the right of the forms.

        Signed distance, distances across the nearest edge and beyond its end, position along it from its
        anchor in lengths of the edge, whether it is edge 1, whether it is edge 2, and 1 / distance, negative
        outside.
        """
        across, along = edge_forms(face, forms, 0, x)
        held = on_edge(face, 0, along)
        beyond = along - held
        part = held * from_anchor(face, 0)
        nearest = measure(across, beyond)
        line = across

        ahead1, along1 = edge_forms(face, forms, 1, x)
        held1 = on_edge(face, 1, along1)
        beyond1 = along1 - held1
        squared1 = measure(ahead1, beyond1)
        second = squared1 < nearest
        nearest = lesser(squared1, nearest)
        line = lesser(ahead1, line)

        ahead2, along2 = edge_forms(face, forms, 2, x)
        held2 = on_edge(face, 2, along2)
        beyond2 = along2 - held2
        squared2 = measure(ahead2, beyond2)
        third = squared2 < nearest
        line = lesser(ahead2, line)

        across = ti.select(third, ahead2, ti.select(second, ahead1, across))
        beyond = ti.select(third, beyond2, ti.select(second, beyond1, beyond))
        part1 = held1 * from_anchor(face, 1)
        part2 = held2 * from_anchor(face, 2)
        part = ti.select(third, part2, ti.select(second, part1, part))
        far = ti.sqrt(greater(across * across + beyond * beyond, vec(tiny)))
        line = line + face.solid
        inside = line >= 0.0
        distance = ti.select(inside, line, 0.0 - far)
        inverse = ti.select(inside, vec(1.0), vec(-1.0)) / far
        return distance, across, beyond, part, second, third, inverse

    @ti.func
    def from_anchor(face: ti.template(), e: ti.template()):
        """Return what makes of a position along an edge one from 0 to 1: an inverse length with a sign."""
        return ti.select(face.low[e] < 0, 0 - face.inverse[e], face.inverse[e])

    return SimpleNamespace(
        rows=rows,
        Face=Face,
        Bounds=Bounds,
        Forms=Forms,
        RowForms=RowForms,
        offsets=offsets,
        row_spans=row_spans,
        forms_of=forms_of,
        row_forms_of=row_forms_of,
        edge_forms=edge_forms,
        distance=distance,
        nearest_edge=nearest_edge,
    )
