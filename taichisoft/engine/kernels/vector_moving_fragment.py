"""Device functions of a fragment in whole vectors whose face moves: its rates, and those of its adjoint.

What `taichisoft.engine.kernels.vector_fragment` gives moves when the corners of the face do. Of an edge with
the unit direction u, the inward normal n, the length L and the anchor A, with w the winding (1 or -1), a turn
at the rate o takes u to ``w o n`` and n to ``-w o u``; so the distance across, ``a = n.(p - A)``, and the
position along, ``c = u.(p - A)``, of a pixel p move by

    a' = -w o c - n.A',   c' = w o a - u.A',   L' = L e,

where o and e are the components of (b' - a') / L across and along the edge. Everything else of a fragment is
made of these by products and quotients. Names that end in ``_dot`` are rates. Own derivation.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blocks import block_functions
from taichisoft.engine.kernels.triangle import FAR_AWAY
from taichisoft.engine.kernels.vector_fragment import vector_fragment_functions
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def moving_fragment_functions(real):
    """Return a namespace of structs and device functions for the float type `real`."""
    of = vector_functions(real)
    geo = block_functions(real)
    fragment = vector_fragment_functions(real)
    vec = of.vec
    vec3 = ti.types.vector(3, real)
    # Nearer to a vertex than vertices are rounded there is no direction to it, hence no turn of it.
    nearest = FAR_AWAY * (1.2e-7 if real is ti.f32 else 2.3e-16)
    # Of the edges: motion of the anchor across and along, turn, L'/L, rate of the inverse height. Of the
    # corners: depth and inverse w.
    FaceMotion = ti.types.struct(
        across=vec3, along=vec3, turn=vec3, stretch=vec3, inverse_height=vec3, z=vec3, q=vec3
    )
    # The rates of `Fragment`.
    Moved = ti.types.struct(
        d=vec,
        normal=vec,
        tangent=vec,
        along=vec,
        share0=vec,
        share1=vec,
        share2=vec,
        inverse_sum=vec,
        z=vec,
    )
    # Gradients of the depth, of the shares and of the distance, and their rates.
    Upstream = ti.types.struct(
        d=vec,
        share0=vec,
        share1=vec,
        share2=vec,
        d_dot=vec,
        share0_dot=vec,
        share1_dot=vec,
        share2_dot=vec,
    )

    @ti.func
    def motion_of(
        face: ti.template(),
        depths: ti.template(),
        corners: ti.template(),
        rates: ti.template(),
        index,
    ):
        """Return the `FaceMotion` of a face, given rates of the points, (P * 4)."""
        result = FaceMotion()
        for e in ti.static(range(3)):
            after = ti.static((e + 1) % 3)
            start = 4 * corners[3 * index + e]
            end = 4 * corners[3 * index + after]
            third = 4 * corners[3 * index + (e + 2) % 3]
            anchor = ti.select(face.low[e] < 0, end, start)
            ux = face.ux[e]
            uy = face.uy[e]
            nx = 0 - face.winding * uy
            ny = face.winding * ux
            ex = rates[end] - rates[start]
            ey = rates[end + 1] - rates[start + 1]
            turn = (ux * ey - uy * ex) * face.inverse[e]
            result.across[e] = nx * rates[anchor] + ny * rates[anchor + 1]
            result.along[e] = ux * rates[anchor] + uy * rates[anchor + 1]
            result.turn[e] = turn
            result.stretch[e] = (ux * ex + uy * ey) * face.inverse[e]
            # The height is the distance of the third corner from the end, across.
            ahead = ux * face.ux[after] + uy * face.uy[after]
            ahead *= face.high[after] - face.low[after]
            height = nx * (rates[third] - rates[end]) + ny * (rates[third + 1] - rates[end + 1])
            height -= face.winding * turn * ahead
            inverse = depths.inverse_height[e]
            result.inverse_height[e] = 0 - inverse * inverse * height
            result.z[e] = rates[start + 2]
            result.q[e] = rates[start + 3]
        return result

    @ti.func
    def picked(numbers: ti.template(), m0, m1, m2):
        """Return of three numbers that of the edge of each lane."""
        return (
            m0 * of.broadcast(numbers[0])
            + m1 * of.broadcast(numbers[1])
            + m2 * of.broadcast(numbers[2])
        )

    @ti.func
    def times(a, a_dot, b, b_dot):
        """Return a product and its rate."""
        return a * b, a_dot * b + a * b_dot

    @ti.func
    def at_vertex(inverse, tangent):
        """Return 1 where the foot is a vertex; an edge without length is one."""
        beyond = ti.select(tangent == 0.0, vec(0.0), vec(1.0))
        return ti.select(inverse == 0.0, vec(1.0), beyond)

    @ti.func
    def moved(
        face: ti.template(),
        depths: ti.template(),
        motion: ti.template(),
        forms: ti.template(),
        found: ti.template(),
    ):
        """Return the rates of a `Fragment` at the block of the forms."""
        wind = face.winding
        a0_dot = (0 - wind * motion.turn[0]) * forms.u0 - motion.across[0]
        a1_dot = (0 - wind * motion.turn[1]) * forms.u1 - motion.across[1]
        a2_dot = (0 - wind * motion.turn[2]) * forms.u2 - motion.across[2]
        m0, m1, m2 = fragment.masks(found.edge)
        across = m0 * a0_dot + m1 * a1_dot + m2 * a2_dot
        slide = (
            m0 * ((wind * motion.turn[0]) * forms.a0 - motion.along[0])
            + m1 * ((wind * motion.turn[1]) * forms.a1 - motion.along[1])
            + m2 * ((wind * motion.turn[2]) * forms.a2 - motion.along[2])
        )
        stretch = picked(motion.stretch, m0, m1, m2)
        inverse = picked(face.inverse, m0, m1, m2)
        length = picked(face.high, m0, m1, m2) - picked(face.low, m0, m1, m2)
        sign = 1.0 - 2.0 * picked(depths.turned, m0, m1, m2)
        vertex = at_vertex(inverse, found.tangent)
        result = Moved()
        beyond = vertex * (slide - found.along * sign * length * stretch)
        result.along = (1.0 - vertex) * (slide * sign * inverse - found.along * stretch)
        d_dot = found.normal * across + found.tangent * beyond
        result.d = d_dot
        gap = of.greater(found.d, 0.0 - found.d)
        per_gap = ti.select(gap < nearest, vec(0.0), vertex / found.d)
        result.normal = (across - found.normal * d_dot) * per_gap
        result.tangent = (beyond - found.tangent * d_dot) * per_gap
        end_dot = sign * result.along
        inside = found.d >= 0.0
        b0_dot = a1_dot * of.broadcast(depths.inverse_height[1])
        b0_dot = b0_dot + forms.a1 * of.broadcast(motion.inverse_height[1])
        b1_dot = a2_dot * of.broadcast(depths.inverse_height[2])
        b1_dot = b1_dot + forms.a2 * of.broadcast(motion.inverse_height[2])
        b2_dot = a0_dot * of.broadcast(depths.inverse_height[0])
        b2_dot = b2_dot + forms.a0 * of.broadcast(motion.inverse_height[0])
        b0_dot = ti.select(inside, b0_dot, (m2 - m0) * end_dot)
        b1_dot = ti.select(inside, b1_dot, (m0 - m1) * end_dot)
        b2_dot = ti.select(inside, b2_dot, (m1 - m2) * end_dot)
        r = found.inverse_sum
        inverse_r = 1.0 / r
        q0_dot = q_rate(depths, motion, found.share0 * inverse_r, b0_dot, 0)
        q1_dot = q_rate(depths, motion, found.share1 * inverse_r, b1_dot, 1)
        q2_dot = q_rate(depths, motion, found.share2 * inverse_r, b2_dot, 2)
        sum_dot = q0_dot + q1_dot + q2_dot
        result.inverse_sum = 0.0 - r * r * sum_dot
        result.share0 = (q0_dot - found.share0 * sum_dot) * r
        result.share1 = (q1_dot - found.share1 * sum_dot) * r
        result.share2 = (q2_dot - found.share2 * sum_dot) * r
        result.z = fragment.blended(depths.z, result.share0, result.share1, result.share2)
        result.z = result.z + fragment.blended(motion.z, found.share0, found.share1, found.share2)
        return result

    @ti.func
    def q_rate(depths: ti.template(), motion: ti.template(), bq, b_dot, e: ti.template()):
        """Return the rate of a barycentric coordinate times the inverse w of its corner."""
        return b_dot * of.broadcast(depths.q[e]) + bq * of.broadcast(depths.w[e] * motion.q[e])

    @ti.func
    def coordinate(
        depths: ti.template(), motion: ti.template(), share, share_dot, r, r_dot, e: ti.template()
    ):
        """Return a barycentric coordinate and its rate."""
        w = of.broadcast(depths.w[e])
        inverse_r = 1.0 / r
        b = share * inverse_r * w
        turned = (share_dot - share * r_dot * inverse_r) * inverse_r * w
        return b, turned - b * of.broadcast(motion.q[e]) * w

    @ti.func
    def add_rates(
        face: ti.template(),
        depths: ti.template(),
        motion: ti.template(),
        found: ti.template(),
        rates: ti.template(),
        by: ti.template(),
        corners: ti.template(),
    ):
        """Add the rates of the gradients of x, y and inverse w to the corners."""
        corner0, corner1, corner2 = ti.static(corners)
        r = found.inverse_sum
        r_dot = rates.inverse_sum
        mean = found.share0 * by.share0 + found.share1 * by.share1 + found.share2 * by.share2
        mean_dot = (
            found.share0 * by.share0_dot
            + rates.share0 * by.share0
            + found.share1 * by.share1_dot
            + rates.share1 * by.share1
            + found.share2 * by.share2_dot
            + rates.share2 * by.share2
        )
        e0, e0_dot = times(by.share0 - mean, by.share0_dot - mean_dot, r, r_dot)
        e1, e1_dot = times(by.share1 - mean, by.share1_dot - mean_dot, r, r_dot)
        e2, e2_dot = times(by.share2 - mean, by.share2_dot - mean_dot, r, r_dot)
        b0, b0_dot = coordinate(depths, motion, found.share0, rates.share0, r, r_dot, 0)
        b1, b1_dot = coordinate(depths, motion, found.share1, rates.share1, r, r_dot, 1)
        b2, b2_dot = coordinate(depths, motion, found.share2, rates.share2, r, r_dot, 2)
        corner0.q = corner0.q + b0_dot * e0 + b0 * e0_dot
        corner1.q = corner1.q + b1_dot * e1 + b1 * e1_dot
        corner2.q = corner2.q + b2_dot * e2 + b2 * e2_dot
        e0, e0_dot = times(e0, e0_dot, of.broadcast(depths.q[0]), of.broadcast(motion.q[0]))
        e1, e1_dot = times(e1, e1_dot, of.broadcast(depths.q[1]), of.broadcast(motion.q[1]))
        e2, e2_dot = times(e2, e2_dot, of.broadcast(depths.q[2]), of.broadcast(motion.q[2]))
        inside = found.d >= 0.0
        none = vec(0.0)
        # Inside.
        h0, h0_dot = heights(depths, motion, e2, e2_dot, 0)
        h1, h1_dot = heights(depths, motion, e0, e0_dot, 1)
        h2, h2_dot = heights(depths, motion, e1, e1_dot, 2)
        s0 = face.ux[0] * h0 + face.ux[1] * h1 + face.ux[2] * h2
        t0 = face.uy[0] * h0 + face.uy[1] * h1 + face.uy[2] * h2
        k0 = motion.turn[0] * h0
        k1 = motion.turn[1] * h1
        k2 = motion.turn[2] * h2
        s0_dot = face.ux[0] * h0_dot + face.ux[1] * h1_dot + face.ux[2] * h2_dot
        s0_dot = s0_dot - (face.uy[0] * k0 + face.uy[1] * k1 + face.uy[2] * k2)
        t0_dot = face.uy[0] * h0_dot + face.uy[1] * h1_dot + face.uy[2] * h2_dot
        t0_dot = t0_dot + (face.ux[0] * k0 + face.ux[1] * k1 + face.ux[2] * k2)
        wind = face.winding
        hx = ti.select(inside, (0 - wind) * t0, none)
        hy = ti.select(inside, wind * s0, none)
        hx_dot = ti.select(inside, (0 - wind) * t0_dot, none)
        hy_dot = ti.select(inside, wind * s0_dot, none)
        # The nearest edge.
        m0, m1, m2 = fragment.masks(found.edge)
        ux = picked(face.ux, m0, m1, m2)
        uy = picked(face.uy, m0, m1, m2)
        turn = picked(motion.turn, m0, m1, m2)
        inverse = picked(face.inverse, m0, m1, m2)
        ux_dot = 0.0 - turn * uy
        uy_dot = turn * ux
        nx = (0 - wind) * uy
        ny = wind * ux
        nx_dot = (0 - wind) * uy_dot
        ny_dot = wind * ux_dot
        inverse_dot = 0.0 - inverse * picked(motion.stretch, m0, m1, m2)
        end = fragment.from_start(depths, found.along, found.edge)
        end_dot = (1.0 - 2.0 * picked(depths.turned, m0, m1, m2)) * rates.along
        slides = ti.select(inside, none, ti.select(found.tangent == 0.0, vec(1.0), none))
        by_end, by_end_dot = times(
            slides * (m0 * (e1 - e0) + m1 * (e2 - e1) + m2 * (e0 - e2)),
            slides * (m0 * (e1_dot - e0_dot) + m1 * (e2_dot - e1_dot) + m2 * (e0_dot - e2_dot)),
            inverse,
            inverse_dot,
        )
        # Across the edge; a face without area is seen from both sides.
        away, away_dot = times(found.d, rates.d, found.normal, rates.normal)
        away, away_dot = times(away, away_dot, inverse, inverse_dot)
        ahead, ahead_dot = times(by.d, by.d_dot, found.normal, rates.normal)
        beyond, beyond_dot = times(by.d, by.d_dot, found.tangent, rates.tangent)
        far_x_dot, near_x_dot = edge_rates(
            by_end,
            by_end_dot,
            away,
            away_dot,
            end,
            end_dot,
            ahead,
            ahead_dot,
            beyond,
            beyond_dot,
            nx,
            nx_dot,
            ux,
            ux_dot,
        )
        far_y_dot, near_y_dot = edge_rates(
            by_end,
            by_end_dot,
            away,
            away_dot,
            end,
            end_dot,
            ahead,
            ahead_dot,
            beyond,
            beyond_dot,
            ny,
            ny_dot,
            uy,
            uy_dot,
        )
        corner0.x = corner0.x + m0 * near_x_dot + m2 * far_x_dot - (b0_dot * hx + b0 * hx_dot)
        corner0.y = corner0.y + m0 * near_y_dot + m2 * far_y_dot - (b0_dot * hy + b0 * hy_dot)
        corner1.x = corner1.x + m1 * near_x_dot + m0 * far_x_dot - (b1_dot * hx + b1 * hx_dot)
        corner1.y = corner1.y + m1 * near_y_dot + m0 * far_y_dot - (b1_dot * hy + b1 * hy_dot)
        corner2.x = corner2.x + m2 * near_x_dot + m1 * far_x_dot - (b2_dot * hx + b2 * hx_dot)
        corner2.y = corner2.y + m2 * near_y_dot + m1 * far_y_dot - (b2_dot * hy + b2 * hy_dot)

    @ti.func
    def heights(depths: ti.template(), motion: ti.template(), e, e_dot, k: ti.template()):
        """Return a gradient over the height of an edge, and its rate."""
        inverse = of.broadcast(depths.inverse_height[k])
        return times(inverse, of.broadcast(motion.inverse_height[k]), e, e_dot)

    @ti.func
    def edge_rates(
        by_end, by_end_dot, away, away_dot, end, end_dot, ahead, ahead_dot, beyond, beyond_dot,
        n, n_dot, u, u_dot,
    ):  # fmt: skip
        """Return in x or y the rates of the gradients of the end and the start of the nearest edge."""
        foot = n * away - u * end
        foot_dot = n_dot * away + n * away_dot - u_dot * end - u * end_dot
        far_dot = by_end_dot * foot + by_end * foot_dot
        near_dot = 0.0 - far_dot - (by_end_dot * u + by_end * u_dot)
        g = ahead * n + beyond * u
        g_dot = ahead_dot * n + ahead * n_dot + beyond_dot * u + beyond * u_dot
        far_dot = far_dot - (g_dot * end + g * end_dot)
        near_dot = near_dot - (g_dot * (1.0 - end) - g * end_dot)
        return far_dot, near_dot

    return SimpleNamespace(
        Moved=Moved,
        Upstream=Upstream,
        motion_of=motion_of,
        moved=moved,
        add_rates=add_rates,
        forms_of=geo.forms_of,
    )
