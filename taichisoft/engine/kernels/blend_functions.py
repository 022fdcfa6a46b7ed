"""Device functions of a fragment in the pass of occlusion: where its face is seen, and how much it counts.

A face's depth and attributes at a pixel are interpolated, perspective-correctly, at the point of the
triangle nearest to the pixel: the pixel itself inside, its foot on the boundary outside. Weights are
``w = D Z(front - z)`` with the coverage D and the occlusion curve Z, both tabulated.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.arithmetic import lesser
from taichisoft.engine.kernels.curve import lookup_functions


@cache
def blend_functions(real):
    """Return a namespace of device functions for the float type `real`."""
    locate, value, slope = lookup_functions(real)
    vec3 = ti.types.vector(3, real)
    int3 = ti.types.vector(3, ti.i32)

    @ti.func
    def depths_and_inverses(points: ti.template(), faces: ti.template(), face):
        """Depth and inverse w of the three vertices of a face."""
        z = vec3(0.0)
        q = vec3(0.0)
        for e in ti.static(range(3)):
            z[e] = points[4 * faces[3 * face + e] + 2]
            q[e] = points[4 * faces[3 * face + e] + 3]
        return z, q

    @ti.func
    def corners_of(attribute_index: ti.template(), face):
        """Rows of the attributes of the three vertices of a face."""
        index = int3(0)
        for e in ti.static(range(3)):
            index[e] = attribute_index[3 * face + e]
        return index

    @ti.func
    def inverse_heights(v, normal):
        """Per edge, 1 / distance of the opposite vertex from its line; 0 without area."""
        inverse = vec3(0.0)
        for e in ti.static(range(3)):
            k = (e + 2) % 3
            height = normal[e, 0] * (v[k, 0] - v[e, 0]) + normal[e, 1] * (v[k, 1] - v[e, 1])
            inverse[e] = ti.select(height > 0, 1 / height, real(0.0))
        return inverse

    @ti.func
    def barycentric(d, at, along, px, py, v, normal, inverse_height):
        """Barycentric coordinates of the nearest point of the triangle."""
        b = vec3(0.0)
        for e in ti.static(range(3)):
            # Of the vertex opposite to edge e; inside, a ratio of heights over that edge.
            k = (e + 2) % 3
            over = normal[e, 0] * (px - v[e, 0]) + normal[e, 1] * (py - v[e, 1])
            on_edge = ti.select(at == k, 1 - along, ti.select(at == (k + 2) % 3, along, real(0.0)))
            b[k] = ti.select(d >= 0, over * inverse_height[e], on_edge)
        return b

    @ti.func
    def coverage_at(d, curve: ti.template(), cells: ti.template(), pieces: ti.template()):
        """Coverage D and its derivative with respect to the distance in scales."""
        cell, t, dt = locate(d * curve[0], curve, pieces)
        return value(cells, cell, t), slope(cells, cell, t) * dt, cell, t

    @ti.func
    def occlusion_at(u, curve: ti.template(), cells: ti.template(), pieces: ti.template()):
        """Occlusion weight Z and its derivative at a depth difference in gammas (0 in front)."""
        # Rounding may put the front face in front of itself; the curve ends at 0. What is well in front
        # of all that is covered (a straight-through fringe) is not hidden, whatever its depth.
        cell, t, dt = locate(lesser(u, real(0.0)), curve, pieces)
        by_u = ti.select(u < real(1e-3), slope(cells, cell, t) * dt, real(0.0))
        return value(cells, cell, t), by_u, cell, t

    return SimpleNamespace(
        depths_and_inverses=depths_and_inverses,
        corners_of=corners_of,
        inverse_heights=inverse_heights,
        barycentric=barycentric,
        coverage_at=coverage_at,
        occlusion_at=occlusion_at,
    )
