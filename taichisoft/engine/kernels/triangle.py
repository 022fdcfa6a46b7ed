"""Device functions of one triangle in pixel coordinates: set-up, columns in reach, distance, foot point.

Vertices are rows of a 3 x 2 matrix. Edge ``e`` runs from vertex ``e`` to vertex ``(e + 1) % 3``. Unit
normals point inside whatever the winding, so distances are positive inside. A triangle without area has
no inside: it is the limit of ever thinner triangles, a segment or a point seen from outside.

An edge is measured from the one of its ends that is nearer to the first pixel: far from the image numbers are
far apart, and two faces that share an edge must measure it from the same end, so that a pixel on it is inside
one of them. If that is the end of the edge it is turned. Which edge a pixel is nearest to is told by a code,
``e``, or ``e + 3`` if that edge is turned.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.arithmetic import clip, greater, lesser

# Rows, and pixels of a row, that a worker takes together: as many as fit a vector register of a CPU. On a GPU
# the workers themselves are the lanes.
CPU_LANES = 8
GPU_LANES = 1
# Pixels from the first one: beyond, float32 moves a vertex by more than 1e-4 pixels.
FAR_AWAY = 1024.0


@cache
def geometry_functions(real, lanes=GPU_LANES):
    """Return a namespace of device functions for the float type `real` and a number of rows at a time."""
    mat32 = ti.types.matrix(3, 2, real)
    vec3 = ti.types.vector(3, real)
    int3 = ti.types.vector(3, ti.i32)
    lanes_int = ti.types.vector(lanes, ti.i32)
    # Tiny enough to be no length, large enough that its reciprocal is finite in float32.
    tiny = 1e-30
    # Vertices; per edge, what `edge_frames` gives; see `solidity`.
    Triangle = ti.types.struct(
        v=mat32, anchor=mat32, normal=mat32, edge=mat32, dual=mat32, code=int3, solid=real
    )
    # Smallest and largest x, inverse slopes of the edges, how far it reaches, width of the image.
    Bounds = ti.types.struct(left=real, right=real, inverse=vec3, reach=real, width=ti.i32)

    @ti.func
    def vertices(corners: ti.template(), face):
        """Pixel coordinates of the three vertices of a face."""
        v = mat32(0.0)
        for e in ti.static(range(3)):
            at = 4 * corners.faces[3 * face + e]
            v[e, 0] = corners.points[at]
            v[e, 1] = corners.points[at + 1]
        return v

    @ti.func
    def corner_area(v):
        """Twice the signed area, and what it is compared with: the product of the two shorter edges.

        Of the corner between those, where a product of edges rounds least.
        """
        squared = vec3(0.0)
        cross = vec3(0.0)
        for e in ti.static(range(3)):
            # The edges that leave and enter vertex e.
            ex = v[(e + 1) % 3, 0] - v[e, 0]
            ey = v[(e + 1) % 3, 1] - v[e, 1]
            fx = v[(e + 2) % 3, 0] - v[e, 0]
            fy = v[(e + 2) % 3, 1] - v[e, 1]
            squared[e] = ex * ex + ey * ey
            cross[e] = ex * fy - ey * fx
        # The first vertex, unless the edge opposite to it is shorter than another one.
        area = cross[0]
        first = squared[0]
        second = squared[2]
        if squared[2] > ti.max(squared[0], squared[1]):
            area = cross[1]
            second = squared[1]
        elif squared[0] > squared[1]:
            area = cross[2]
            first = squared[1]
        return area, ti.sqrt(first) * ti.sqrt(second)

    @ti.func
    def is_turned(start_x, start_y, end_x, end_y):
        """Return whether an edge is measured from its end, which then is nearer to the first pixel."""
        start = start_x * start_x + start_y * start_y
        end = end_x * end_x + end_y * end_y
        level = ti.select(start_x == end_x, start_y > end_y, start_x > end_x)
        return ti.select(start == end, level, start > end)

    @ti.func
    def edge_frames(v):
        """Per edge, from the end that it is measured from, its anchor.

        Anchor, inward unit normal, edge vector, edge vector over its squared length (0 if none), code.
        """
        anchor = mat32(0.0)
        normal = mat32(0.0)
        edge = mat32(0.0)
        dual = mat32(0.0)
        code = int3(0)
        area, _ = corner_area(v)
        winding = ti.select(area > 0, real(1.0), real(-1.0))
        for e in ti.static(range(3)):
            turned = is_turned(v[e, 0], v[e, 1], v[(e + 1) % 3, 0], v[(e + 1) % 3, 1])
            sign = ti.select(turned, real(-1.0), real(1.0))
            ex = sign * (v[(e + 1) % 3, 0] - v[e, 0])
            ey = sign * (v[(e + 1) % 3, 1] - v[e, 1])
            squared = ex * ex + ey * ey
            inverse = ti.select(squared > tiny, 1 / ti.max(squared, tiny), real(0.0))
            unit = sign * winding * ti.sqrt(inverse)
            anchor[e, 0] = ti.select(turned, v[(e + 1) % 3, 0], v[e, 0])
            anchor[e, 1] = ti.select(turned, v[(e + 1) % 3, 1], v[e, 1])
            normal[e, 0] = -ey * unit
            normal[e, 1] = ex * unit
            edge[e, 0] = ex
            edge[e, 1] = ey
            dual[e, 0] = ex * inverse
            dual[e, 1] = ey * inverse
            code[e] = ti.select(turned, e + 3, e)
        return anchor, normal, edge, dual, code

    @ti.func
    def solidity(v):
        """0 for a triangle with area, a negative number that rules out an inside for one without.

        Two edges within 1e-7 of one direction are rounding noise in float32, their winding a coin toss.
        """
        area, shorter = corner_area(v)
        return ti.select(ti.abs(area) > 1e-7 * ti.max(shorter, real(1e-13)), real(0.0), real(-1e30))

    @ti.func
    def inverse_slopes(normal, solid):
        """1 / normal.x per edge; 0 for an edge that bounds no row.

        That is one that is (nearly) horizontal, and any of a triangle without area: it has no inside.
        """
        inverse = vec3(0.0)
        for e in ti.static(range(3)):
            steep = ti.abs(normal[e, 0]) + solid > 1e-6
            inverse[e] = ti.select(steep, 1 / ti.select(steep, normal[e, 0], real(1.0)), real(0.0))
        return inverse

    @ti.func
    def bounds(triangle: ti.template(), reach, width):
        """Set up what `row_span` needs besides."""
        v, normal = ti.static((triangle.v, triangle.normal))
        left = lesser(v[0, 0], lesser(v[1, 0], v[2, 0]))
        right = greater(v[0, 0], greater(v[1, 0], v[2, 0]))
        inverse = inverse_slopes(normal, triangle.solid)
        return Bounds(left, right, inverse, reach, width)

    @ti.func
    def row_span(triangle: ti.template(), bounds: ti.template(), py):
        """First and past-last column whose centre may be within reach of the triangle in a row.

        The triangle grown by its reach lies in its grown box and in its three grown half-planes.
        """
        v, normal, inverse = ti.static((triangle.anchor, triangle.normal, bounds.inverse))
        low = bounds.left - bounds.reach
        high = bounds.right + bounds.reach
        for e in ti.static(range(3)):
            x = v[e, 0] - (bounds.reach + normal[e, 1] * (py - v[e, 1])) * inverse[e]
            low = ti.select(inverse[e] > 0, greater(low, x), low)
            high = ti.select(inverse[e] < 0, lesser(high, x), high)
        # Column j has its centre at j + 1/2; both ends stay in the range of an integer.
        edge_of_image = ti.cast(bounds.width, real)
        first = ti.ceil(clip(low - real(0.5), real(0.0), edge_of_image))
        last = ti.floor(clip(high - real(0.5), real(-1.0), edge_of_image - 1))
        return ti.cast(first, ti.i32), ti.cast(last, ti.i32) + 1

    @ti.func
    def row_spans(triangle: ti.template(), bounds: ti.template(), row):
        """First and past-last columns of `lanes` rows: together they vectorise."""
        begins = lanes_int(0)
        ends = lanes_int(0)
        for lane in range(lanes):
            begin, end = row_span(triangle, bounds, row + lane + real(0.5))
            begins[lane] = begin
            ends[lane] = end
        return begins, ends

    @ti.func
    def signed_distance(px, py, triangle: ti.template()):
        """Signed Euclidean distance to the boundary, without branches so that it vectorises."""
        v, normal, edge = ti.static((triangle.anchor, triangle.normal, triangle.edge))
        dual, solid = ti.static((triangle.dual, triangle.solid))
        line = real(1e30)
        nearest = real(1e30)
        for e in ti.static(range(3)):
            rx = px - v[e, 0]
            ry = py - v[e, 1]
            across = normal[e, 0] * rx + normal[e, 1] * ry
            line = lesser(line, across)
            along = rx * dual[e, 0] + ry * dual[e, 1]
            t = clip(along, real(0.0), real(1.0))
            qx = rx - t * edge[e, 0]
            qy = ry - t * edge[e, 1]
            # Where the foot lies inside the edge the line distance is exact and free of cancellation.
            # (`t + solid` also rules out triangles without area; SPIR-V has no `&` of conditions.)
            on_line = along == t + solid
            nearest = lesser(nearest, ti.select(on_line, across * across, qx * qx + qy * qy))
        line += solid
        return ti.select(line >= 0, line, -ti.sqrt(greater(nearest, real(tiny))))

    @ti.func
    def foot_point(px, py, triangle: ti.template()):
        """Return the nearest boundary point.

        Signed distance, the code of its edge, its position along the edge in [0, 1] from the anchor, and the
        gradient of the distance with respect to the pixel (a unit vector).
        """
        v, normal, edge = ti.static((triangle.anchor, triangle.normal, triangle.edge))
        dual, solid = ti.static((triangle.dual, triangle.solid))
        line = real(1e30)
        nearest = real(1e30)
        at = 0
        t = real(0.0)
        gx = real(0.0)
        gy = real(0.0)
        length = real(1.0)
        for e in ti.static(range(3)):
            rx = px - v[e, 0]
            ry = py - v[e, 1]
            across = normal[e, 0] * rx + normal[e, 1] * ry
            line = lesser(line, across)
            along = rx * dual[e, 0] + ry * dual[e, 1]
            u = clip(along, real(0.0), real(1.0))
            qx = rx - u * edge[e, 0]
            qy = ry - u * edge[e, 1]
            on_line = along == u + solid
            squared = ti.select(on_line, across * across, qx * qx + qy * qy)
            nearer = squared < nearest
            nearest = ti.select(nearer, squared, nearest)
            at = ti.select(nearer, triangle.code[e], at)
            t = ti.select(nearer, u, t)
            # On the edge itself the offset vanishes; the normal still tells where inside is.
            gx = ti.select(nearer, ti.select(on_line, normal[e, 0], -qx), gx)
            gy = ti.select(nearer, ti.select(on_line, normal[e, 1], -qy), gy)
            length = ti.select(nearer, ti.select(on_line, real(1.0), real(0.0)), length)
        line += solid
        d = ti.sqrt(greater(nearest, real(tiny)))
        # A normal has length 1, an offset has length d.
        unit = 1 / greater(length, d * (1 - length))
        return ti.select(line >= 0, line, -d), at, t, gx * unit, gy * unit

    @ti.func
    def ends(code, along):
        """Return the edge of a code, and the shares of its start and its end in a point along it."""
        edge = ti.select(code > 2, code - 3, code)
        start = ti.select(code > 2, along, 1 - along)
        end = ti.select(code > 2, 1 - along, along)
        return edge, start, end

    @ti.func
    def triangle(corners: ti.template(), face):
        """Set a face up."""
        v = vertices(corners, face)
        anchor, normal, edge, dual, code = edge_frames(v)
        return Triangle(v, anchor, normal, edge, dual, code, solidity(v))

    return SimpleNamespace(
        Triangle=Triangle,
        vertices=vertices,
        triangle=triangle,
        bounds=bounds,
        row_span=row_span,
        row_spans=row_spans,
        signed_distance=signed_distance,
        foot_point=foot_point,
        ends=ends,
    )
