"""Device functions of a triangle whose vertices move: how its distance moves, and the derivatives of that.

In blocks of pixels, one pixel a lane: see `taichisoft.engine.kernels.blocks`, whose `Foot` is the nearest
point of the boundary. A foot on an edge from a to b is ``f = (1 - t) a + t b``. With g the gradient of the
distance d by the pixel, moving the ends by a' and b' moves the distance by

    d' = -g.w,  w = a' + t E',  E' = b' - a'.

The derivatives of d are those of d' with another motion: ``d(d) = -g.(da + t dE)``. Those of d' depend on
where the foot is. Within an edge, of direction u and length L, g is a normal. It turns by
``dg = -u (g.dE) / L``, and the foot slides by ``dt = (d (g.dE) / L - u.(da + t dE)) / L``, so that

    d(d') = (g.dE) ((u.w) / L - d (g.E') / L^2) + (g.E') / L  u.(da + t dE).

At a vertex t is fixed and g is the direction to it, ``dg = -(dw - g (g.dw)) / d`` with ``dw = da + t dE``,
so that

    d(d') = (w - g (g.w)).dw / d.

Both have the form ``p.(da + t dE) + q g.dE``. Own derivation.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.triangle import FAR_AWAY
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def motion_functions(real):
    """Return a namespace of structs and device functions for the float type `real`."""
    of = vector_functions(real)
    vec = of.vec
    vec3 = ti.types.vector(3, real)
    # Nearer to a vertex than vertices are rounded there is no direction to it, hence no turn of it.
    nearest = FAR_AWAY * (1.2e-7 if real is ti.f32 else 2.3e-16)
    most_squared = 1 / nearest**2
    # Motions of the three vertices.
    FaceMotion = ti.types.struct(x=vec3, y=vec3)
    # Of the foot of each pixel, and of the end of its edge relative to the start.
    FootMotion = ti.types.struct(wx=vec, wy=vec, ex=vec, ey=vec)
    # The p and q of the derivatives of d'.
    Turn = ti.types.struct(px=vec, py=vec, q=vec)
    # Gradients of x and y of the three vertices.
    Corners = ti.types.struct(x0=vec, y0=vec, x1=vec, y1=vec, x2=vec, y2=vec)

    @ti.func
    def face_motion(faces: ti.template(), tangents: ti.template(), index):
        """Return the `FaceMotion` of a face, given tangents of points, (P * 4)."""
        motion = FaceMotion()
        for e in ti.static(range(3)):
            at = 4 * faces[3 * index + e]
            motion.x[e] = tangents[at]
            motion.y[e] = tangents[at + 1]
        return motion

    @ti.func
    def ends_of(foot: ti.template(), numbers: ti.template()):
        """Return of a number of each vertex those of the start and of the end of the edge of each foot."""
        edge0 = 1.0 - foot.edge1 - foot.edge2
        start = edge0 * numbers[0] + foot.edge1 * numbers[1] + foot.edge2 * numbers[2]
        end = edge0 * numbers[1] + foot.edge1 * numbers[2] + foot.edge2 * numbers[0]
        return start, end

    @ti.func
    def foot_motion(foot: ti.template(), motion: ti.template()):
        """Return the `FootMotion` of feet on a face."""
        ax, bx = ends_of(foot, motion.x)
        ay, by = ends_of(foot, motion.y)
        # Not a + t E: of a far end the share is small, and its motion may be large.
        wx = foot.start * ax + foot.end * bx
        wy = foot.start * ay + foot.end * by
        return FootMotion(wx, wy, bx - ax, by - ay)

    @ti.func
    def distance_motion(foot: ti.template(), moved: ti.template()):
        """Return d', given a `FootMotion`."""
        return 0.0 - (foot.gx * moved.wx + foot.gy * moved.wy)

    @ti.func
    def turn(foot: ti.template(), moved: ti.template()):
        """Return the `Turn` of d', given a `FootMotion`."""
        # An edge without length is a vertex.
        on_edge = foot.within * foot.per_length > 0.0
        gap = foot.inverse * foot.inverse
        inverse = ti.select(gap > most_squared, vec(0.0), foot.inverse)
        across = (foot.gx * moved.ex + foot.gy * moved.ey) * foot.per_length
        aside = (foot.gx * moved.wy - foot.gy * moved.wx) * inverse
        ahead = (foot.ux * moved.wx + foot.uy * moved.wy) - across * foot.distance
        return Turn(
            ti.select(on_edge, across * foot.ux, 0.0 - aside * foot.gy),
            ti.select(on_edge, across * foot.uy, aside * foot.gx),
            ti.select(on_edge, ahead * foot.per_length, vec(0.0)),
        )

    @ti.func
    def add_corners(edge, start_x, start_y, end_x, end_y, sums: ti.template()):
        """Add to `Corners` the gradients of the ends of the edges of this number."""
        none = vec(0.0)
        is0 = edge == 0.0
        is1 = edge == 1.0
        is2 = edge == 2.0
        sums.x0 = sums.x0 + ti.select(is0, start_x, ti.select(is2, end_x, none))
        sums.y0 = sums.y0 + ti.select(is0, start_y, ti.select(is2, end_y, none))
        sums.x1 = sums.x1 + ti.select(is1, start_x, ti.select(is0, end_x, none))
        sums.y1 = sums.y1 + ti.select(is1, start_y, ti.select(is0, end_y, none))
        sums.x2 = sums.x2 + ti.select(is2, start_x, ti.select(is1, end_x, none))
        sums.y2 = sums.y2 + ti.select(is2, start_y, ti.select(is1, end_y, none))

    return SimpleNamespace(
        Corners=Corners,
        face_motion=face_motion,
        foot_motion=foot_motion,
        distance_motion=distance_motion,
        turn=turn,
        add_corners=add_corners,
    )
