"""Kernels of transfer: they fill the fields of a fragment map and empty them.

What a map does not differentiate is decided here: the nearest edge and whether the foot of the pixel lies on
it, the cells of the tables. Corners are rolled, so that the nearest edge runs from corner A to corner B.

What is written is as long as the chunk: on a device with its own memory the rest of a longer array would
come back as garbage.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blend_functions import TIES
from taichisoft.engine.kernels.bundles import Corners
from taichisoft.engine.kernels.curve import lookup_functions
from taichisoft.engine.kernels.fragment_bundles import (
    Chunk,
    FragmentArrays,
    FragmentSums,
    Seeds,
    SoftnessTables,
)
from taichisoft.engine.kernels.fragment_fields import (
    COORDINATES,
    COVERAGE,
    FIRST,
    SECOND,
    SHARES,
    Fixed,
    Row,
    corner_rows_of,
    fragment_fields,
)
from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, kernel
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.triangle import geometry_functions

# Numbers of a face that is set up.
FRAME = 28


@cache
def fragment_transfers(real, kind, straight):
    """Compile-on-first-use kernels that fill and empty the fields of a map, see `fragment_fields`."""
    geo = geometry_functions(real)
    locate, _, _ = lookup_functions(real)
    fields = fragment_fields(real, kind, straight)
    inputs, outputs, upstream_of = fields.inputs, fields.outputs, fields.upstream
    gradients, constants, slope_coefficients = (
        fields.gradients,
        fields.constants,
        fields.slope_coefficients,
    )
    edge_of, cell_of = fields.edge_of, fields.cell_of
    count = len(outputs)
    corner_rows = corner_rows_of(kind)
    mat32 = ti.types.matrix(3, 2, real)
    int3 = ti.types.vector(3, ti.i32)
    tie = TIES[32 if real is ti.f32 else 64]
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
        inputs[row][f] = number
        inputs[row].grad[f] = 0

    @ti.func
    def place(s, table: ti.template()):
        """Cell of an argument, position in it, and its derivative."""
        at_cell, t, rate = locate(s, table)
        # The cell of a step has no width at all.
        lost = ti.abs(rate) * (ti.abs(s) + real(1e-20)) * rounding > 0.25
        return at_cell, t, ti.select(lost, real(0.0), rate)

    @ti.func
    def rolled(k: ti.template(), code):
        """Return which corner of a face is A, B or C (0, 1, 2), given the code of the nearest edge.

        That edge runs from A, its anchor, to B.
        """
        turned = ti.select(code > 2, 1, 0)
        result = (code + 2) % 3
        if ti.static(k == 0):
            result = (code + turned) % 3
        if ti.static(k == 1):
            result = (code + 1 - turned) % 3
        return result

    @ti.func
    def corner_of(row: ti.template(), code):
        """Return which of the unrolled outputs a rolled row is, given the code of the nearest edge."""
        result = row
        if ti.static(kind != COVERAGE):
            result = rolled(row, code)
        return result

    @kernel(real)
    def set_up(
        corners: Corners,
        num_faces: int,
        frames_out: Floats,  # (N * FRAME) anchors, normals, edges, duals, codes, solidity
    ):
        """Set the faces up once for all their fragments."""
        for face in range(num_faces):
            triangle = geo.triangle(corners, face)
            v, normal = ti.static((triangle.anchor, triangle.normal))
            edge, dual = ti.static((triangle.edge, triangle.dual))
            at = FRAME * face
            for e in ti.static(range(3)):
                for c in ti.static(range(2)):
                    frames_out[at + 2 * e + c] = v[e, c]
                    frames_out[at + 6 + 2 * e + c] = normal[e, c]
                    frames_out[at + 12 + 2 * e + c] = edge[e, c]
                    frames_out[at + 18 + 2 * e + c] = dual[e, c]
                frames_out[at + 24 + e] = ti.cast(triangle.code[e], real)
            frames_out[at + 27] = triangle.solid

    @ti.func
    def frame_of(frames: ti.template(), face):
        """Read what `set_up` made of a face."""
        v = mat32(0.0)
        normal = mat32(0.0)
        edge = mat32(0.0)
        dual = mat32(0.0)
        code = int3(0)
        at = FRAME * face
        for e in ti.static(range(3)):
            for c in ti.static(range(2)):
                v[e, c] = frames[at + 2 * e + c]
                normal[e, c] = frames[at + 6 + 2 * e + c]
                edge[e, c] = frames[at + 12 + 2 * e + c]
                dual[e, c] = frames[at + 18 + 2 * e + c]
            code[e] = ti.cast(frames[at + 24 + e], ti.i32)
        # The vertices themselves are read with the other inputs.
        return geo.Triangle(v, v, normal, edge, dual, code, frames[at + 27])

    @kernel(real)
    def load(
        stage: Constant,  # VALUES, FIRST or SECOND
        corners: Corners,
        fragments: FragmentArrays,
        chunk: Chunk,
        softness: SoftnessTables,
        front: Floats,  # (F) front depth
        upstream: Floats,  # (F * outputs) gradient of the outputs; read by FIRST and SECOND
        seeds: Seeds,
    ):
        for f in range(chunk.count):
            points, faces = ti.static((corners.points, corners.faces))
            curve, slopes, occlusion = ti.static(softness)
            at_face = fragments.face[chunk.first + f]
            at_pixel = fragments.pixel[chunk.first + f]
            row = at_pixel // chunk.width % chunk.height
            px = at_pixel % chunk.width + real(0.5)
            py = row + real(0.5)
            triangle = frame_of(fragments.frames, at_face)
            v, normal = ti.static((triangle.anchor, triangle.normal))
            dual, solid = ti.static((triangle.dual, triangle.solid))
            d, code, along, _, _ = geo.foot_point(px, py, triangle)
            at, _, _ = geo.ends(code, along)
            edge_of[f] = code
            for e in ti.static(range(3)):
                source = 4 * faces[3 * at_face + rolled(e, code)]
                for c in ti.static(range(4)):
                    if ti.static(4 * e + c in corner_rows):
                        put(4 * e + c, f, points[source + c])
            ax = inputs[0][f]
            ay = inputs[1][f]
            ex = inputs[4][f] - ax
            ey = inputs[5][f] - ay
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
            constants[f, Fixed.PX] = px
            constants[f, Fixed.PY] = py
            on_line = ti.select(raw == along, real(1.0), real(0.0))
            between = ti.select(along * (1 - along) > 0, real(1.0), real(0.0))
            constants[f, Fixed.ON_LINE] = ti.select(solid == 0, on_line, between)
            constants[f, Fixed.AT_END] = along
            constants[f, Fixed.INSIDE] = ti.select(d >= 0, real(1.0), real(0.0))
            constants[f, Fixed.WINDING] = winding
            if ti.static(kind != COORDINATES):
                put(Row.WIDTH, f, 1 / curve.numbers[0])
                s = d * curve.numbers[0]
                at_cell, t, rate = place(s, curve)
                constants[f, Fixed.S] = s
                constants[f, Fixed.WIDTH] = 1 / curve.numbers[0]
                constants[f, Fixed.T] = t
                constants[f, Fixed.RATE] = rate
                cell_of[f, 0] = at_cell
                for c in ti.static(range(4)):
                    put(Row.CELL + c, f, curve.cells[4 * at_cell + c])
                if ti.static(straight):
                    slope_cell, slope_t, slope_rate = place(s, slopes)
                    constants[f, Fixed.SLOPE_T] = slope_t
                    constants[f, Fixed.SLOPE_RATE] = slope_rate
                    cell_of[f, 1] = slope_cell
                    for c in ti.static(range(4)):
                        put(Row.SLOPE_CELL + c, f, slopes.cells[4 * slope_cell + c])
                        slope_coefficients[f, c] = slopes.cells[4 * slope_cell + c]
            if ti.static(kind == SHARES):
                put(Row.GAMMA, f, 1 / occlusion.numbers[0])
                b1, b2 = coordinates(
                    d, ex, ey, px - ax, py - ay, inputs[8][f] - ax, inputs[9][f] - ay, along
                )
                q0 = (1 - b1 - b2) * inputs[3][f]
                q1 = b1 * inputs[7][f]
                q2 = b2 * inputs[11][f]
                depth = (q0 * inputs[2][f] + q1 * inputs[6][f] + q2 * inputs[10][f]) / (
                    q0 + q1 + q2
                )
                # What is in front of all that is covered (a straight-through fringe) is at the end of
                # the curve and has no slope there.
                past = (front[chunk.first + f] - depth) * occlusion.numbers[0] > 1e-3
                # What is as near as the front but for rounding is the front.
                z = ti.max(ti.abs(inputs[2][f]), ti.abs(inputs[6][f]), ti.abs(inputs[10][f]))
                level = ti.abs(front[chunk.first + f] - depth) <= real(tie) * z
                nearest = ti.select(past, depth, front[chunk.first + f])
                put(Row.FRONT, f, ti.select(level, depth, nearest))
                u = (inputs[Row.FRONT][f] - depth) * occlusion.numbers[0]
                keep_cell, keep_t, keep_rate = place(ti.min(u, real(0.0)), occlusion)
                constants[f, Fixed.U] = ti.min(u, real(0.0))
                constants[f, Fixed.KEEP_T] = keep_t
                constants[f, Fixed.KEEP_RATE] = ti.select(past, real(0.0), keep_rate)
                cell_of[f, 2] = keep_cell
                for c in ti.static(range(4)):
                    put(Row.KEEP_CELL + c, f, occlusion.cells[4 * keep_cell + c])

            for j in ti.static(range(count)):
                source = (chunk.first + f) * count + corner_of(j, code)
                if ti.static(stage == FIRST):
                    outputs[j].grad[f] = upstream[source]
                elif ti.static(stage == SECOND):
                    upstream_of[j][f] = upstream[source]
                    upstream_of[j].grad[f] = 0
            if ti.static(stage == SECOND):
                for row in ti.static(corner_rows):
                    corner = 4 * faces[3 * at_face + rolled(row // 4, code)]
                    gradients[row].grad[f] = seeds.points[corner + row % 4]
                if ti.static(kind != COORDINATES):
                    gradients[Row.WIDTH].grad[f] = seeds.widths[0]
                    for c in ti.static(range(4)):
                        gradients[Row.CELL + c].grad[f] = seeds.cells[4 * cell_of[f, 0] + c]
                if ti.static(kind == SHARES):
                    gradients[Row.GAMMA].grad[f] = seeds.widths[1]
                    gradients[Row.FRONT].grad[f] = seeds.front[chunk.first + f]
                    for c in ti.static(range(4)):
                        gradients[Row.KEEP_CELL + c].grad[f] = seeds.keep_cells[
                            4 * cell_of[f, 2] + c
                        ]

    @kernel(real)
    def store_outputs(
        n: int,
        outputs_out: Floats,  # (n * outputs)
    ):
        for f in range(n):
            for j in ti.static(range(count)):
                outputs_out[f * count + corner_of(j, edge_of[f])] = outputs[j][f]

    @kernel(real)
    def sum_inputs(
        stage: Constant,  # FIRST or SECOND
        into_cells: Constant,
        starts: Ints,  # (N + 1) first fragment of each face; fragments are sorted by face
        first_face: int,  # of the chunk
        num_faces: int,  # of the chunk
        chunk: Chunk,
        launch: Launch,
        sums_out: FragmentSums,
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                by_upstream_out, by_front_out, corners_out, widths_out = ti.static(sums_out[:4])
                cells_out, slope_cells_out, keep_cells_out = ti.static(sums_out[4:])
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                cell_table = worker * (cells_out.shape[0] // workers)
                slope_table = worker * (slope_cells_out.shape[0] // workers)
                keep_table = worker * (keep_cells_out.shape[0] // workers)
                by_width = real(0.0)
                by_gamma = real(0.0)
                for turn in range((num_faces - worker + workers - 1) // workers):
                    face = first_face + worker + turn * workers
                    begin = ti.max(starts[face] - chunk.first, 0)
                    end = ti.min(starts[face + 1] - chunk.first, chunk.count)
                    for f in range(begin, end):
                        if ti.static(stage == SECOND):
                            for j in ti.static(range(count)):
                                out = f * count + corner_of(j, edge_of[f])
                                by_upstream_out[out] = upstream_of[j].grad[f]
                        if ti.static(kind == SHARES):
                            by_front_out[f] = inputs[Row.FRONT].grad[f]
                        for row in ti.static(corner_rows):
                            at = 12 * face + 4 * rolled(row // 4, edge_of[f]) + row % 4
                            corners_out[at] = corners_out[at] + inputs[row].grad[f]
                        if ti.static(kind != COORDINATES):
                            by_width += inputs[Row.WIDTH].grad[f]
                        if ti.static(kind == SHARES):
                            by_gamma += inputs[Row.GAMMA].grad[f]
                        if ti.static(into_cells and kind != COORDINATES):
                            for c in ti.static(range(4)):
                                at = cell_table + 4 * cell_of[f, 0] + c
                                cells_out[at] = cells_out[at] + inputs[Row.CELL + c].grad[f]
                                if ti.static(straight):
                                    at = slope_table + 4 * cell_of[f, 1] + c
                                    slope_cells_out[at] = (
                                        slope_cells_out[at] + inputs[Row.SLOPE_CELL + c].grad[f]
                                    )
                                if ti.static(kind == SHARES):
                                    at = keep_table + 4 * cell_of[f, 2] + c
                                    keep_cells_out[at] = (
                                        keep_cells_out[at] + inputs[Row.KEEP_CELL + c].grad[f]
                                    )
                widths_out[2 * worker] = widths_out[2 * worker] + by_width
                widths_out[2 * worker + 1] = widths_out[2 * worker + 1] + by_gamma

    return SimpleNamespace(
        set_up=set_up, load=load, store_outputs=store_outputs, sum_inputs=sum_inputs
    )
