"""Kernels of the occlusion pass: front depth, and weighted sums of depth and attributes.

Work is laid out as in `taichisoft.engine.kernels.coverage`; sums over channels are run-time loops, so that
any number of channels shares one compiled kernel. `taichisoft.engine.kernels.blend_adjoint` has the adjoint.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blend_functions import blend_functions
from taichisoft.engine.kernels.direct import Direct
from taichisoft.engine.kernels.triangle import geometry_functions

# The steps of the kernels.
FIND_FRONT = 0
ADD_UP = 1
FRONT_ADJOINT = 2


@cache
def blend_kernels(real, lanes):
    """Compile-on-first-use kernels for a float type and a number of pixels at a time."""
    geo = geometry_functions(real, lanes)
    fragment = blend_functions(real)
    floats = ti.types.ndarray(real, 1)
    ints = ti.types.ndarray(ti.i32, 1)
    lanes_real = ti.types.vector(lanes, real)

    @ti.func
    def add(shared: ti.template(), array: ti.template(), at, amount):
        """Add to an element that other workers may share."""
        if ti.static(shared):
            ti.atomic_add(array[at], amount)
        else:
            array[at] = array[at] + amount

    @ti.func
    def blend_rows(
        shared: ti.template(),
        step: ti.template(),
        coverage_pieces: ti.template(),
        occlusion_pieces: ti.template(),
        naming,
        image,
        face,
        first,
        last,
        height,
        width,
        plane,
        channels,
        least,
        points: ti.template(),
        faces: ti.template(),
        attributes: ti.template(),
        attribute_index: ti.template(),
        coverage_curve: ti.template(),
        coverage_cells: ti.template(),
        occlusion_curve: ti.template(),
        occlusion_cells: ti.template(),
        front: ti.template(),
        front_face: ti.template(),
        sums: ti.template(),
        grad_front: ti.template(),
    ):
        """Take a step of `blend` or `scatter` for one face in the rows first..last - 1 of an image."""
        reach = coverage_curve[1]
        v, left, right, solid, normal, edge, dual, inverse = geo.triangle(points, faces, face)
        z, q = fragment.depths_and_inverses(points, faces, face)
        index = fragment.corners_of(attribute_index, face)
        inverse_height = fragment.inverse_heights(v, normal)
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
                    weight = lanes_real(0.0)
                    depth = lanes_real(0.0)
                    by_front = lanes_real(0.0)
                    share0 = lanes_real(0.0)
                    share1 = lanes_real(0.0)
                    share2 = lanes_real(0.0)
                    for lane in range(lanes):
                        px = start + lane + real(0.5)
                        d, edge_at, along, _, _ = geo.foot_point(
                            px, py, v, normal, edge, dual, solid
                        )
                        cover, _, _, _ = fragment.coverage_at(
                            d, coverage_curve, coverage_cells, coverage_pieces
                        )
                        b = fragment.barycentric(
                            d, edge_at, along, px, py, v, normal, inverse_height
                        )
                        bq = b * q
                        share = bq / bq.sum()
                        depth[lane] = share.dot(z)
                        # Lanes past the end of the span count for nothing.
                        cover = ti.select(start + lane < end, cover, real(0.0))
                        if ti.static(step == FIND_FRONT):
                            weight[lane] = cover
                        else:
                            share0[lane] = share[0]
                            share1[lane] = share[1]
                            share2[lane] = share[2]
                            pixel = base + ti.min(start + lane, width - 1)
                            u = (front[pixel] - depth[lane]) * occlusion_curve[0]
                            keep, keep_slope, _, _ = fragment.occlusion_at(
                                u,
                                occlusion_curve,
                                occlusion_cells,
                                occlusion_pieces,
                            )
                            weight[lane] = cover * keep
                            if ti.static(step == FRONT_ADJOINT):
                                weight[lane] = cover * keep_slope * occlusion_curve[0]
                                by_front[lane] = sums[pixel] + sums[plane + pixel] * depth[lane]
                    if ti.static(step == FIND_FRONT):
                        for lane in ti.static(range(lanes)):
                            pixel = base + start + lane
                            near = ti.select(weight[lane] > least, depth[lane], real(1e30))
                            # Of equally near faces the first keeps the pixel.
                            if start + lane < end:
                                if ti.static(shared):
                                    # In floating point, see `accumulate_rows`.
                                    if naming == 0:
                                        ti.atomic_min(front[pixel], near)
                                    elif near < real(1e30):  # noqa: SIM102
                                        if near == front[pixel]:
                                            ti.atomic_min(front_face[pixel], ti.cast(face, real))
                                elif near < front[pixel]:
                                    front[pixel] = near
                                    front_face[pixel] = face
                    if ti.static(step == ADD_UP):
                        for lane in ti.static(range(lanes)):
                            pixel = base + start + lane
                            if start + lane < end:
                                add(shared, sums, pixel, weight[lane])
                                add(shared, sums, plane + pixel, weight[lane] * depth[lane])
                    if ti.static(step != FIND_FRONT):
                        for c in range(channels):
                            # Gathered once: they are the same for all lanes.
                            corner0 = attributes[index[0] * channels + c]
                            corner1 = attributes[index[1] * channels + c]
                            corner2 = attributes[index[2] * channels + c]
                            at = (2 + c) * plane
                            part = lanes_real(0.0)
                            for lane in range(lanes):
                                color = (
                                    share0[lane] * corner0
                                    + share1[lane] * corner1
                                    + share2[lane] * corner2
                                )
                                if ti.static(step == ADD_UP):
                                    part[lane] = weight[lane] * color
                                else:
                                    pixel = base + ti.min(start + lane, width - 1)
                                    by_front[lane] += sums[at + pixel] * color
                            if ti.static(step == ADD_UP):
                                for lane in ti.static(range(lanes)):
                                    pixel = at + base + start + lane
                                    if start + lane < end:
                                        add(shared, sums, pixel, part[lane])
                    if ti.static(step == FRONT_ADJOINT):
                        for lane in ti.static(range(lanes)):
                            pixel = base + start + lane
                            if start + lane < end:
                                add(shared, grad_front, pixel, by_front[lane] * weight[lane])

    @ti.kernel
    def blend(
        step: ti.template(),
        coverage_pieces: ti.template(),
        occlusion_pieces: ti.template(),
        # in
        points: floats,  # (P * 4)
        faces: ints,  # (N * 3)
        face_start: ints,  # (B + 1)
        rows: ints,  # (N * 2)
        attributes: floats,  # (A * C)
        attribute_index: ints,  # (N * 3)
        channels: ti.i32,
        coverage_curve: floats,  # see taichisoft.engine.kernels.curve
        coverage_cells: floats,  # (K * 4) coverage D, not its generator
        occlusion_curve: floats,
        occlusion_cells: floats,  # (K * 4)
        least: real,  # coverage above which a face counts
        height: ti.i32,
        width: ti.i32,
        band: ti.i32,
        slots: ti.i32,
        stride: ti.i32,
        # written by FIND_FRONT, read by the others
        front: floats,  # (B * H * W) nearest depth in reach, starting at 1e30
        front_face: ints,  # (B * H * W) the face that has it, starting at -1
        # written by ADD_UP: sum of w, w z, w c, starting at 0; its gradient, read by FRONT_ADJOINT
        sums: floats,  # ((2 + C) * B * H * W)
        # written by FRONT_ADJOINT: gradient with respect to the front depth, starting at 0
        grad_front: floats,  # (B * H * W)
    ):
        for slot in range(slots):
            if slot % stride == 0:
                plane = (face_start.shape[0] - 1) * height * width
                bands = (height + band - 1) // band
                items = bands * (face_start.shape[0] - 1)
                workers = slots // stride
                worker = slot // stride
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    image = item // bands
                    top = (item - image * bands) * band
                    bottom = ti.min(height, top + band)
                    for face in range(face_start[image], face_start[image + 1]):
                        first = ti.max(top, rows[2 * face])
                        last = ti.min(bottom, rows[2 * face + 1])
                        if first < last:
                            blend_rows(
                                False,
                                step,
                                coverage_pieces,
                                occlusion_pieces,
                                0,
                                image,
                                face,
                                first,
                                last,
                                height,
                                width,
                                plane,
                                channels,
                                least,
                                points,
                                faces,
                                attributes,
                                attribute_index,
                                coverage_curve,
                                coverage_cells,
                                occlusion_curve,
                                occlusion_cells,
                                front,
                                front_face,
                                sums,
                                grad_front,
                            )

    @ti.kernel
    def scatter(
        step: ti.template(),
        coverage_pieces: ti.template(),
        occlusion_pieces: ti.template(),
        # in
        naming: ti.i32,  # whether FIND_FRONT names the face; compiled apart, it would round otherwise
        points: floats,  # (P * 4)
        faces: ints,  # (N * 3)
        face_image: ints,  # (N)
        rows: ints,  # (N * 2)
        attributes: floats,  # (A * C)
        attribute_index: ints,  # (N * 3)
        channels: ti.i32,
        coverage_curve: floats,
        coverage_cells: floats,  # (K * 4)
        occlusion_curve: floats,
        occlusion_cells: floats,  # (K * 4)
        least: real,
        height: ti.i32,
        width: ti.i32,
        slices: ti.i32,  # row slices per face
        items: ti.i32,  # N * slices
        # as in `blend`, but front_face is written when naming, and starts at N
        front: floats,  # (B * H * W)
        front_face: floats,  # (B * H * W)
        sums: floats,  # ((2 + C) * B * H * W)
        grad_front: floats,  # (B * H * W)
    ):
        for item in range(items):
            face = item // slices
            count = rows[2 * face + 1] - rows[2 * face]
            first = rows[2 * face] + count * (item - face * slices) // slices
            last = rows[2 * face] + count * (item - face * slices + 1) // slices
            if first < last:
                blend_rows(
                    True,
                    step,
                    coverage_pieces,
                    occlusion_pieces,
                    naming,
                    face_image[face],
                    face,
                    first,
                    last,
                    height,
                    width,
                    front.shape[0],
                    channels,
                    least,
                    points,
                    faces,
                    attributes,
                    attribute_index,
                    coverage_curve,
                    coverage_cells,
                    occlusion_curve,
                    occlusion_cells,
                    front,
                    front_face,
                    sums,
                    grad_front,
                )

    return SimpleNamespace(blend=Direct(blend), scatter=Direct(scatter))
