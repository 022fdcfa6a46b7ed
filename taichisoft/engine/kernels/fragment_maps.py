"""Straight-line maps over fragments that Taichi differentiates, once and twice.

A map takes numbers of one fragment, kept in fields, to its coverage or its shares in the sums of a pixel.
`forward` is a straight line without a loop or a branch, which is what Taichi's reverse mode gets right on
every backend, and only on fields (measured with 1.7.4): ``forward.grad`` is the first derivative.
`adjoint` is the same derivative written by hand, again a straight line: ``adjoint.grad`` is the second.

What is not differentiable (the nearest edge, the cell of a table) is decided when a fragment is loaded, see
`taichisoft.engine.kernels.fragment_transfer`.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.fragment_fields import (
    COVERAGE,
    SHARES,
    Fixed,
    Row,
    corner_rows_of,
    fragment_fields,
)


@cache
def fragment_maps(real, kind, straight):
    """Compile-on-first-use kernels ``forward`` and ``adjoint`` of a map, see `fragment_fields`."""
    fields = fragment_fields(real, kind, straight)
    inputs, outputs, upstream = fields.inputs, fields.outputs, fields.upstream
    gradients, constants, slope_coefficients = (
        fields.gradients,
        fields.constants,
        fields.slope_coefficients,
    )
    corner_rows = corner_rows_of(kind)
    tiny = 1e-30

    vec4 = ti.types.vector(4, real)

    # Every input is read once, into local numbers: each read costs an atomic addition in the reverse mode.
    @ti.func
    def corner(f, first: ti.template()):
        """x, y, depth, inverse w of a corner; what the map does not depend on is left out."""
        number = vec4(0.0)
        for c in ti.static(range(4)):
            if ti.static(first + c in corner_rows):
                number[c] = inputs[first + c][f]
        return number

    @ti.func
    def cell(f, first: ti.template()):
        """Return the coefficients of a cell."""
        return vec4(
            inputs[first][f], inputs[first + 1][f], inputs[first + 2][f], inputs[first + 3][f]
        )

    @ti.func
    def cubic(c, t):
        return ((c[3] * t + c[2]) * t + c[1]) * t + c[0]

    @ti.func
    def cubic_slope(c, t):
        return (3 * c[3] * t + 2 * c[2]) * t + c[1]

    @ti.func
    def footing(f, a, b):
        """Edge vector, offset of the pixel from A, squared length of the edge, position along it."""
        ex = b[0] - a[0]
        ey = b[1] - a[1]
        rx = constants[f, Fixed.PX] - a[0]
        ry = constants[f, Fixed.PY] - a[1]
        raw = ex * ex + ey * ey
        squared = ti.select(raw > tiny, raw, real(1.0))
        along = ti.select(
            constants[f, Fixed.ON_LINE] > 0.5,
            (rx * ex + ry * ey) / squared,
            constants[f, Fixed.AT_END],
        )
        return ex, ey, rx, ry, squared, along

    @ti.func
    def distance(f, ex, ey, rx, ry, squared):
        """Signed distance and its gradient with respect to the pixel."""
        on_line = constants[f, Fixed.ON_LINE] > 0.5
        unit = constants[f, Fixed.WINDING] / ti.sqrt(squared)
        across = (ex * ry - ey * rx) * unit
        qx = rx - constants[f, Fixed.AT_END] * ex
        qy = ry - constants[f, Fixed.AT_END] * ey
        raw = qx * qx + qy * qy
        gap = ti.sqrt(ti.select(on_line, real(1.0), ti.select(raw > tiny, raw, real(tiny))))
        d = ti.select(on_line, across, -gap)
        gx = ti.select(on_line, -ey * unit, -qx / gap)
        gy = ti.select(on_line, ex * unit, -qy / gap)
        return d, gx, gy

    @ti.func
    def coordinates(f, ex, ey, rx, ry, cx, cy, along):
        """Barycentric coordinates of B and C at the nearest point, and the doubled area (1 outside)."""
        inside = constants[f, Fixed.INSIDE] > 0.5
        area = ti.select(inside, ex * cy - ey * cx, real(1.0))
        b1 = ti.select(inside, (rx * cy - ry * cx) / area, along)
        b2 = ti.select(inside, (ex * ry - ey * rx) / area, real(0.0))
        return b1, b2, area

    @ti.func
    def position(f, s):
        """Position in the cell of the curve."""
        return constants[f, Fixed.T] + (s - constants[f, Fixed.S]) * constants[f, Fixed.RATE]

    @ti.func
    def depth_position(f, u):
        """Position in the cell of the occlusion curve."""
        return (
            constants[f, Fixed.KEEP_T] + (u - constants[f, Fixed.U]) * constants[f, Fixed.KEEP_RATE]
        )

    @ti.func
    def covered(f, d, moving: ti.template()):
        """Evaluate the curve at a distance; with slopes of its own, and `moving`, it moves at their rate."""
        width = inputs[Row.WIDTH][f]
        coefficients = cell(f, Row.CELL)
        result = real(0.0)
        if ti.static(straight):
            # The slope is a constant here: it is the derivative that is wanted, not a curve.
            t = constants[f, Fixed.SLOPE_T]
            rate = (
                (slope_coefficients[f, 3] * t + slope_coefficients[f, 2]) * t
                + slope_coefficients[f, 1]
            ) * t + slope_coefficients[f, 0]
            loaded_distance = constants[f, Fixed.S] * constants[f, Fixed.WIDTH]
            moved = (d - loaded_distance) / constants[f, Fixed.WIDTH]
            result = cubic(coefficients, position(f, loaded_distance / width))
            # 0 but for its derivative. Left out of the value, since the rate may magnify its rounding.
            if ti.static(moving):
                result = result + rate * moved
        else:
            result = cubic(coefficients, position(f, d / width))
        return result

    @ti.kernel
    def forward(moving: ti.template(), n: ti.i32):
        for f in range(n):
            a = corner(f, 0)
            b = corner(f, 4)
            ex, ey, rx, ry, squared, along = footing(f, a, b)
            d, _, _ = distance(f, ex, ey, rx, ry, squared)
            if ti.static(kind == COVERAGE):
                outputs[0][f] = covered(f, d, moving)
            else:
                c = corner(f, 8)
                b1, b2, _ = coordinates(f, ex, ey, rx, ry, c[0] - a[0], c[1] - a[1], along)
                q0 = (1 - b1 - b2) * a[3]
                q1 = b1 * b[3]
                q2 = b2 * c[3]
                weight = 1 / (q0 + q1 + q2)
                if ti.static(kind == SHARES):
                    depth = (q0 * a[2] + q1 * b[2] + q2 * c[2]) * weight
                    u = (inputs[Row.FRONT][f] - depth) / inputs[Row.GAMMA][f]
                    keep = cubic(cell(f, Row.KEEP_CELL), depth_position(f, u))
                    weight = weight * covered(f, d, moving) * keep
                outputs[0][f] = weight * q0
                outputs[1][f] = weight * q1
                outputs[2][f] = weight * q2

    @ti.func
    def coverage_adjoint(f, by_cover, width, coefficients, s, t):
        """Store the gradients of the curve and return that of the distance."""
        own = cubic_slope(coefficients, t) * constants[f, Fixed.RATE]
        followed = own
        if ti.static(straight):
            at = (
                constants[f, Fixed.SLOPE_T]
                + (s - constants[f, Fixed.S]) * constants[f, Fixed.SLOPE_RATE]
            )
            followed = cubic(cell(f, Row.SLOPE_CELL), at)
        gradients[Row.WIDTH][f] = -by_cover * own * s / width
        gradients[Row.CELL][f] = by_cover
        gradients[Row.CELL + 1][f] = by_cover * t
        gradients[Row.CELL + 2][f] = by_cover * t * t
        gradients[Row.CELL + 3][f] = by_cover * t * t * t
        return by_cover * followed / width

    @ti.func
    def occlusion_adjoint(f, by_keep, gamma, coefficients, u, v):
        """Store the gradients of the occlusion and return that of the depth."""
        by_u = by_keep * cubic_slope(coefficients, v) * constants[f, Fixed.KEEP_RATE] / gamma
        gradients[Row.FRONT][f] = by_u
        gradients[Row.GAMMA][f] = -by_u * u
        gradients[Row.KEEP_CELL][f] = by_keep
        gradients[Row.KEEP_CELL + 1][f] = by_keep * v
        gradients[Row.KEEP_CELL + 2][f] = by_keep * v * v
        gradients[Row.KEEP_CELL + 3][f] = by_keep * v * v * v
        return -by_u

    @ti.kernel
    def adjoint(n: ti.i32):
        for f in range(n):
            a = corner(f, 0)
            b = corner(f, 4)
            ex, ey, rx, ry, squared, along = footing(f, a, b)
            d, gx, gy = distance(f, ex, ey, rx, ry, squared)
            if ti.static(kind == COVERAGE):
                width = inputs[Row.WIDTH][f]
                s = d / width
                by_distance = coverage_adjoint(
                    f, upstream[0][f], width, cell(f, Row.CELL), s, position(f, s)
                )
                first = by_distance * (1 - along)
                second = by_distance * along
                gradients[0][f] = -first * gx
                gradients[1][f] = -first * gy
                gradients[4][f] = -second * gx
                gradients[5][f] = -second * gy
            else:
                c = corner(f, 8)
                cx = c[0] - a[0]
                cy = c[1] - a[1]
                b1, b2, area = coordinates(f, ex, ey, rx, ry, cx, cy, along)
                b0 = 1 - b1 - b2
                total = b0 * a[3] + b1 * b[3] + b2 * c[3]
                s0 = b0 * a[3] / total
                s1 = b1 * b[3] / total
                s2 = b2 * c[3] / total
                up0 = upstream[0][f]
                up1 = upstream[1][f]
                up2 = upstream[2][f]
                weight = real(1.0)
                by_depth = real(0.0)
                by_distance = real(0.0)
                if ti.static(kind == SHARES):
                    depth = s0 * a[2] + s1 * b[2] + s2 * c[2]
                    gamma = inputs[Row.GAMMA][f]
                    width = inputs[Row.WIDTH][f]
                    u = (inputs[Row.FRONT][f] - depth) / gamma
                    v = depth_position(f, u)
                    s = d / width
                    t = position(f, s)
                    coefficients = cell(f, Row.CELL)
                    keep_coefficients = cell(f, Row.KEEP_CELL)
                    keep = cubic(keep_coefficients, v)
                    cover = cubic(coefficients, t)
                    weight = cover * keep
                    by_weight = up0 * s0 + up1 * s1 + up2 * s2
                    by_distance = coverage_adjoint(f, by_weight * keep, width, coefficients, s, t)
                    by_depth = occlusion_adjoint(
                        f, by_weight * cover, gamma, keep_coefficients, u, v
                    )
                    gradients[2][f] = by_depth * s0
                    gradients[6][f] = by_depth * s1
                    gradients[10][f] = by_depth * s2
                by0 = weight * up0 + by_depth * a[2]
                by1 = weight * up1 + by_depth * b[2]
                by2 = weight * up2 + by_depth * c[2]
                mean = by0 * s0 + by1 * s1 + by2 * s2
                over0 = (by0 - mean) / total
                over1 = (by1 - mean) / total
                over2 = (by2 - mean) / total
                gradients[3][f] = b0 * over0
                gradients[7][f] = b1 * over1
                gradients[11][f] = b2 * over2
                # The first coordinate is 1 minus the others.
                by_b1 = b[3] * over1 - a[3] * over0
                by_b2 = c[3] * over2 - a[3] * over0
                # Inside, a fixed pixel keeps sum_e b_e v_e: db = -b_e grad(b) . dv_e.
                inside = constants[f, Fixed.INSIDE] > 0.5
                hx = ti.select(inside, (by_b1 * cy - by_b2 * ey) / area, real(0.0))
                hy = ti.select(inside, (by_b2 * ex - by_b1 * cx) / area, real(0.0))
                # Outside, only the position along the nearest edge moves, and not beyond its ends.
                slides = ti.select(inside, real(0.0), constants[f, Fixed.ON_LINE]) * by_b1 / squared
                fx = slides * (rx - 2 * along * ex)
                fy = slides * (ry - 2 * along * ey)
                first = by_distance * (1 - along)
                second = by_distance * along
                gradients[0][f] = -first * gx - b0 * hx - fx - slides * ex
                gradients[1][f] = -first * gy - b0 * hy - fy - slides * ey
                gradients[4][f] = -second * gx - b1 * hx + fx
                gradients[5][f] = -second * gy - b1 * hy + fy
                gradients[8][f] = -b2 * hx
                gradients[9][f] = -b2 * hy

    return SimpleNamespace(forward=forward, adjoint=adjoint)
