"""Device functions of a fragment in blending: where its face is seen, and how much it counts.

A face's depth and attributes at a pixel are interpolated, perspective-correctly, at the point of the
triangle nearest to the pixel: the pixel itself inside, its foot on the boundary outside. Weights are
``w = D Z(front - z)`` with the coverage D and the occlusion curve Z, both tabulated.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.arithmetic import greater, lesser
from taichisoft.engine.kernels.curve import lookup_functions
from taichisoft.engine.kernels.triangle import geometry_functions

# Depths that differ by less, relative to the farthest corner of a face, are the same but for rounding,
# which is larger the more a face is foreshortened. By bits of the float type.
TIES = {32: 2.0**-17, 64: 2.0**-45}


@cache
def blend_functions(real):
    """Return a namespace of device functions for the float type `real`."""
    geo = geometry_functions(real)
    locate, value, slope = lookup_functions(real)
    tie = TIES[32 if real is ti.f32 else 64]
    vec3 = ti.types.vector(3, real)
    int3 = ti.types.vector(3, ti.i32)
    # Of the vertices of a face: depth, inverse w, rows of the attributes; per edge, see the functions below.
    Corners = ti.types.struct(z=vec3, q=vec3, rows=int3, inverse_height=vec3, inverse_square=vec3)

    @ti.func
    def inverse_heights(triangle: ti.template()):
        """Per edge, 1 / distance of the opposite vertex from its line; 0 without area."""
        v, anchor, normal = ti.static((triangle.v, triangle.anchor, triangle.normal))
        inverse = vec3(0.0)
        for e in ti.static(range(3)):
            k = (e + 2) % 3
            height = normal[e, 0] * (v[k, 0] - anchor[e, 0]) + normal[e, 1] * (
                v[k, 1] - anchor[e, 1]
            )
            inverse[e] = ti.select(height > 0, 1 / height, real(0.0))
        return inverse

    @ti.func
    def inverse_squares(edge):
        """Per edge, 1 / squared length."""
        inverse = vec3(0.0)
        for e in ti.static(range(3)):
            squared = edge[e, 0] * edge[e, 0] + edge[e, 1] * edge[e, 1]
            inverse[e] = 1 / ti.max(squared, real(1e-30))
        return inverse

    @ti.func
    def corners_of(arrays: ti.template(), face, triangle: ti.template()):
        """Read the three vertices of a face."""
        points, faces = ti.static(arrays.raster.corners)
        z = vec3(0.0)
        q = vec3(0.0)
        rows = int3(0)
        for e in ti.static(range(3)):
            z[e] = points[4 * faces[3 * face + e] + 2]
            q[e] = points[4 * faces[3 * face + e] + 3]
            rows[e] = arrays.attributes.index[3 * face + e]
        return Corners(z, q, rows, inverse_heights(triangle), inverse_squares(triangle.edge))

    @ti.func
    def barycentric(d, code, along, px, py, triangle: ti.template(), corners: ti.template()):
        """Barycentric coordinates of the nearest point of the triangle."""
        v, normal = ti.static((triangle.anchor, triangle.normal))
        at, start, end = geo.ends(code, along)
        b = vec3(0.0)
        for e in ti.static(range(3)):
            # Of the vertex opposite to edge e; inside, a ratio of heights over that edge.
            k = (e + 2) % 3
            over = normal[e, 0] * (px - v[e, 0]) + normal[e, 1] * (py - v[e, 1])
            on_edge = ti.select(at == k, start, ti.select(at == (k + 2) % 3, end, real(0.0)))
            b[k] = ti.select(d >= 0, over * corners.inverse_height[e], on_edge)
        return b

    @ti.func
    def vertices_adjoint(
        px,
        py,
        foot: ti.template(),
        b,
        grad_b,
        by_distance,
        triangle: ti.template(),
        corners: ti.template(),
    ):
        """Gradients of x and y of the vertices, from those of barycentric coordinates and of the distance."""
        v, normal = ti.static((triangle.anchor, triangle.normal))
        edge, dual = ti.static((triangle.edge, triangle.dual))
        d, code, along, gx, gy = ti.static(foot)
        at, start, end = geo.ends(code, along)
        grad_x = vec3(0.0)
        grad_y = vec3(0.0)
        # Inside, a fixed pixel: sum_k b_k v_k stays, hence db = -b_m grad(b) . dv_m.
        hx = real(0.0)
        hy = real(0.0)
        for e in ti.static(range(3)):
            by_b = grad_b[(e + 2) % 3] * corners.inverse_height[e]
            hx += by_b * normal[e, 0]
            hy += by_b * normal[e, 1]
        hx = ti.select(d >= 0, hx, real(0.0))
        hy = ti.select(d >= 0, hy, real(0.0))
        # Outside, only the position along the nearest edge moves.
        slides = ti.select(d >= 0, real(0.0), along * (1 - along))
        for e in ti.static(range(3)):
            share = ti.select(
                at == e,
                start,
                ti.select(at == (e + 2) % 3, end, real(0.0)),
            )
            grad_x[e] -= by_distance * share * gx + b[e] * hx
            grad_y[e] -= by_distance * share * gy + b[e] * hy
            # Of the position from the anchor of the edge.
            turned = triangle.code[e] > 2
            by_t = grad_b[(e + 1) % 3] - grad_b[e]
            by_t = ti.select(turned, -by_t, by_t)
            by_t = ti.select(at == e, by_t, real(0.0))
            by_t = ti.select(slides > 0, by_t, real(0.0))
            by_r = by_t * corners.inverse_square[e]
            fx = by_r * (px - v[e, 0] - 2 * along * edge[e, 0])
            fy = by_r * (py - v[e, 1] - 2 * along * edge[e, 1])
            anchor_x = fx + by_t * dual[e, 0]
            anchor_y = fy + by_t * dual[e, 1]
            grad_x[(e + 1) % 3] += ti.select(turned, -anchor_x, fx)
            grad_y[(e + 1) % 3] += ti.select(turned, -anchor_y, fy)
            grad_x[e] -= ti.select(turned, -fx, anchor_x)
            grad_y[e] -= ti.select(turned, -fy, anchor_y)
        return grad_x, grad_y

    @ti.func
    def coverage_at(d, table: ti.template()):
        """Coverage D and its derivative with respect to the distance in scales."""
        cell, t, dt = locate(d * table.numbers[0], table)
        return value(table, cell, t), slope(table, cell, t) * dt, cell, t

    @ti.func
    def gap(front, depth, corners: ti.template()):
        """How far a face is behind the front; 0 if it is so by rounding alone.

        Faces that share an edge are equally deep there. Kernels round their depths differently, so that the
        slope of Z would be counted for one of them and not for the other.
        """
        z = ti.abs(corners.z)
        least = real(tie) * greater(z[0], greater(z[1], z[2]))
        difference = front - depth
        return ti.select(ti.abs(difference) > least, difference, real(0.0))

    @ti.func
    def occlusion_at(u, table: ti.template()):
        """Occlusion weight Z and its derivative at a depth difference in gammas (0 in front)."""
        # Rounding may put the front face in front of itself; the curve ends at 0. What is well in front
        # of all that is covered (a straight-through fringe) is not hidden, whatever its depth.
        cell, t, dt = locate(lesser(u, real(0.0)), table)
        by_u = ti.select(u < real(1e-3), slope(table, cell, t) * dt, real(0.0))
        return value(table, cell, t), by_u, cell, t

    return SimpleNamespace(
        corners_of=corners_of,
        barycentric=barycentric,
        vertices_adjoint=vertices_adjoint,
        coverage_at=coverage_at,
        gap=gap,
        occlusion_at=occlusion_at,
    )
