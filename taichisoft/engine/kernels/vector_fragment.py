"""Device functions of a fragment in whole vectors: the point of a face that is nearest to a pixel.

Depth and attributes are interpolated there, perspective-correctly. What is computed is that of
`taichisoft.engine.kernels.blend_functions`, for a block of pixels at a time.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blend_functions import TIES
from taichisoft.engine.kernels.blocks import block_functions
from taichisoft.engine.kernels.vectors import vector_functions

# Numbers of a face beside its frame: depths, inverse w and their reciprocals of its corners, inverse heights
# over its edges, depths that count as equal, and whole lines of the cache.
DEPTHS = 16


@cache
def vector_fragment_functions(real):
    """Return a namespace of structs and device functions for the float type `real`."""
    of = vector_functions(real)
    geo = block_functions(real)
    vec = of.vec
    vec3 = ti.types.vector(3, real)
    tie = TIES[32 if real is ti.f32 else 64]
    # Of the corners: depth, inverse w and its reciprocal. Of the edges: 1 / distance of the opposite corner
    # (0 without area), and 1 where the edge is measured from its end, else 0.
    Depths = ti.types.struct(
        z=vec3, q=vec3, w=vec3, inverse_height=vec3, turned=vec3, tolerance=real
    )
    # Distances as `block_functions` gives them, shares of the corners, 1 / (sum of b q), depth.
    Fragment = ti.types.struct(
        d=vec,
        normal=vec,
        tangent=vec,
        along=vec,
        edge=vec,
        share0=vec,
        share1=vec,
        share2=vec,
        inverse_sum=vec,
        z=vec,
    )

    # Of the lanes: gradients of x, y, depth and inverse w of a corner.
    Corner = ti.types.struct(x=vec, y=vec, z=vec, q=vec)

    @ti.func
    def store(corners_out: ti.template(), at, corner: ti.template()):
        """Write the gradients of a corner, summed over the lanes."""
        corners_out[at] = corner.x.sum()
        corners_out[at + 1] = corner.y.sum()
        corners_out[at + 2] = corner.z.sum()
        corners_out[at + 3] = corner.q.sum()

    @ti.func
    def set_up(
        corners: ti.template(), face, frames: ti.template(), frame, depths_out: ti.template()
    ):
        """Write what a face has beside its frame, which begins at `frame`."""
        points, faces = ti.static((corners.points, corners.faces))
        at = DEPTHS * face
        largest = real(0.0)
        x = vec3(0.0)
        y = vec3(0.0)
        for e in ti.static(range(3)):
            point = 4 * faces[3 * face + e]
            x[e] = points[point]
            y[e] = points[point + 1]
            z = points[point + 2]
            q = points[point + 3]
            depths_out[at + e] = z
            depths_out[at + 3 + e] = q
            depths_out[at + 6 + e] = 1 / q
            largest = ti.max(largest, ti.abs(z))
        for e in ti.static(range(3)):
            k = ti.static((e + 2) % 3)
            # The unit direction of the edge and its anchor, as they are in the frame.
            fx, fy = frames[frame + 8 * e], frames[frame + 8 * e + 1]
            ux, uy = frames[frame + 8 * e + 2], frames[frame + 8 * e + 3]
            height = frames[frame + 26] * (ux * (y[k] - fy) - uy * (x[k] - fx))
            has_area = height > 0 and frames[frame + 27] == 0
            depths_out[at + 9 + e] = ti.select(has_area, 1 / ti.max(height, real(1e-30)), real(0.0))
        depths_out[at + 12] = real(tie) * largest

    @ti.func
    def read(depths: ti.template(), face: ti.template(), index):
        """Return what a face has beside its frame."""
        result = Depths()
        at = DEPTHS * index
        for e in ti.static(range(3)):
            result.z[e] = depths[at + e]
            result.q[e] = depths[at + 3 + e]
            result.w[e] = depths[at + 6 + e]
            result.inverse_height[e] = depths[at + 9 + e]
            result.turned[e] = ti.select(face.low[e] < 0, real(1.0), real(0.0))
        result.tolerance = depths[at + 12]
        return result

    @ti.func
    def masks(edge):
        """Return 1 where the nearest edge is 0, 1, 2, else 0."""
        none = vec(0.0)
        one = vec(1.0)
        return (
            ti.select(edge == 0.0, one, none),
            ti.select(edge == 1.0, one, none),
            ti.select(edge == 2.0, one, none),
        )

    @ti.func
    def of_edge(edge, numbers):
        """Return of three numbers that of the nearest edge."""
        last = ti.select(edge == 2.0, of.broadcast(numbers[2]), of.broadcast(numbers[1]))
        return ti.select(edge == 0.0, of.broadcast(numbers[0]), last)

    @ti.func
    def from_start(depths: ti.template(), along, edge):
        """Return the position along the nearest edge from its start."""
        flip = of_edge(edge, depths.turned)
        sign = 1.0 - 2.0 * flip
        return flip + along * sign

    @ti.func
    def at(face: ti.template(), depths: ti.template(), forms: ti.template(), x):
        """Return the fragments of a block, `x` pixels to the right of the forms."""
        d, across, beyond, along, second, third, inverse = geo.nearest_edge(face, forms, x)
        a0, _ = geo.edge_forms(face, forms, 0, x)
        a1, _ = geo.edge_forms(face, forms, 1, x)
        a2, _ = geo.edge_forms(face, forms, 2, x)
        edge = ti.select(third, vec(2.0), ti.select(second, vec(1.0), vec(0.0)))
        end = from_start(depths, along, edge)
        start = 1.0 - end
        none = vec(0.0)
        inside = d >= 0.0
        is0 = edge == 0.0
        is1 = edge == 1.0
        outside0 = ti.select(is0, start, ti.select(is1, none, end))
        outside1 = ti.select(is0, end, ti.select(is1, start, none))
        outside2 = ti.select(is0, none, ti.select(is1, end, start))
        b0 = ti.select(inside, a1 * of.broadcast(depths.inverse_height[1]), outside0)
        b1 = ti.select(inside, a2 * of.broadcast(depths.inverse_height[2]), outside1)
        b2 = ti.select(inside, a0 * of.broadcast(depths.inverse_height[0]), outside2)
        q0 = b0 * of.broadcast(depths.q[0])
        q1 = b1 * of.broadcast(depths.q[1])
        q2 = b2 * of.broadcast(depths.q[2])
        r = 1.0 / (q0 + q1 + q2)
        result = Fragment()
        result.d = d
        result.normal = ti.select(beyond == face.solid, vec(1.0), across * inverse)
        result.tangent = beyond * inverse
        result.along = along
        result.edge = edge
        result.share0 = q0 * r
        result.share1 = q1 * r
        result.share2 = q2 * r
        result.inverse_sum = r
        # Of a level face to the last bit: which of several is seen is decided by their numbers.
        near = of.broadcast(depths.z[0])
        result.z = near + (
            result.share1 * of.broadcast(depths.z[1] - depths.z[0])
            + result.share2 * of.broadcast(depths.z[2] - depths.z[0])
        )
        return result

    @ti.func
    def blended(numbers, share0, share1, share2):
        """Return the numbers of the corners, interpolated."""
        return (
            share0 * of.broadcast(numbers[0])
            + share1 * of.broadcast(numbers[1])
            + share2 * of.broadcast(numbers[2])
        )

    return SimpleNamespace(
        Corner=Corner,
        Depths=Depths,
        Fragment=Fragment,
        set_up=set_up,
        store=store,
        read=read,
        masks=masks,
        of_edge=of_edge,
        from_start=from_start,
        at=at,
        blended=blended,
    )
