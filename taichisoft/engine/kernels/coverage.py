"""Kernels of coverage: bounds of the faces, forward sums or maxima, and the adjoint.

Forward on the CPU: a worker owns bands of rows of an image and adds every face that reaches them, in the
order of the faces. No two workers share a pixel, so there are no atomics and the result does not depend on
the number of threads. Forward on a GPU: a worker owns faces (or row slices of them) and adds to the pixels
atomically, so that two large faces and many tiny ones give work to all. Backward: a worker owns faces (or
slices) and reads the pixels, so a face's gradient stays in registers. A span of a row is walked in chunks of
`lanes` pixels whose heavy part has no branch and no store to an array, which lets LLVM vectorise it.

Every element of an output is written, or read before: on a device with its own memory Taichi uploads only
the arrays that a kernel reads and downloads all of what it writes, so an element left alone would come
back as garbage (measured on Vulkan with 1.7.4).

Work is handed out as ``slot -> worker -> items``: see `taichisoft.engine.kernels.launch`.
"""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.bundles import Corners, Raster, Table
from taichisoft.engine.kernels.curve import lookup_functions
from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, kernel
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.triangle import geometry_functions
from taichisoft.engine.kernels.walk import Part, walk_functions


class AdjointArrays(NamedTuple):
    """What `accumulate_adjoint` reads."""

    take_max: Constant
    into_cells: Constant
    raster: Raster
    curve: Table
    slopes: Table
    winner: Ints  # (B * H * W)
    upstream: Floats  # (B * H * W) gradient of the totals


class CoverageGradients(NamedTuple):
    """What `accumulate_adjoint` finds."""

    corners: Floats  # (N * slices * 3 * 4)
    log_width: Floats  # (workers)
    cells: Floats  # (workers * K * 4) starts at 0; one element unless into_cells


@cache
def coverage_kernels(real, lanes):
    """Compile-on-first-use kernels for a float type and a number of pixels at a time."""
    geo = geometry_functions(real, lanes)
    spans = walk_functions(real, lanes)
    locate, value, slope = lookup_functions(real)
    lanes_real = ti.types.vector(lanes, real)
    lanes_int = ti.types.vector(lanes, ti.i32)
    # Per lane: gradients of x and y of the three vertices, and of log(width). Kept apart until the end, since
    # a sum over lanes in every chunk costs as much as the rest.
    corner_sums = {name: lanes_real for name in ("x0", "y0", "x1", "y1", "x2", "y2")}
    Sums = ti.types.struct(**corner_sums, by_width=lanes_real)

    @kernel(real)
    def face_rows(
        corners: Corners,
        numbers: Floats,  # of the curve
        near: float,  # scene units
        num_faces: int,
        height: int,
        width: int,
        rows_out: Ints,  # (N * 2) first and past-last row; empty for a culled face
    ):
        for face in range(num_faces):
            reach = numbers[1]
            v = geo.vertices(corners, face)
            top = ti.min(v[0, 1], v[1, 1], v[2, 1]) - reach
            bottom = ti.max(v[0, 1], v[1, 1], v[2, 1]) + reach
            left = ti.min(v[0, 0], v[1, 0], v[2, 0]) - reach
            right = ti.max(v[0, 0], v[1, 0], v[2, 0]) + reach
            points, faces = ti.static((corners.points, corners.faces))
            depth = ti.min(
                points[4 * faces[3 * face] + 2],
                points[4 * faces[3 * face + 1] + 2],
                points[4 * faces[3 * face + 2] + 2],
            )
            # Positive for a face that is in front of the near plane and overlaps the image.
            overlap = ti.min(right, width - left, bottom, height - top)
            first = 0
            last = 0
            if ti.min(overlap, ti.select(depth >= near, real(1.0), real(-1.0))) > 0:
                first = ti.cast(ti.ceil(ti.max(top - real(0.5), real(0.0))), ti.i32)
                last = ti.cast(ti.floor(ti.min(bottom - real(0.5), height - real(1.0))), ti.i32) + 1
            rows_out[2 * face] = first
            rows_out[2 * face + 1] = ti.max(first, last)

    @ti.func
    def accumulate_chunk(pixels: ti.template(), part: ti.template(), state: ti.template()):
        """Add a face to pixels, or keep the maximum, or its face if naming.

        Where pixels are shared with other workers, by atomic operations; the winner is then a floating-point
        number, since atomic minima of integers lose iterations of this loop on Vulkan (measured with 1.7.4).
        """
        shared, take_max, naming, curve, total_out, winner_out = ti.static(state)
        inv_width = curve.numbers[0]
        amount = lanes_real(0.0)
        for lane in range(lanes):
            px = pixels.start + lane + real(0.5)
            d = geo.signed_distance(px, pixels.py, part.triangle)
            cell, t, _ = locate(d * inv_width, curve)
            amount[lane] = value(curve, cell, t)
        for lane in ti.static(range(lanes)):
            if pixels.start + lane < pixels.end:
                pixel = pixels.base + pixels.start + lane
                # Of tied faces the one with the smallest index wins.
                if ti.static(shared and take_max):
                    if naming == 0:
                        ti.atomic_max(total_out[pixel], amount[lane])
                    elif amount[lane] > 0:  # noqa: SIM102
                        if amount[lane] == total_out[pixel]:
                            ti.atomic_min(winner_out[pixel], ti.cast(part.face, real))
                elif ti.static(shared):
                    ti.atomic_add(total_out[pixel], amount[lane])
                elif ti.static(take_max):
                    if amount[lane] > total_out[pixel]:
                        total_out[pixel] = amount[lane]
                        winner_out[pixel] = part.face
                else:
                    total_out[pixel] = total_out[pixel] + amount[lane]

    @kernel(real)
    def accumulate(
        take_max: Constant,
        raster: Raster,
        curve: Table,
        band: int,  # rows a worker owns at a time
        launch: Launch,
        total_out: Floats,  # (B * H * W)
        winner_out: Ints,  # (B * H * W) face of the maximum or -1; one element unless take_max
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                height, width = ti.static((raster.height, raster.width))
                face_start, rows = ti.static((raster.face_start, raster.rows))
                bands = (height + band - 1) // band
                items = bands * (face_start.shape[0] - 1)
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    image = item // bands
                    top = (item - image * bands) * band
                    bottom = ti.min(height, top + band)
                    for pixel in range(
                        (image * height + top) * width, (image * height + bottom) * width
                    ):
                        total_out[pixel] = 0
                        if ti.static(take_max):
                            winner_out[pixel] = -1
                    for face in range(face_start[image], face_start[image + 1]):
                        first = ti.max(top, rows[2 * face])
                        last = ti.min(bottom, rows[2 * face + 1])
                        if first < last:
                            triangle = geo.triangle(raster.corners, face)
                            part = ti.static(Part(face, triangle, first, last))
                            state = ti.static((False, take_max, 0, curve, total_out, winner_out))
                            spans.walk(raster, part, curve.numbers[1], accumulate_chunk, state)

    @kernel(real)
    def scatter(
        take_max: Constant,
        naming: int,  # whether to name the face of the maximum; compiled apart, it would round otherwise
        raster: Raster,
        curve: Table,
        items: int,  # N * slices
        total_out: Floats,  # (B * H * W) starts at 0; if naming, the finished maximum, only read
        winner_out: Floats,  # (B * H * W) if naming, the first face of the maximum; starts at N
    ):
        for item in range(items):
            face, first, last = spans.slice_of(raster, item)
            if first < last:
                triangle = geo.triangle(raster.corners, face)
                part = ti.static(Part(face, triangle, first, last))
                state = ti.static((True, take_max, naming, curve, total_out, winner_out))
                spans.walk(raster, part, curve.numbers[1], accumulate_chunk, state)

    @ti.func
    def adjoint_chunk(pixels: ti.template(), part: ti.template(), state: ti.template()):
        """Add the gradients of a face at pixels."""
        arrays, sums, table, cells_out = ti.static(state)
        curve, slopes, upstream = ti.static((arrays.curve, arrays.slopes, arrays.upstream))
        inv_width = curve.numbers[0]
        at_cell = lanes_int(0)
        at_t = lanes_real(0.0)
        at_up = lanes_real(0.0)
        for lane in range(lanes):
            px = pixels.start + lane + real(0.5)
            # Lanes past the end of the span read a pixel but pass nothing on.
            pixel = pixels.base + ti.min(pixels.start + lane, arrays.raster.width - 1)
            up = ti.select(pixels.start + lane < pixels.end, upstream[pixel], real(0.0))
            if ti.static(arrays.take_max):
                up = ti.select(arrays.winner[pixel] == part.face, up, real(0.0))
            d, code, along, gx, gy = geo.foot_point(px, pixels.py, part.triangle)
            at, start, end = geo.ends(code, along)
            s = d * inv_width
            cell, t, dt = locate(s, curve)
            by_s = up * slope(curve, cell, t) * dt
            sums.by_width[lane] -= by_s * s
            if ti.static(slopes.pieces > 0):
                at_slope, t_slope, _ = locate(s, slopes)
                by_s = up * value(slopes, at_slope, t_slope)
            # Moving a vertex by m moves the foot by its share of m, and the distance by the opposite of its
            # component along the gradient.
            first_share = -by_s * inv_width * start
            second = -by_s * inv_width * end
            share0 = ti.select(at == 0, first_share, real(0.0))
            share1 = ti.select(at == 1, first_share, real(0.0))
            share2 = ti.select(at == 2, first_share, real(0.0))
            share0 = ti.select(at == 2, second, share0)
            share1 = ti.select(at == 0, second, share1)
            share2 = ti.select(at == 1, second, share2)
            sums.x0[lane] += share0 * gx
            sums.y0[lane] += share0 * gy
            sums.x1[lane] += share1 * gx
            sums.y1[lane] += share1 * gy
            sums.x2[lane] += share2 * gx
            sums.y2[lane] += share2 * gy
            if ti.static(arrays.into_cells):
                at_cell[lane] = cell
                at_t[lane] = t
                at_up[lane] = up
        if ti.static(arrays.into_cells):
            for lane in range(ti.min(lanes, pixels.end - pixels.start)):
                k = table + 4 * at_cell[lane]
                power = at_up[lane]
                for c in ti.static(range(4)):
                    cells_out[k + c] = cells_out[k + c] + power
                    power *= at_t[lane]

    @kernel(real)
    def accumulate_adjoint(
        arrays: AdjointArrays,
        launch: Launch,
        gradients_out: CoverageGradients,
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                raster, curve = ti.static((arrays.raster, arrays.curve))
                corners_out, log_width_out, cells_out = ti.static(gradients_out)
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                table = worker * curve.cells.shape[0]
                log_width = real(0.0)
                items = raster.face_image.shape[0] * raster.slices
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    face, first, last = spans.slice_of(raster, item)
                    sums = Sums()
                    if first < last:
                        triangle = geo.triangle(raster.corners, face)
                        part = ti.static(Part(face, triangle, first, last))
                        state = ti.static((arrays, sums, table, cells_out))
                        spans.walk(raster, part, curve.numbers[1], adjoint_chunk, state)
                    parts = ti.static((sums.x0, sums.y0, sums.x1, sums.y1, sums.x2, sums.y2))
                    for e, c in ti.static(ti.ndrange(3, 2)):
                        at = 12 * item + 4 * e + c
                        corners_out[at] = parts[2 * e + c].sum()
                        corners_out[at + 2] = 0
                    log_width += sums.by_width.sum()
                log_width_out[worker] = log_width

    return SimpleNamespace(
        face_rows=face_rows,
        accumulate=accumulate,
        scatter=scatter,
        accumulate_adjoint=accumulate_adjoint,
    )
