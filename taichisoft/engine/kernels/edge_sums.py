"""Gradients of the ends of edges, summed in the frames of the edges and turned into x and y once a face.

In blocks of pixels, one pixel a lane: see `taichisoft.engine.kernels.blocks`. The frame is the inward normal
of an edge and its direction.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def edge_sum_functions(real):
    """Return the struct and the device functions for the float type `real`."""
    vec = vector_functions(real).vec
    # Of each lane: gradients of the motion of the foot, and of that of the end that is no anchor.
    EdgeSums = ti.types.struct(normal=vec, tangent=vec, normal_far=vec, tangent_far=vec)

    @ti.func
    def by_ends(face: ti.template(), sums: ti.template(), e: ti.template()):
        """Return the gradients of x and y of the start and the end of an edge, of each lane."""
        nx = 0 - face.winding * face.uy[e]
        ny = face.winding * face.ux[e]
        normal = sums.normal - sums.normal_far
        tangent = sums.tangent - sums.tangent_far
        near_x = normal * nx + tangent * face.ux[e]
        near_y = normal * ny + tangent * face.uy[e]
        far_x = sums.normal_far * nx + sums.tangent_far * face.ux[e]
        far_y = sums.normal_far * ny + sums.tangent_far * face.uy[e]
        turned = vec(face.low[e]) < 0.0
        return (
            ti.select(turned, far_x, near_x),
            ti.select(turned, far_y, near_y),
            ti.select(turned, near_x, far_x),
            ti.select(turned, near_y, far_y),
        )

    @ti.func
    def store(corners_out: ti.template(), item, face: ti.template(), sums: ti.template()):
        """Write the gradients of x and y of the vertices of a face, (3 * 2)."""
        edge0, edge1, edge2 = ti.static(sums)
        sx0, sy0, ex0, ey0 = by_ends(face, edge0, 0)
        sx1, sy1, ex1, ey1 = by_ends(face, edge1, 1)
        sx2, sy2, ex2, ey2 = by_ends(face, edge2, 2)
        corners_out[6 * item] = (sx0 + ex2).sum()
        corners_out[6 * item + 1] = (sy0 + ey2).sum()
        corners_out[6 * item + 2] = (sx1 + ex0).sum()
        corners_out[6 * item + 3] = (sy1 + ey0).sum()
        corners_out[6 * item + 4] = (sx2 + ex1).sum()
        corners_out[6 * item + 5] = (sy2 + ey1).sum()

    return SimpleNamespace(EdgeSums=EdgeSums, store=store)
