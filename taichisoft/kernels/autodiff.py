"""Straight-line maps over fragments that Taichi differentiates, once and twice.

A map takes numbers of one fragment, kept in fields, to its coverage or its shares in the sums of a pixel.
`forward` is a straight line without a loop or a branch, which is what Taichi's reverse mode gets right on
every backend, and only on fields (measured with 1.7.4): ``forward.grad`` is the first derivative.
`adjoint` is the same derivative written by hand, again a straight line: ``adjoint.grad`` is the second.

What is not differentiable (the nearest edge, the cell of a table) is decided when a fragment is loaded.
Corners are rolled then, so that the nearest edge runs from corner A to corner B.

What `store_...` writes is as long as the chunk: on a device with its own memory the rest of a longer array
would come back as garbage.

The maps: `COVERAGE` gives D of the loaded curve; `SHARES` gives D Z b_e, the weight of a face times its
perspective-correct barycentric coordinates; `COORDINATES` gives b_e alone.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.kernels.geometry import geometry_functions
from taichisoft.kernels.lookup import lookup_functions
from taichisoft.kernels.shim import ti

COVERAGE = 0
SHARES = 1
COORDINATES = 2

# What is loaded: the inputs, with the gradient of the outputs, with the cotangents of the gradients.
VALUES = 0
FIRST = 1
SECOND = 2

# Fragments loaded at a time.
CAPACITY = 1 << 16

# Rows of the inputs: x, y, depth, inverse w of A, B, C; then numbers of the curves.
WIDTH = 12
CELL = 13
SLOPE_CELL = 17
GAMMA = 21
KEEP_CELL = 22
FRONT = 26
INPUTS = 27
# Rows of the constants.
PX, PY, ON_LINE, AT_END, INSIDE, WINDING = range(6)
S, T, RATE, HELD_WIDTH, SLOPE_T, SLOPE_RATE, U, KEEP_T, KEEP_RATE = range(6, 15)
CONSTANTS = 15


def corner_rows_of(kind):
    """Return the rows of the corners that a map depends on."""
    if kind == COVERAGE:
        return (0, 1, 4, 5)
    rows = range(WIDTH)
    return tuple(rows) if kind == SHARES else tuple(row for row in rows if row % 4 != 2)


def differentiable_rows(real, count):
    """Return fields, one per row, that lie side by side for each fragment, and their gradients.

    A field that is read at the number of the fragment alone spares the reverse mode its atomic additions,
    which took five times as long (measured).
    """
    rows = tuple(ti.field(real, needs_grad=True) for _ in range(count))
    ti.root.dense(ti.i, CAPACITY).place(*rows)
    ti.root.dense(ti.i, CAPACITY).place(*(row.grad for row in rows))
    return rows


@cache
def fragment_maps(real, kind, straight):
    """Fields and kernels of a map for the float type `real`; `straight`: slopes have their own curve."""
    geo = geometry_functions(real)
    locate, _, _ = lookup_functions(real)
    outputs = 1 if kind == COVERAGE else 3
    corner_rows = corner_rows_of(kind)
    floats = ti.types.ndarray(real, 1)
    ints = ti.types.ndarray(ti.i32, 1)
    tiny = 1e-30
    # A cell narrower than the rounding of its argument has no position in it.
    rounding = 1.2e-7 if real is ti.f32 else 2.3e-16

    x = differentiable_rows(real, INPUTS)
    up = differentiable_rows(real, outputs)
    y = differentiable_rows(real, outputs)
    g = differentiable_rows(real, INPUTS)
    k = ti.field(real, (CAPACITY, CONSTANTS))
    # The cell of slopes without a gradient: a first derivative does not reach it.
    held = ti.field(real, (CAPACITY, 4))
    edge_of = ti.field(ti.i32, CAPACITY)
    cell_of = ti.field(ti.i32, (CAPACITY, 3))

    vec4 = ti.types.vector(4, real)

    # Every input is read once, into local numbers: each read costs an atomic addition in the reverse mode.
    @ti.func
    def corner(f, first: ti.template()):
        """x, y, depth, inverse w of a corner; what the map does not depend on is left out."""
        number = vec4(0.0)
        for c in ti.static(range(4)):
            if ti.static(first + c in corner_rows):
                number[c] = x[first + c][f]
        return number

    @ti.func
    def cell(f, first: ti.template()):
        """Return the coefficients of a cell."""
        return vec4(x[first][f], x[first + 1][f], x[first + 2][f], x[first + 3][f])

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
        rx = k[f, PX] - a[0]
        ry = k[f, PY] - a[1]
        raw = ex * ex + ey * ey
        squared = ti.select(raw > tiny, raw, real(1.0))
        along = ti.select(k[f, ON_LINE] > 0.5, (rx * ex + ry * ey) / squared, k[f, AT_END])
        return ex, ey, rx, ry, squared, along

    @ti.func
    def distance(f, ex, ey, rx, ry, squared):
        """Signed distance and its gradient with respect to the pixel."""
        on_line = k[f, ON_LINE] > 0.5
        unit = k[f, WINDING] / ti.sqrt(squared)
        across = (ex * ry - ey * rx) * unit
        qx = rx - k[f, AT_END] * ex
        qy = ry - k[f, AT_END] * ey
        raw = qx * qx + qy * qy
        gap = ti.sqrt(ti.select(on_line, real(1.0), ti.select(raw > tiny, raw, real(tiny))))
        d = ti.select(on_line, across, -gap)
        gx = ti.select(on_line, -ey * unit, -qx / gap)
        gy = ti.select(on_line, ex * unit, -qy / gap)
        return d, gx, gy

    @ti.func
    def coordinates(f, ex, ey, rx, ry, cx, cy, along):
        """Barycentric coordinates of B and C at the nearest point, and the doubled area (1 outside)."""
        inside = k[f, INSIDE] > 0.5
        area = ti.select(inside, ex * cy - ey * cx, real(1.0))
        b1 = ti.select(inside, (rx * cy - ry * cx) / area, along)
        b2 = ti.select(inside, (ex * ry - ey * rx) / area, real(0.0))
        return b1, b2, area

    @ti.func
    def position(f, s):
        """Position in the cell of the curve."""
        return k[f, T] + (s - k[f, S]) * k[f, RATE]

    @ti.func
    def depth_position(f, u):
        """Position in the cell of the occlusion curve."""
        return k[f, KEEP_T] + (u - k[f, U]) * k[f, KEEP_RATE]

    @ti.func
    def covered(f, d, moving: ti.template()):
        """Evaluate the curve at a distance; with slopes of its own, and `moving`, it moves at their rate."""
        width = x[WIDTH][f]
        coefficients = cell(f, CELL)
        result = real(0.0)
        if ti.static(straight):
            # The slope is a constant here: it is the derivative that is wanted, not a curve.
            t = k[f, SLOPE_T]
            rate = ((held[f, 3] * t + held[f, 2]) * t + held[f, 1]) * t + held[f, 0]
            held_distance = k[f, S] * k[f, HELD_WIDTH]
            moved = (d - held_distance) / k[f, HELD_WIDTH]
            result = cubic(coefficients, position(f, held_distance / width))
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
                y[0][f] = covered(f, d, moving)
            else:
                c = corner(f, 8)
                b1, b2, _ = coordinates(f, ex, ey, rx, ry, c[0] - a[0], c[1] - a[1], along)
                q0 = (1 - b1 - b2) * a[3]
                q1 = b1 * b[3]
                q2 = b2 * c[3]
                weight = 1 / (q0 + q1 + q2)
                if ti.static(kind == SHARES):
                    depth = (q0 * a[2] + q1 * b[2] + q2 * c[2]) * weight
                    u = (x[FRONT][f] - depth) / x[GAMMA][f]
                    keep = cubic(cell(f, KEEP_CELL), depth_position(f, u))
                    weight = weight * covered(f, d, moving) * keep
                y[0][f] = weight * q0
                y[1][f] = weight * q1
                y[2][f] = weight * q2

    @ti.func
    def coverage_adjoint(f, by_cover, width, coefficients, s, t):
        """Store the gradients of the curve and return that of the distance."""
        own = cubic_slope(coefficients, t) * k[f, RATE]
        followed = own
        if ti.static(straight):
            at = k[f, SLOPE_T] + (s - k[f, S]) * k[f, SLOPE_RATE]
            followed = cubic(cell(f, SLOPE_CELL), at)
        g[WIDTH][f] = -by_cover * own * s / width
        g[CELL][f] = by_cover
        g[CELL + 1][f] = by_cover * t
        g[CELL + 2][f] = by_cover * t * t
        g[CELL + 3][f] = by_cover * t * t * t
        return by_cover * followed / width

    @ti.func
    def occlusion_adjoint(f, by_keep, gamma, coefficients, u, v):
        """Store the gradients of the occlusion and return that of the depth."""
        by_u = by_keep * cubic_slope(coefficients, v) * k[f, KEEP_RATE] / gamma
        g[FRONT][f] = by_u
        g[GAMMA][f] = -by_u * u
        g[KEEP_CELL][f] = by_keep
        g[KEEP_CELL + 1][f] = by_keep * v
        g[KEEP_CELL + 2][f] = by_keep * v * v
        g[KEEP_CELL + 3][f] = by_keep * v * v * v
        return -by_u

    @ti.kernel
    def adjoint(n: ti.i32):
        for f in range(n):
            a = corner(f, 0)
            b = corner(f, 4)
            ex, ey, rx, ry, squared, along = footing(f, a, b)
            d, gx, gy = distance(f, ex, ey, rx, ry, squared)
            if ti.static(kind == COVERAGE):
                width = x[WIDTH][f]
                s = d / width
                by_distance = coverage_adjoint(f, up[0][f], width, cell(f, CELL), s, position(f, s))
                first = by_distance * (1 - along)
                second = by_distance * along
                g[0][f] = -first * gx
                g[1][f] = -first * gy
                g[4][f] = -second * gx
                g[5][f] = -second * gy
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
                up0 = up[0][f]
                up1 = up[1][f]
                up2 = up[2][f]
                weight = real(1.0)
                by_depth = real(0.0)
                by_distance = real(0.0)
                if ti.static(kind == SHARES):
                    depth = s0 * a[2] + s1 * b[2] + s2 * c[2]
                    gamma = x[GAMMA][f]
                    width = x[WIDTH][f]
                    u = (x[FRONT][f] - depth) / gamma
                    v = depth_position(f, u)
                    s = d / width
                    t = position(f, s)
                    coefficients = cell(f, CELL)
                    keep_coefficients = cell(f, KEEP_CELL)
                    keep = cubic(keep_coefficients, v)
                    cover = cubic(coefficients, t)
                    weight = cover * keep
                    by_weight = up0 * s0 + up1 * s1 + up2 * s2
                    by_distance = coverage_adjoint(f, by_weight * keep, width, coefficients, s, t)
                    by_depth = occlusion_adjoint(
                        f, by_weight * cover, gamma, keep_coefficients, u, v
                    )
                    g[2][f] = by_depth * s0
                    g[6][f] = by_depth * s1
                    g[10][f] = by_depth * s2
                by0 = weight * up0 + by_depth * a[2]
                by1 = weight * up1 + by_depth * b[2]
                by2 = weight * up2 + by_depth * c[2]
                mean = by0 * s0 + by1 * s1 + by2 * s2
                over0 = (by0 - mean) / total
                over1 = (by1 - mean) / total
                over2 = (by2 - mean) / total
                g[3][f] = b0 * over0
                g[7][f] = b1 * over1
                g[11][f] = b2 * over2
                # The first coordinate is 1 minus the others.
                by_b1 = b[3] * over1 - a[3] * over0
                by_b2 = c[3] * over2 - a[3] * over0
                # Inside, a fixed pixel keeps sum_e b_e v_e: db = -b_e grad(b) . dv_e.
                inside = k[f, INSIDE] > 0.5
                hx = ti.select(inside, (by_b1 * cy - by_b2 * ey) / area, real(0.0))
                hy = ti.select(inside, (by_b2 * ex - by_b1 * cx) / area, real(0.0))
                # Outside, only the position along the nearest edge moves, and not beyond its ends.
                slides = ti.select(inside, real(0.0), k[f, ON_LINE]) * by_b1 / squared
                fx = slides * (rx - 2 * along * ex)
                fy = slides * (ry - 2 * along * ey)
                first = by_distance * (1 - along)
                second = by_distance * along
                g[0][f] = -first * gx - b0 * hx - fx - slides * ex
                g[1][f] = -first * gy - b0 * hy - fy - slides * ey
                g[4][f] = -second * gx - b1 * hx + fx
                g[5][f] = -second * gy - b1 * hy + fy
                g[8][f] = -b2 * hx
                g[9][f] = -b2 * hy

    @ti.func
    def put(row: ti.template(), f, number):
        """Load an input and clear what its gradients are summed into."""
        x[row][f] = number
        x[row].grad[f] = 0

    @ti.func
    def place(s, curve: ti.template(), pieces: ti.template()):
        """Cell of an argument, position in it, and its derivative."""
        at_cell, t, rate = locate(s, curve, pieces)
        # The cell of a step has no width at all.
        lost = ti.abs(rate) * (ti.abs(s) + real(1e-20)) * rounding > 0.25
        return at_cell, t, ti.select(lost, real(0.0), rate)

    @ti.func
    def corner_of(row: ti.template(), at):
        """Return which of the unrolled outputs a rolled row is, given the nearest edge."""
        result = row
        if ti.static(kind != COVERAGE):
            result = (at + row) % 3
        return result

    @ti.kernel
    def load(
        stage: ti.template(),  # VALUES, FIRST or SECOND
        pieces: ti.template(),
        slope_pieces: ti.template(),
        keep_pieces: ti.template(),
        # in
        points: floats,  # (P * 4)
        faces: ints,  # (N * 3)
        face: ints,  # (F)
        pixel: ints,  # (F)
        curve: floats,
        cells: floats,  # (K * 4)
        slope_curve: floats,
        slope_cells: floats,  # (L * 4)
        keep_curve: floats,
        keep_cells: floats,  # (M * 4)
        front: floats,  # (F)
        # read by FIRST and SECOND: gradient of the outputs
        upstream: floats,  # (F * outputs)
        # read by SECOND: cotangents of the gradients, each of the shape of the input
        seed_points: floats,  # (P * 4)
        seed_widths: floats,  # (2)
        seed_cells: floats,  # (K * 4)
        seed_keep_cells: floats,  # (M * 4)
        seed_front: floats,  # (F)
        first: ti.i32,  # fragment to begin with
        n: ti.i32,
        height: ti.i32,
        width: ti.i32,
    ):
        for f in range(n):
            at_face = face[first + f]
            at_pixel = pixel[first + f]
            row = at_pixel // width % height
            px = at_pixel % width + real(0.5)
            py = row + real(0.5)
            v, _, _, solid, normal, edge, dual, _ = geo.triangle(points, faces, at_face)
            d, at, along, _, _ = geo.foot_point(px, py, v, normal, edge, dual, solid)
            edge_of[f] = at
            for e in ti.static(range(3)):
                source = 4 * faces[3 * at_face + (at + e) % 3]
                for c in ti.static(range(4)):
                    if ti.static(4 * e + c in corner_rows):
                        put(4 * e + c, f, points[source + c])
            ax = x[0][f]
            ay = x[1][f]
            ex = x[4][f] - ax
            ey = x[5][f] - ay
            cross = ex * (py - ay) - ey * (px - ax)
            raw = real(0.0)
            winding = real(1.0)
            for e in ti.static(range(3)):
                raw = ti.select(
                    at == e, (px - v[e, 0]) * dual[e, 0] + (py - v[e, 1]) * dual[e, 1], raw
                )
                across = normal[e, 0] * ey - normal[e, 1] * ex
                winding = ti.select(at == e, ti.select(across > 0, real(-1.0), real(1.0)), winding)
            # A face without area is a segment seen from outside.
            winding = ti.select(solid == 0, winding, ti.select(cross > 0, real(-1.0), real(1.0)))
            k[f, PX] = px
            k[f, PY] = py
            on_line = ti.select(raw == along, real(1.0), real(0.0))
            between = ti.select(along * (1 - along) > 0, real(1.0), real(0.0))
            k[f, ON_LINE] = ti.select(solid == 0, on_line, between)
            k[f, AT_END] = along
            k[f, INSIDE] = ti.select(d >= 0, real(1.0), real(0.0))
            k[f, WINDING] = winding
            if ti.static(kind != COORDINATES):
                put(WIDTH, f, 1 / curve[0])
                s = d * curve[0]
                at_cell, t, rate = place(s, curve, pieces)
                k[f, S] = s
                k[f, HELD_WIDTH] = 1 / curve[0]
                k[f, T] = t
                k[f, RATE] = rate
                cell_of[f, 0] = at_cell
                for c in ti.static(range(4)):
                    put(CELL + c, f, cells[4 * at_cell + c])
                if ti.static(straight):
                    slope_cell, slope_t, slope_rate = place(s, slope_curve, slope_pieces)
                    k[f, SLOPE_T] = slope_t
                    k[f, SLOPE_RATE] = slope_rate
                    cell_of[f, 1] = slope_cell
                    for c in ti.static(range(4)):
                        put(SLOPE_CELL + c, f, slope_cells[4 * slope_cell + c])
                        held[f, c] = slope_cells[4 * slope_cell + c]
            if ti.static(kind == SHARES):
                put(GAMMA, f, 1 / keep_curve[0])
                b1, b2, _ = coordinates(
                    f, ex, ey, px - ax, py - ay, x[8][f] - ax, x[9][f] - ay, along
                )
                q0 = (1 - b1 - b2) * x[3][f]
                q1 = b1 * x[7][f]
                q2 = b2 * x[11][f]
                depth = (q0 * x[2][f] + q1 * x[6][f] + q2 * x[10][f]) / (q0 + q1 + q2)
                # What is in front of all that is covered (a straight-through fringe) is at the end of
                # the curve and has no slope there.
                past = (front[first + f] - depth) * keep_curve[0] > 1e-3
                put(FRONT, f, ti.select(past, depth, front[first + f]))
                u = (x[FRONT][f] - depth) * keep_curve[0]
                keep_cell, keep_t, keep_rate = place(ti.min(u, real(0.0)), keep_curve, keep_pieces)
                k[f, U] = ti.min(u, real(0.0))
                k[f, KEEP_T] = keep_t
                k[f, KEEP_RATE] = ti.select(past, real(0.0), keep_rate)
                cell_of[f, 2] = keep_cell
                for c in ti.static(range(4)):
                    put(KEEP_CELL + c, f, keep_cells[4 * keep_cell + c])

            for j in ti.static(range(outputs)):
                source = (first + f) * outputs + corner_of(j, at)
                if ti.static(stage == FIRST):
                    y[j].grad[f] = upstream[source]
                elif ti.static(stage == SECOND):
                    up[j][f] = upstream[source]
                    up[j].grad[f] = 0
            if ti.static(stage == SECOND):
                for row in ti.static(corner_rows):
                    corner = 4 * faces[3 * at_face + (at + row // 4) % 3]
                    g[row].grad[f] = seed_points[corner + row % 4]
                if ti.static(kind != COORDINATES):
                    g[WIDTH].grad[f] = seed_widths[0]
                    for c in ti.static(range(4)):
                        g[CELL + c].grad[f] = seed_cells[4 * cell_of[f, 0] + c]
                if ti.static(kind == SHARES):
                    g[GAMMA].grad[f] = seed_widths[1]
                    g[FRONT].grad[f] = seed_front[first + f]
                    for c in ti.static(range(4)):
                        g[KEEP_CELL + c].grad[f] = seed_keep_cells[4 * cell_of[f, 2] + c]

    @ti.kernel
    def store_outputs(n: ti.i32, outputs_out: floats):
        """Store the outputs, (n * outputs)."""
        for f in range(n):
            for j in ti.static(range(outputs)):
                outputs_out[f * outputs + corner_of(j, edge_of[f])] = y[j][f]

    @ti.kernel
    def sum_inputs(
        stage: ti.template(),  # FIRST or SECOND
        into_cells: ti.template(),
        # in
        starts: ints,  # (N + 1) first fragment of each face; fragments are sorted by face
        first_face: ti.i32,
        num_faces: ti.i32,
        first: ti.i32,
        n: ti.i32,
        slots: ti.i32,
        stride: ti.i32,
        # out
        grad_up_out: floats,  # (n * outputs) of the gradient of the outputs; one element unless SECOND
        grad_front_out: floats,  # (n) of the front depth; one element unless kind is SHARES
        # added to
        grad_corners: floats,  # (N * 3 * 4)
        grad_widths: floats,  # (workers * 2)
        grad_cells: floats,  # (workers * K * 4); one element unless into_cells, as those that follow
        grad_slope_cells: floats,  # (workers * L * 4)
        grad_keep_cells: floats,  # (workers * M * 4)
    ):
        for slot in range(slots):
            if slot % stride == 0:
                workers = slots // stride
                worker = slot // stride
                cell_table = worker * (grad_cells.shape[0] // workers)
                slope_table = worker * (grad_slope_cells.shape[0] // workers)
                keep_table = worker * (grad_keep_cells.shape[0] // workers)
                by_width = real(0.0)
                by_gamma = real(0.0)
                for turn in range((num_faces - worker + workers - 1) // workers):
                    face = first_face + worker + turn * workers
                    begin = ti.max(starts[face] - first, 0)
                    end = ti.min(starts[face + 1] - first, n)
                    for f in range(begin, end):
                        if ti.static(stage == SECOND):
                            for j in ti.static(range(outputs)):
                                out = f * outputs + corner_of(j, edge_of[f])
                                grad_up_out[out] = up[j].grad[f]
                        if ti.static(kind == SHARES):
                            grad_front_out[f] = x[FRONT].grad[f]
                        for row in ti.static(corner_rows):
                            at = 12 * face + 4 * ((edge_of[f] + row // 4) % 3) + row % 4
                            grad_corners[at] = grad_corners[at] + x[row].grad[f]
                        if ti.static(kind != COORDINATES):
                            by_width += x[WIDTH].grad[f]
                        if ti.static(kind == SHARES):
                            by_gamma += x[GAMMA].grad[f]
                        if ti.static(into_cells and kind != COORDINATES):
                            for c in ti.static(range(4)):
                                at = cell_table + 4 * cell_of[f, 0] + c
                                grad_cells[at] = grad_cells[at] + x[CELL + c].grad[f]
                                if ti.static(straight):
                                    at = slope_table + 4 * cell_of[f, 1] + c
                                    grad_slope_cells[at] = (
                                        grad_slope_cells[at] + x[SLOPE_CELL + c].grad[f]
                                    )
                                if ti.static(kind == SHARES):
                                    at = keep_table + 4 * cell_of[f, 2] + c
                                    grad_keep_cells[at] = (
                                        grad_keep_cells[at] + x[KEEP_CELL + c].grad[f]
                                    )
                grad_widths[2 * worker] = grad_widths[2 * worker] + by_width
                grad_widths[2 * worker + 1] = grad_widths[2 * worker + 1] + by_gamma

    return SimpleNamespace(
        outputs=outputs,
        forward=forward,
        adjoint=adjoint,
        load=load,
        store_outputs=store_outputs,
        sum_inputs=sum_inputs,
    )
