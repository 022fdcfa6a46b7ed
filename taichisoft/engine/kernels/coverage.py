"""Kernels that accumulate coverage: bounds of the faces, forward sums or maxima, and the adjoint.

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

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.curve import lookup_functions
from taichisoft.engine.kernels.direct import Direct
from taichisoft.engine.kernels.triangle import geometry_functions


@cache
def coverage_kernels(real, lanes):
    """Compile-on-first-use kernels for a float type and a number of pixels at a time."""
    geo = geometry_functions(real, lanes)
    locate, value, slope = lookup_functions(real)
    floats = ti.types.ndarray(real, 1)
    ints = ti.types.ndarray(ti.i32, 1)
    lanes_real = ti.types.vector(lanes, real)
    lanes_int = ti.types.vector(lanes, ti.i32)

    @ti.kernel
    def face_rows(
        # in
        points: floats,  # (P * 4) x, y, depth, inverse w
        faces: ints,  # (N * 3) rows of points
        curve: floats,  # see taichisoft.engine.kernels.curve
        near: real,  # scene units
        num_faces: ti.i32,
        height: ti.i32,
        width: ti.i32,
        # out
        rows_out: ints,  # (N * 2) first and past-last row; empty for a culled face
    ):
        for face in range(num_faces):
            reach = curve[1]
            v = geo.corners(points, faces, face)
            top = ti.min(v[0, 1], v[1, 1], v[2, 1]) - reach
            bottom = ti.max(v[0, 1], v[1, 1], v[2, 1]) + reach
            left = ti.min(v[0, 0], v[1, 0], v[2, 0]) - reach
            right = ti.max(v[0, 0], v[1, 0], v[2, 0]) + reach
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
    def accumulate_rows(
        shared: ti.template(),
        take_max: ti.template(),
        pieces: ti.template(),
        naming,
        image,
        face,
        first,
        last,
        height,
        width,
        points: ti.template(),
        faces: ti.template(),
        curve: ti.template(),
        cells: ti.template(),
        total_out: ti.template(),
        winner_out: ti.template(),
    ):
        """Add one face to the rows first..last - 1 of an image, or keep the maximum, or its face if naming.

        Where pixels are shared with other workers, by atomic operations; the winner is then a floating-point
        number, since atomic minima of integers lose iterations of this loop on Vulkan (measured with 1.7.4).
        """
        inv_scale = curve[0]
        reach = curve[1]
        v, left, right, solid, normal, edge, dual, inverse = geo.triangle(points, faces, face)
        for block in range((last - first + lanes - 1) // lanes):
            above = first + block * lanes
            begins, ends = geo.row_spans(v, left, right, normal, inverse, above, reach, width)
            for line in range(ti.min(lanes, last - above)):
                py = above + line + real(0.5)
                begin = begins[line]
                end = ends[line]
                base = (image * height + above + line) * width
                for chunk in range((end - begin + lanes - 1) // lanes):
                    start = begin + chunk * lanes
                    part = lanes_real(0.0)
                    for lane in range(lanes):
                        px = start + lane + real(0.5)
                        d = geo.signed_distance(px, py, v, normal, edge, dual, solid)
                        cell, t, _ = locate(d * inv_scale, curve, pieces)
                        part[lane] = value(cells, cell, t)
                    for lane in ti.static(range(lanes)):
                        if start + lane < end:
                            pixel = base + start + lane
                            # Of tied faces the one with the smallest index wins.
                            if ti.static(shared and take_max):
                                if naming == 0:
                                    ti.atomic_max(total_out[pixel], part[lane])
                                elif part[lane] > 0:  # noqa: SIM102
                                    if part[lane] == total_out[pixel]:
                                        ti.atomic_min(winner_out[pixel], ti.cast(face, real))
                            elif ti.static(shared):
                                ti.atomic_add(total_out[pixel], part[lane])
                            elif ti.static(take_max):
                                if part[lane] > total_out[pixel]:
                                    total_out[pixel] = part[lane]
                                    winner_out[pixel] = face
                            else:
                                total_out[pixel] = total_out[pixel] + part[lane]

    @ti.kernel
    def accumulate(
        take_max: ti.template(),
        pieces: ti.template(),  # number of pieces of the curve
        # in
        points: floats,  # (P * 4)
        faces: ints,  # (N * 3)
        face_start: ints,  # (B + 1) faces of image b are face_start[b] .. face_start[b + 1] - 1
        rows: ints,  # (N * 2)
        curve: floats,  # see taichisoft.engine.kernels.curve
        cells: floats,  # (K * 4)
        height: ti.i32,
        width: ti.i32,
        band: ti.i32,  # rows a worker owns at a time
        slots: ti.i32,
        stride: ti.i32,
        # out
        total_out: floats,  # (B * H * W)
        winner_out: ints,  # (B * H * W) face of the maximum or -1; one element unless take_max
    ):
        for slot in range(slots):
            if slot % stride == 0:
                bands = (height + band - 1) // band
                items = bands * (face_start.shape[0] - 1)
                workers = slots // stride
                worker = slot // stride
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
                            accumulate_rows(
                                False,
                                take_max,
                                pieces,
                                0,
                                image,
                                face,
                                first,
                                last,
                                height,
                                width,
                                points,
                                faces,
                                curve,
                                cells,
                                total_out,
                                winner_out,
                            )

    @ti.kernel
    def scatter(
        take_max: ti.template(),
        pieces: ti.template(),
        # in
        naming: ti.i32,  # whether to name the face of the maximum; compiled apart, it would round otherwise
        points: floats,  # (P * 4)
        faces: ints,  # (N * 3)
        face_image: ints,  # (N)
        rows: ints,  # (N * 2)
        curve: floats,
        cells: floats,  # (K * 4)
        height: ti.i32,
        width: ti.i32,
        slices: ti.i32,  # row slices per face
        items: ti.i32,  # N * slices
        # out
        total_out: floats,  # (B * H * W) starts at 0; if naming, the finished maximum, only read
        winner_out: floats,  # (B * H * W) if naming, the first face of the maximum; starts at N
    ):
        for item in range(items):
            face = item // slices
            count = rows[2 * face + 1] - rows[2 * face]
            first = rows[2 * face] + count * (item - face * slices) // slices
            last = rows[2 * face] + count * (item - face * slices + 1) // slices
            if first < last:
                accumulate_rows(
                    True,
                    take_max,
                    pieces,
                    naming,
                    face_image[face],
                    face,
                    first,
                    last,
                    height,
                    width,
                    points,
                    faces,
                    curve,
                    cells,
                    total_out,
                    winner_out,
                )

    @ti.kernel
    def accumulate_adjoint(
        take_max: ti.template(),
        into_cells: ti.template(),
        pieces: ti.template(),
        slope_pieces: ti.template(),  # of a curve of slopes of its own; 0: the slope of the curve
        # in
        points: floats,  # (P * 4)
        faces: ints,  # (N * 3)
        face_image: ints,  # (N)
        rows: ints,  # (N * 2)
        curve: floats,
        cells: floats,  # (K * 4)
        slope_curve: floats,
        slope_cells: floats,  # (L * 4) values of the slope; not read unless slope_pieces
        winner: ints,  # (B * H * W)
        grad_total: floats,  # (B * H * W)
        height: ti.i32,
        width: ti.i32,
        slices: ti.i32,  # row slices per face
        slots: ti.i32,
        stride: ti.i32,
        # out
        grad_corners: floats,  # (N * slices * 3 * 4)
        grad_scale: floats,  # (workers) with respect to log(scale)
        grad_cells: floats,  # (workers * K * 4) starts at 0; one element unless into_cells
    ):
        for slot in range(slots):
            if slot % stride == 0:
                workers = slots // stride
                worker = slot // stride
                inv_scale = curve[0]
                reach = curve[1]
                table = worker * cells.shape[0]
                log_scale = real(0.0)
                items = face_image.shape[0] * slices
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    face = item // slices
                    count = rows[2 * face + 1] - rows[2 * face]
                    first = rows[2 * face] + count * (item - face * slices) // slices
                    last = rows[2 * face] + count * (item - face * slices + 1) // slices
                    # Per lane: gradients of x and y of the three vertices, and of log(scale). Kept apart
                    # until the end, since a sum over lanes in every chunk costs as much as the rest.
                    x0 = lanes_real(0.0)
                    y0 = lanes_real(0.0)
                    x1 = lanes_real(0.0)
                    y1 = lanes_real(0.0)
                    x2 = lanes_real(0.0)
                    y2 = lanes_real(0.0)
                    by_scale = lanes_real(0.0)
                    if first < last:
                        v, left, right, solid, normal, edge, dual, inverse = geo.triangle(
                            points, faces, face
                        )
                        for block in range((last - first + lanes - 1) // lanes):
                            above = first + block * lanes
                            begins, ends = geo.row_spans(
                                v, left, right, normal, inverse, above, reach, width
                            )
                            for line in range(ti.min(lanes, last - above)):
                                py = above + line + real(0.5)
                                begin = begins[line]
                                end = ends[line]
                                base = (face_image[face] * height + above + line) * width
                                for chunk in range((end - begin + lanes - 1) // lanes):
                                    start = begin + chunk * lanes
                                    at_cell = lanes_int(0)
                                    at_t = lanes_real(0.0)
                                    at_up = lanes_real(0.0)
                                    for lane in range(lanes):
                                        px = start + lane + real(0.5)
                                        # Lanes past the end of the span read a pixel but pass nothing on.
                                        pixel = base + ti.min(start + lane, width - 1)
                                        up = ti.select(
                                            start + lane < end, grad_total[pixel], real(0.0)
                                        )
                                        if ti.static(take_max):
                                            up = ti.select(winner[pixel] == face, up, real(0.0))
                                        d, at, along, gx, gy = geo.foot_point(
                                            px, py, v, normal, edge, dual, solid
                                        )
                                        s = d * inv_scale
                                        cell, t, dt = locate(s, curve, pieces)
                                        by_s = up * slope(cells, cell, t) * dt
                                        by_scale[lane] -= by_s * s
                                        if ti.static(slope_pieces > 0):
                                            at_slope, t_slope, _ = locate(
                                                s, slope_curve, slope_pieces
                                            )
                                            by_s = up * value(slope_cells, at_slope, t_slope)
                                        # Moving a vertex by m moves the foot by its share of m, and the
                                        # distance by the opposite of its component along the gradient.
                                        second = -by_s * inv_scale * along
                                        first_share = -by_s * inv_scale - second
                                        share0 = ti.select(at == 0, first_share, real(0.0))
                                        share1 = ti.select(at == 1, first_share, real(0.0))
                                        share2 = ti.select(at == 2, first_share, real(0.0))
                                        share0 = ti.select(at == 2, second, share0)
                                        share1 = ti.select(at == 0, second, share1)
                                        share2 = ti.select(at == 1, second, share2)
                                        x0[lane] += share0 * gx
                                        y0[lane] += share0 * gy
                                        x1[lane] += share1 * gx
                                        y1[lane] += share1 * gy
                                        x2[lane] += share2 * gx
                                        y2[lane] += share2 * gy
                                        if ti.static(into_cells):
                                            at_cell[lane] = cell
                                            at_t[lane] = t
                                            at_up[lane] = up
                                    if ti.static(into_cells):
                                        for lane in range(ti.min(lanes, end - start)):
                                            k = table + 4 * at_cell[lane]
                                            power = at_up[lane]
                                            for c in ti.static(range(4)):
                                                grad_cells[k + c] = grad_cells[k + c] + power
                                                power *= at_t[lane]
                    k = 12 * item
                    grad_corners[k] = x0.sum()
                    grad_corners[k + 1] = y0.sum()
                    grad_corners[k + 4] = x1.sum()
                    grad_corners[k + 5] = y1.sum()
                    grad_corners[k + 8] = x2.sum()
                    grad_corners[k + 9] = y2.sum()
                    for e in ti.static(range(3)):
                        grad_corners[k + 4 * e + 2] = 0
                        grad_corners[k + 4 * e + 3] = 0
                    log_scale += by_scale.sum()
                grad_scale[worker] = log_scale

    return SimpleNamespace(
        face_rows=Direct(face_rows),
        accumulate=Direct(accumulate),
        scatter=Direct(scatter),
        accumulate_adjoint=Direct(accumulate_adjoint),
    )
