"""Device functions that set faces up for `taichisoft.engine.kernels.blocks`: many at a time, once a render.

A face is set up with five roots and six divisions, which in one lane takes as long as a dozen blocks of
pixels. Here a lane is a face. What is found is kept, `FRAME` numbers a face, and read by every pass.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blocks import block_functions
from taichisoft.engine.kernels.vectors import vector_functions

# Numbers of an edge and of a face: its three edges, one after the other, what else it has, and whole lines of
# the cache.
EDGE = 8
FRAME = 32


@cache
def face_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    geo = block_functions(real)
    vec, lanes = of.vec, of.lanes
    lesser, greater = of.lesser, of.greater
    tiny = 1e-30
    Corner = ti.types.struct(x=vec, y=vec, depth=vec)
    # From the start to the end of an edge.
    Edge = ti.types.struct(x=vec, y=vec, squared=vec)

    @ti.func
    def least(a, b, c):
        return lesser(a, lesser(b, c))

    @ti.func
    def most(a, b, c):
        return greater(a, greater(b, c))

    @ti.func
    def size(v):
        """Return the absolute value."""
        return greater(v, 0.0 - v)

    @ti.func
    def corner_of(corners: ti.template(), face, end, e: ti.template()):
        """Return a corner of as many faces as there are lanes; behind the end that of the last one."""
        points, faces = ti.static((corners.points, corners.faces))
        result = Corner()
        for lane in ti.static(range(lanes)):
            at = 4 * faces[3 * ti.min(face + lane, end - 1) + e]
            result.x[lane] = points[at]
            result.y[lane] = points[at + 1]
            result.depth[lane] = points[at + 2]
        return result

    @ti.func
    def rows_of(a: ti.template(), b: ti.template(), c: ti.template(), reach, near, height, width):
        """First and past-last row of blocks within reach of faces; equal for one that is not drawn."""
        top = least(a.y, b.y, c.y) - reach
        bottom = most(a.y, b.y, c.y) + reach
        left = least(a.x, b.x, c.x) - reach
        right = most(a.x, b.x, c.x) + reach
        high = ti.cast(height, real)
        first = of.to_ints(ti.ceil(lesser(greater(top - 0.5, vec(0.0)), of.broadcast(high))))
        low = lesser(greater(bottom - 0.5, vec(-1.0)), of.broadcast(high - 1))
        last = of.to_ints(ti.floor(low)) + 1
        # Positive for a face that is in front of the near plane and overlaps the image.
        overlap = least(right, ti.cast(width, real) - left, lesser(bottom, high - top))
        seen = ti.select(least(a.depth, b.depth, c.depth) >= near, overlap, vec(-1.0))
        shift = ti.static(geo.rows.bit_length() - 1)
        first_block = first >> shift
        last_block = (last + (geo.rows - 1)) >> shift
        drawn = ti.select(seen > 0.0, last, first) > first
        return first_block, ti.select(drawn, last_block, first_block)

    @ti.func
    def edge_of(start: ti.template(), end: ti.template()):
        x = end.x - start.x
        y = end.y - start.y
        return Edge(x, y, x * x + y * y)

    @ti.func
    def corner_areas(e0: ti.template(), e1: ti.template(), e2: ti.template()):
        """Twice the signed areas, and what they are compared with: the product of the two shorter edges.

        Of the corner between those, where a product of edges rounds least.
        """
        area = e2.x * e0.y - e2.y * e0.x
        first = e0.squared
        second = e2.squared
        # The first corner, unless the edge opposite to it is shorter than another one.
        longest0 = e0.squared > e1.squared
        area = ti.select(longest0, e1.x * e2.y - e1.y * e2.x, area)
        first = ti.select(longest0, e1.squared, first)
        longest2 = e2.squared > greater(e0.squared, e1.squared)
        area = ti.select(longest2, e0.x * e1.y - e0.y * e1.x, area)
        first = ti.select(longest2, e0.squared, first)
        second = ti.select(longest2, e1.squared, second)
        return area, ti.sqrt(first) * ti.sqrt(second)

    @ti.func
    def store(frames_out: ti.template(), face, place: ti.template(), v):
        """Write a number of each face."""
        for lane in ti.static(range(lanes)):
            frames_out[FRAME * (face + lane) + place] = v[lane]

    @ti.func
    def set_edge_up(
        frames_out: ti.template(),
        face,
        e: ti.template(),
        start: ti.template(),
        end: ti.template(),
        edge: ti.template(),
        winding,
        solid,
    ):
        """Write what `blocks` wants of an edge; see `Face` and `Bounds` there."""
        from_start = start.x * start.x + start.y * start.y
        from_end = end.x * end.x + end.y * end.y
        # As in `triangle`.
        level = ti.select(start.x == end.x, start.y > end.y, start.x > end.x)
        turned = ti.select(from_start == from_end, level, from_start > from_end)
        long = edge.squared > tiny
        root = ti.sqrt(greater(edge.squared, vec(tiny)))
        inverse = ti.select(long, 1.0 / root, vec(0.0))
        length = edge.squared * inverse
        ux = ti.select(long, edge.x * inverse, vec(1.0))
        uy = edge.y * inverse
        nx = 0.0 - winding * uy
        steep = size(nx) + solid > 1e-6
        slope = ti.select(steep, 1.0 / ti.select(steep, nx, vec(1.0)), vec(0.0))
        place = ti.static(EDGE * e)
        store(frames_out, face, place, ti.select(turned, end.x, start.x))
        store(frames_out, face, place + 1, ti.select(turned, end.y, start.y))
        store(frames_out, face, place + 2, ux)
        store(frames_out, face, place + 3, uy)
        store(frames_out, face, place + 4, ti.select(turned, 0.0 - length, vec(0.0)))
        store(frames_out, face, place + 5, ti.select(turned, vec(0.0), length))
        store(frames_out, face, place + 6, inverse)
        store(frames_out, face, place + 7, slope)

    @ti.func
    def set_up(
        corners: ti.template(),
        face,
        reach,
        near,
        tiles: ti.template(),
        faces_out: ti.template(),
    ):
        """Write the frames and the rows of as many faces as there are lanes, from `face` on.

        Behind the last face there is room for as many.
        """
        end = faces_out.count
        frames_out, rows_out = ti.static((faces_out.frames, faces_out.rows))
        a = corner_of(corners, face, end, 0)
        b = corner_of(corners, face, end, 1)
        c = corner_of(corners, face, end, 2)
        first, last = rows_of(a, b, c, reach, near, tiles.height, tiles.width)
        e0 = edge_of(a, b)
        e1 = edge_of(b, c)
        e2 = edge_of(c, a)
        area, shorter = corner_areas(e0, e1, e2)
        winding = ti.select(area > 0.0, vec(1.0), vec(-1.0))
        has_area = size(area) > 1e-7 * greater(shorter, vec(1e-13))
        solid = ti.select(has_area, vec(0.0), vec(-1e30))
        set_edge_up(frames_out, face, 0, a, b, e0, winding, solid)
        set_edge_up(frames_out, face, 1, b, c, e1, winding, solid)
        set_edge_up(frames_out, face, 2, c, a, e2, winding, solid)
        place = ti.static(3 * EDGE)
        store(frames_out, face, place, least(a.x, b.x, c.x))
        store(frames_out, face, place + 1, most(a.x, b.x, c.x))
        store(frames_out, face, place + 2, winding)
        store(frames_out, face, place + 3, solid)
        for lane in ti.static(range(lanes)):
            rows_out[2 * (face + lane)] = first[lane]
            rows_out[2 * (face + lane) + 1] = last[lane]

    @ti.func
    def read(frames: ti.template(), index):
        """Return a face and its bounds."""
        face = geo.Face()
        bounds = geo.Bounds()
        at = FRAME * index
        for e in ti.static(range(3)):
            face.x[e] = frames[at + EDGE * e]
            face.y[e] = frames[at + EDGE * e + 1]
            face.ux[e] = frames[at + EDGE * e + 2]
            face.uy[e] = frames[at + EDGE * e + 3]
            face.low[e] = frames[at + EDGE * e + 4]
            face.high[e] = frames[at + EDGE * e + 5]
            face.inverse[e] = frames[at + EDGE * e + 6]
            bounds.slopes[e] = frames[at + EDGE * e + 7]
        bounds.left = frames[at + 3 * EDGE]
        bounds.right = frames[at + 3 * EDGE + 1]
        face.winding = frames[at + 3 * EDGE + 2]
        face.solid = frames[at + 3 * EDGE + 3]
        return face, bounds

    return SimpleNamespace(set_up=set_up, read=read)
