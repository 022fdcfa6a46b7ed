"""Device functions of a triangle over blocks of pixels, one pixel a lane: reach, distance, foot point.

An image is cut into blocks of 2 columns, as many rows as a vector register has room for. A block that does not fit
at the right or lower end of the image has lanes outside of it; their numbers are of no use and do no harm.
Arrays over blocks, "tiled", are indexed ``(image * block rows + row) * block columns + column``.

What is computed is that of `taichisoft.engine.kernels.triangle`. In a row of blocks the distances across an edge
and along it are linear in the column, so that of a block one product and one sum each are left.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.triangle import geometry_functions
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
    geo = geometry_functions(real)
    vec, ints, lanes = of.vec, of.ints, of.lanes
    lesser, greater = of.lesser, of.greater
    rows = block_rows(real)
    vec3 = ti.types.vector(3, real)
    int3 = ti.types.vector(3, ti.i32)
    tiny = 1e-30
    # Per edge: anchor, unit normal inwards, unit direction, length and its inverse (0 if none), code; smallest
    # and largest x; see `solidity` of `triangle`.
    Face = ti.types.struct(
        x=vec3,
        y=vec3,
        nx=vec3,
        ny=vec3,
        ux=vec3,
        uy=vec3,
        length=vec3,
        inverse=vec3,
        code=int3,
        left=real,
        right=real,
        solid=real,
    )
    # Distances across and along the three edges, at the first block of a row of blocks.
    Forms = ti.types.struct(a0=vec, a1=vec, a2=vec, u0=vec, u1=vec, u2=vec)
    # Of the nearest point of the boundary: signed distance, position along its edge from the anchor, from 0 to
    # 1, gradient of the distance by the pixel; direction, inward normal and inverse length of the edge; 1 for
    # the edge 1 and 2; 1 where the anchor is the end of the edge; whether the point is within the edge; the
    # inverse of the distance, negative outside.
    Foot = ti.types.struct(
        distance=vec,
        along=vec,
        gx=vec,
        gy=vec,
        ux=vec,
        uy=vec,
        nx=vec,
        ny=vec,
        per_length=vec,
        edge1=vec,
        edge2=vec,
        turned=vec,
        within=vec,
        inverse=vec,
    )

    @ti.func
    def face_of(corners: ti.template(), index):
        """Set a face up."""
        triangle = geo.triangle(corners, index)
        v, anchor, normal, edge = ti.static(
            (triangle.v, triangle.anchor, triangle.normal, triangle.edge)
        )
        face = Face()
        for e in ti.static(range(3)):
            squared = edge[e, 0] * edge[e, 0] + edge[e, 1] * edge[e, 1]
            inverse = ti.select(squared > tiny, 1 / ti.sqrt(ti.max(squared, tiny)), real(0.0))
            face.x[e] = anchor[e, 0]
            face.y[e] = anchor[e, 1]
            face.nx[e] = normal[e, 0]
            face.ny[e] = normal[e, 1]
            # An edge without length is a point: any two axes do.
            face.ux[e] = ti.select(squared > tiny, edge[e, 0] * inverse, real(1.0))
            face.uy[e] = edge[e, 1] * inverse
            if inverse == 0:
                face.nx[e] = 0
                face.ny[e] = 1
            face.length[e] = squared * inverse
            face.inverse[e] = inverse
            face.code[e] = triangle.code[e]
        face.left = lesser(v[0, 0], lesser(v[1, 0], v[2, 0]))
        face.right = greater(v[0, 0], greater(v[1, 0], v[2, 0]))
        face.solid = triangle.solid
        return face

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
    def row_spans(face: ti.template(), reach, row, width):
        """First and past-last block column within reach of a face, of `lanes` rows of blocks from `row` on.

        The triangle grown by its reach lies in its grown box and in its three grown half-planes. In a row of
        blocks those reach farthest at its first or at its last row of pixels.
        """
        y = vec(0.0)
        for lane in ti.static(range(lanes)):
            y[lane] = lane * rows + 0.5
        y = y + ti.cast(row * rows, real)
        low = of.broadcast(face.left - reach)
        high = of.broadcast(face.right + reach)
        for e in ti.static(range(3)):
            steep = ti.abs(face.nx[e]) + face.solid > 1e-6
            inverse = ti.select(steep, 1 / ti.select(steep, face.nx[e], real(1.0)), real(0.0))
            first = face.x[e] - (reach + face.ny[e] * (y - face.y[e])) * inverse
            last = face.x[e] - (reach + face.ny[e] * (y + (rows - 1.0) - face.y[e])) * inverse
            low = ti.select(inverse > 0, greater(low, lesser(first, last)), low)
            high = ti.select(inverse < 0, lesser(high, greater(first, last)), high)
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
        return Forms(
            face.nx[0] * x0 + face.ny[0] * y0,
            face.nx[1] * x1 + face.ny[1] * y1,
            face.nx[2] * x2 + face.ny[2] * y2,
            face.ux[0] * x0 + face.uy[0] * y0,
            face.ux[1] * x1 + face.uy[1] * y1,
            face.ux[2] * x2 + face.uy[2] * y2,
        )

    @ti.func
    def within_edge(along, length):
        """Return a position along an edge, in pixels, limited to the edge."""
        return lesser(greater(along, vec(0.0)), of.broadcast(length))

    @ti.func
    def distance(face: ti.template(), forms: ti.template(), x):
        """Signed Euclidean distance to the boundary, `x` pixels to the right of the forms."""
        a0 = forms.a0 + face.nx[0] * x
        a1 = forms.a1 + face.nx[1] * x
        a2 = forms.a2 + face.nx[2] * x
        u0 = forms.u0 + face.ux[0] * x
        u1 = forms.u1 + face.ux[1] * x
        u2 = forms.u2 + face.ux[2] * x
        # Beyond the ends of the edge.
        e0 = u0 - within_edge(u0, face.length[0])
        e1 = u1 - within_edge(u1, face.length[1])
        e2 = u2 - within_edge(u2, face.length[2])
        nearest = lesser(lesser(a0 * a0 + e0 * e0, a1 * a1 + e1 * e1), a2 * a2 + e2 * e2)
        line = lesser(lesser(a0, a1), a2) + face.solid
        return ti.select(line >= 0.0, line, 0.0 - ti.sqrt(greater(nearest, vec(tiny))))

    @ti.func
    def foot(face: ti.template(), forms: ti.template(), x):
        """Return the `Foot` of the nearest boundary point, `x` pixels to the right of the forms."""
        line = vec(1e30)
        nearest = vec(1e30)
        across = vec(0.0)
        beyond = vec(0.0)
        result = Foot()
        for e in ti.static(range(3)):
            a, u = ti.static(((forms.a0, forms.u0), (forms.a1, forms.u1), (forms.a2, forms.u2))[e])
            ahead = a + face.nx[e] * x
            along = u + face.ux[e] * x
            held = within_edge(along, face.length[e])
            excess = along - held
            squared = ahead * ahead + excess * excess
            line = lesser(line, ahead)
            nearer = squared < nearest
            nearest = ti.select(nearer, squared, nearest)
            across = ti.select(nearer, ahead, across)
            beyond = ti.select(nearer, excess, beyond)
            result.along = ti.select(nearer, held * face.inverse[e], result.along)
            result.ux = ti.select(nearer, of.broadcast(face.ux[e]), result.ux)
            result.uy = ti.select(nearer, of.broadcast(face.uy[e]), result.uy)
            result.nx = ti.select(nearer, of.broadcast(face.nx[e]), result.nx)
            result.ny = ti.select(nearer, of.broadcast(face.ny[e]), result.ny)
            result.per_length = ti.select(nearer, of.broadcast(face.inverse[e]), result.per_length)
            turned = ti.select(face.code[e] > 2, real(1.0), real(0.0))
            result.turned = ti.select(nearer, of.broadcast(turned), result.turned)
            if ti.static(e > 0):
                result.edge1 = ti.select(nearer, vec(2.0 - e), result.edge1)
                result.edge2 = ti.select(nearer, vec(e - 1.0), result.edge2)
        line = line + face.solid
        far = ti.sqrt(greater(nearest, vec(tiny)))
        inside = line >= 0.0
        result.distance = ti.select(inside, line, 0.0 - far)
        result.inverse = ti.select(inside, 1.0 / far, -1.0 / far)
        # On the edge itself the offset vanishes; the normal still tells where inside is, unless there is none.
        on_line = beyond == face.solid
        result.within = of.one_where(beyond == 0.0)
        by_normal = ti.select(on_line, vec(1.0), across * result.inverse)
        by_edge = ti.select(on_line, vec(0.0), beyond * result.inverse)
        result.gx = by_normal * result.nx + by_edge * result.ux
        result.gy = by_normal * result.ny + by_edge * result.uy
        return result

    return SimpleNamespace(
        rows=rows,
        Face=Face,
        Forms=Forms,
        Foot=Foot,
        face_of=face_of,
        offsets=offsets,
        row_spans=row_spans,
        forms_of=forms_of,
        distance=distance,
        foot=foot,
    )
