"""Device functions of a triangle whose vertices move: how its distance moves, and the derivatives of that.

In blocks of pixels, one pixel a lane: see `taichisoft.engine.kernels.blocks`. The nearest point of the
boundary, the foot, is ``f = (1 - t) a + t b``, where a is the anchor of its edge and b the other end. With g
the gradient of the distance d by the pixel, moving the ends by a' and b' moves the distance by

    d' = -g.w,  w = a' + t E',  E' = b' - a'.

The derivatives of d are those of d' with another motion: ``d(d) = -g.(da + t dE)``. Those of d' depend on
where the foot is. Within an edge, of direction u and length L, g is a normal. It turns by
``dg = -u (g.dE) / L``, and the foot slides by ``dt = (d (g.dE) / L - u.(da + t dE)) / L``, so that

    d(d') = (g.dE) ((u.w) / L - d (g.E') / L^2) + (g.E') / L  u.(da + t dE).

At a vertex t is fixed and g is the direction to it, ``dg = -(dw - g (g.dw)) / d`` with ``dw = da + t dE``,
so that

    d(d') = (w - g (g.w)).dw / d.

Both have the form ``p.(da + t dE) + q g.dE``. Own derivation. Vectors are written in the frame of the edge,
by its normal inwards and its direction, in which they are sums of few terms.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blocks import block_functions
from taichisoft.engine.kernels.triangle import FAR_AWAY
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def motion_functions(real):
    """Return a namespace of structs and device functions for the float type `real`."""
    of = vector_functions(real)
    geo = block_functions(real)
    vec = of.vec
    vec3 = ti.types.vector(3, real)
    # Nearer to a vertex than vertices are rounded there is no direction to it, hence no turn of it.
    nearest = FAR_AWAY * (1.2e-7 if real is ti.f32 else 2.3e-16)
    most_squared = 1 / nearest**2
    # Per edge, in its frame: motion of the anchor, and of the other end relative to it. Inverse length, its
    # sign that of the direction from the anchor to the other end.
    FaceMotion = ti.types.struct(an=vec3, at=vec3, en=vec3, et=vec3, inverse=vec3)
    # Distance, its gradient g, its motion d', position along the edge from the anchor, number of the edge.
    Moved = ti.types.struct(distance=vec, gn=vec, gt=vec, motion=vec, along=vec, edge=vec)
    # The p and q of the derivatives of d'.
    Turn = ti.types.struct(pn=vec, pt=vec, q=vec)

    @ti.func
    def face_motion(face: ti.template(), faces: ti.template(), tangents: ti.template(), index):
        """Return the `FaceMotion` of a face, given tangents of points, (P * 4)."""
        motion = FaceMotion()
        for e in ti.static(range(3)):
            start = 4 * faces[3 * index + e]
            end = 4 * faces[3 * index + (e + 1) % 3]
            turned = face.low[e] < 0
            anchor = ti.select(turned, end, start)
            other = ti.select(turned, start, end)
            ax = tangents[anchor]
            ay = tangents[anchor + 1]
            ex = tangents[other] - ax
            ey = tangents[other + 1] - ay
            nx = 0 - face.winding * face.uy[e]
            ny = face.winding * face.ux[e]
            motion.an[e] = nx * ax + ny * ay
            motion.at[e] = face.ux[e] * ax + face.uy[e] * ay
            motion.en[e] = nx * ex + ny * ey
            motion.et[e] = face.ux[e] * ex + face.uy[e] * ey
            motion.inverse[e] = ti.select(turned, 0 - face.inverse[e], face.inverse[e])
        return motion

    @ti.func
    def pick(numbers: ti.template(), second, third):
        """Return of three numbers that of the edge of each lane."""
        one = ti.select(second, of.broadcast(numbers[1]), of.broadcast(numbers[0]))
        return ti.select(third, of.broadcast(numbers[2]), one)

    @ti.func
    def moved(
        face: ti.template(), motion: ti.template(), forms: ti.template(), x, turns: ti.template()
    ):
        """Return `Moved` and, if it `turns`, `Turn`, `x` pixels to the right of the forms."""
        distance, across, beyond, along, second, third, inverse = geo.nearest_edge(face, forms, x)
        # On the edge itself the offset vanishes; the normal still tells where inside is, if there is one.
        gn = ti.select(beyond == face.solid, vec(1.0), across * inverse)
        gt = beyond * inverse
        end_n = pick(motion.en, second, third)
        end_t = pick(motion.et, second, third)
        wn = pick(motion.an, second, third) + along * end_n
        wt = pick(motion.at, second, third) + along * end_t
        ahead = gn * wn + gt * wt
        edge = ti.select(third, vec(2.0), ti.select(second, vec(1.0), vec(0.0)))
        result = Moved(distance, gn, gt, 0.0 - ahead, along, edge)
        turn = Turn()
        if ti.static(turns):
            per_length = pick(motion.inverse, second, third)
            close = inverse * inverse > most_squared
            per_gap = ti.select(close, vec(0.0), inverse)
            slide = gn * end_n * per_length
            # An edge without length is a vertex.
            vertex = ti.select(per_length == 0.0, vec(1.0), beyond) != 0.0
            turn.pn = ti.select(vertex, (wn - gn * ahead) * per_gap, vec(0.0))
            turn.pt = ti.select(vertex, (wt - gt * ahead) * per_gap, slide)
            turn.q = ti.select(vertex, vec(0.0), (wt - slide * distance) * per_length)
        return result, turn

    @ti.func
    def add_edge(sums: ti.template(), here, normal, tangent, normal_far, tangent_far):
        none = vec(0.0)
        sums.normal = sums.normal + ti.select(here, normal, none)
        sums.tangent = sums.tangent + ti.select(here, tangent, none)
        sums.normal_far = sums.normal_far + ti.select(here, normal_far, none)
        sums.tangent_far = sums.tangent_far + ti.select(here, tangent_far, none)

    @ti.func
    def add(sums: ti.template(), edge, normal, tangent, normal_far, tangent_far):
        """Add gradients to the `EdgeSums` of `taichisoft.engine.kernels.edge_sums` of the three edges."""
        edge0, edge1, edge2 = ti.static(sums)
        add_edge(edge0, edge == 0.0, normal, tangent, normal_far, tangent_far)
        add_edge(edge1, edge == 1.0, normal, tangent, normal_far, tangent_far)
        add_edge(edge2, edge == 2.0, normal, tangent, normal_far, tangent_far)

    return SimpleNamespace(face_motion=face_motion, moved=moved, add=add)
