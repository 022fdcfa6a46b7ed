"""Kernels that fill the fields of a fragment map and empty them.

What a map does not differentiate is decided here: the nearest edge and whether the foot of the pixel lies on
it, the cells of the tables. Corners are rolled, so that the nearest edge runs from corner A to corner B.

What is written is as long as the chunk: on a device with its own memory the rest of a longer array would
come back as garbage.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.curve import lookup_functions
from taichisoft.engine.kernels.fragment_fields import (
    AT_END,
    CELL,
    COORDINATES,
    COVERAGE,
    FIRST,
    FRONT,
    GAMMA,
    HELD_WIDTH,
    INSIDE,
    KEEP_CELL,
    KEEP_RATE,
    KEEP_T,
    ON_LINE,
    PX,
    PY,
    RATE,
    SECOND,
    SHARES,
    SLOPE_CELL,
    SLOPE_RATE,
    SLOPE_T,
    WIDTH,
    WINDING,
    S,
    T,
    U,
    corner_rows_of,
    fragment_fields,
)
from taichisoft.engine.kernels.triangle import geometry_functions

# Numbers of a face that is set up.
FRAME = 25


@cache
def fragment_transfers(real, kind, straight):
    """Compile-on-first-use kernels that fill and empty the fields of a map, see `fragment_fields`."""
    geo = geometry_functions(real)
    locate, _, _ = lookup_functions(real)
    fields = fragment_fields(real, kind, straight)
    outputs, x, up, y, g, k = fields.outputs, fields.x, fields.up, fields.y, fields.g, fields.k
    held, edge_of, cell_of = fields.held, fields.edge_of, fields.cell_of
    corner_rows = corner_rows_of(kind)
    floats = ti.types.ndarray(real, 1)
    ints = ti.types.ndarray(ti.i32, 1)
    # A cell narrower than the rounding of its argument has no position in it.
    rounding = 1.2e-7 if real is ti.f32 else 2.3e-16

    @ti.func
    def coordinates(d, ex, ey, rx, ry, cx, cy, along):
        """Barycentric coordinates of B and C at the nearest point."""
        area = ti.select(d >= 0, ex * cy - ey * cx, real(1.0))
        b1 = ti.select(d >= 0, (rx * cy - ry * cx) / area, along)
        b2 = ti.select(d >= 0, (ex * ry - ey * rx) / area, real(0.0))
        return b1, b2

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

    mat32 = ti.types.matrix(3, 2, real)

    @ti.kernel
    def set_up(
        # in
        points: floats,  # (P * 4)
        faces: ints,  # (N * 3)
        num_faces: ti.i32,
        # out
        frames_out: floats,  # (N * FRAME) vertices, normals, edges, duals, solidity
    ):
        """Set the faces up once for all their fragments."""
        for face in range(num_faces):
            v, _, _, solid, normal, edge, dual, _ = geo.triangle(points, faces, face)
            at = FRAME * face
            for e in ti.static(range(3)):
                for c in ti.static(range(2)):
                    frames_out[at + 2 * e + c] = v[e, c]
                    frames_out[at + 6 + 2 * e + c] = normal[e, c]
                    frames_out[at + 12 + 2 * e + c] = edge[e, c]
                    frames_out[at + 18 + 2 * e + c] = dual[e, c]
            frames_out[at + 24] = solid

    @ti.func
    def frame_of(frames: ti.template(), face):
        """Read what `set_up` made of a face."""
        v = mat32(0.0)
        normal = mat32(0.0)
        edge = mat32(0.0)
        dual = mat32(0.0)
        at = FRAME * face
        for e in ti.static(range(3)):
            for c in ti.static(range(2)):
                v[e, c] = frames[at + 2 * e + c]
                normal[e, c] = frames[at + 6 + 2 * e + c]
                edge[e, c] = frames[at + 12 + 2 * e + c]
                dual[e, c] = frames[at + 18 + 2 * e + c]
        return v, normal, edge, dual, frames[at + 24]

    @ti.kernel
    def load(
        stage: ti.template(),  # VALUES, FIRST or SECOND
        pieces: ti.template(),
        slope_pieces: ti.template(),
        keep_pieces: ti.template(),
        # in
        points: floats,  # (P * 4)
        faces: ints,  # (N * 3)
        frames: floats,  # (N * FRAME)
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
            v, normal, edge, dual, solid = frame_of(frames, at_face)
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
                b1, b2 = coordinates(d, ex, ey, px - ax, py - ay, x[8][f] - ax, x[9][f] - ay, along)
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
        set_up=set_up, load=load, store_outputs=store_outputs, sum_inputs=sum_inputs
    )
