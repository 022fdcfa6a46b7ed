"""Kernels of the occlusion pass: front depth, weighted sums of depth and attributes, and the adjoint.

A face's depth and attributes at a pixel are interpolated, perspective-correctly, at the point of the
triangle nearest to the pixel: the pixel itself inside, its foot on the boundary outside. Weights are
``w = D Z(front - z)`` with the coverage D and the occlusion curve Z, both tabulated.

Work is laid out as in `taichisoft.kernels.coverage`; sums over channels are run-time loops, so that any
number of channels shares one compiled kernel.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.kernels.geometry import geometry_functions
from taichisoft.kernels.lookup import lookup_functions
from taichisoft.kernels.shim import ti

# The steps of the kernel `shade`.
FIND_FRONT = 0
ADD_UP = 1
FRONT_ADJOINT = 2


@cache
def shading_kernels(real):
    """Compile-on-first-use kernels for the float type `real` (``ti.f32`` or ``ti.f64``)."""
    geo = geometry_functions(real)
    locate, value, slope = lookup_functions(real)
    floats = ti.types.ndarray(real, 1)
    ints = ti.types.ndarray(ti.i32, 1)
    vec3 = ti.types.vector(3, real)
    mat32 = ti.types.matrix(3, 2, real)

    @ti.func
    def depths_and_inverses(points: ti.template(), faces: ti.template(), face):
        """Depth and inverse w of the three vertices of a face."""
        z = vec3(0.0)
        q = vec3(0.0)
        for e in ti.static(range(3)):
            z[e] = points[4 * faces[3 * face + e] + 2]
            q[e] = points[4 * faces[3 * face + e] + 3]
        return z, q

    @ti.func
    def height_over(e: ti.template(), v, normal):
        """Distance of the vertex opposite to edge e from its line."""
        return normal[e, 0] * (v[(e + 2) % 3, 0] - v[e, 0]) + normal[e, 1] * (
            v[(e + 2) % 3, 1] - v[e, 1]
        )

    @ti.func
    def barycentric(d, at, along, px, py, v, normal):
        """Barycentric coordinates of the nearest point of the triangle."""
        b = vec3(0.0)
        if d >= 0:
            for e in ti.static(range(3)):
                # Area coordinate of the vertex opposite to edge e: a ratio of heights over that edge.
                over = normal[e, 0] * (px - v[e, 0]) + normal[e, 1] * (py - v[e, 1])
                b[(e + 2) % 3] = over / height_over(e, v, normal)
        else:
            for e in ti.static(range(3)):
                b[e] = ti.select(at == e, 1 - along, ti.select(at == (e + 2) % 3, along, real(0.0)))
        return b

    @ti.func
    def coverage_at(d, curve: ti.template(), cells: ti.template(), pieces: ti.template()):
        """Coverage D and its derivative with respect to the distance in scales."""
        cell, t, dt = locate(d * curve[0], curve, pieces)
        return value(cells, cell, t), slope(cells, cell, t) * dt, cell, t

    @ti.func
    def occlusion_at(u, curve: ti.template(), cells: ti.template(), pieces: ti.template()):
        """Occlusion weight Z and its derivative at a depth difference in gammas (0 in front)."""
        # Rounding may put the front face in front of itself; the curve ends at 0. What is well in front
        # of all that is covered (a straight-through fringe) is not hidden, whatever its depth.
        cell, t, dt = locate(ti.min(u, real(0.0)), curve, pieces)
        by_u = ti.select(u < real(1e-3), slope(cells, cell, t) * dt, real(0.0))
        return value(cells, cell, t), by_u, cell, t

    @ti.kernel
    def shade(
        step: ti.template(),  # FIND_FRONT, ADD_UP or FRONT_ADJOINT
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
        coverage_curve: floats,  # see taichisoft.kernels.lookup
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
        front: floats,  # (B * H * W) nearest depth in reach, 1e30 where there is none
        front_face: ints,  # (B * H * W) the face that has it or -1
        # written by ADD_UP: sum of w, w z, w c, starting at 0; its gradient, read by FRONT_ADJOINT
        sums: floats,  # (B * H * W * (2 + C))
        # written by FRONT_ADJOINT: gradient with respect to the front depth, starting at 0
        grad_front: floats,  # (B * H * W)
    ):
        for slot in range(slots):
            if slot % stride == 0:
                reach = coverage_curve[1]
                bands = (height + band - 1) // band
                items = bands * (face_start.shape[0] - 1)
                workers = slots // stride
                worker = slot // stride
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    image = item // bands
                    top = (item - image * bands) * band
                    bottom = ti.min(height, top + band)
                    if ti.static(step == FIND_FRONT):
                        for pixel in range(
                            (image * height + top) * width, (image * height + bottom) * width
                        ):
                            front[pixel] = real(1e30)
                            front_face[pixel] = -1
                    for face in range(face_start[image], face_start[image + 1]):
                        first = ti.max(top, rows[2 * face])
                        last = ti.min(bottom, rows[2 * face + 1])
                        if first < last:
                            v, left, right, solid, normal, edge, dual, inverse = geo.triangle(
                                points, faces, face
                            )
                            z, q = depths_and_inverses(points, faces, face)
                            for row in range(first, last):
                                py = row + real(0.5)
                                begin, end = geo.row_span(
                                    v, left, right, normal, inverse, solid, py, reach, width
                                )
                                for column in range(begin, end):
                                    px = column + real(0.5)
                                    pixel = (image * height + row) * width + column
                                    d, edge_at, along, _, _ = geo.foot_point(
                                        px, py, v, normal, edge, dual, solid
                                    )
                                    weight, _, _, _ = coverage_at(
                                        d, coverage_curve, coverage_cells, coverage_pieces
                                    )
                                    if weight > least:
                                        b = barycentric(d, edge_at, along, px, py, v, normal)
                                        bq = b * q
                                        total = bq.sum()
                                        depth = bq.dot(z) / total
                                        if ti.static(step == FIND_FRONT):
                                            # Of equally near faces the first keeps the pixel.
                                            if depth < front[pixel]:
                                                front[pixel] = depth
                                                front_face[pixel] = face
                                        else:
                                            u = (front[pixel] - depth) * occlusion_curve[0]
                                            keep, keep_slope, _, _ = occlusion_at(
                                                u,
                                                occlusion_curve,
                                                occlusion_cells,
                                                occlusion_pieces,
                                            )
                                            at_sum = pixel * (2 + channels)
                                            if ti.static(step == ADD_UP):
                                                weight *= keep
                                                sums[at_sum] = sums[at_sum] + weight
                                                sums[at_sum + 1] = sums[at_sum + 1] + weight * depth
                                            by_weight = real(0.0)
                                            if ti.static(step == FRONT_ADJOINT):
                                                by_weight = sums[at_sum] + sums[at_sum + 1] * depth
                                            for c in range(channels):
                                                color = real(0.0)
                                                for e in ti.static(range(3)):
                                                    source = attribute_index[3 * face + e]
                                                    color += (
                                                        bq[e] * attributes[source * channels + c]
                                                    )
                                                color /= total
                                                at = at_sum + 2 + c
                                                if ti.static(step == ADD_UP):
                                                    sums[at] = sums[at] + weight * color
                                                else:
                                                    by_weight += sums[at] * color
                                            if ti.static(step == FRONT_ADJOINT):
                                                grad_front[pixel] = (
                                                    grad_front[pixel]
                                                    + by_weight
                                                    * weight
                                                    * keep_slope
                                                    * occlusion_curve[0]
                                                )

    @ti.kernel
    def shade_adjoint(
        into_cells: ti.template(),
        coverage_pieces: ti.template(),
        occlusion_pieces: ti.template(),
        slope_pieces: ti.template(),  # of a curve of slopes of its own; 0: the slope of the coverage
        # in
        points: floats,  # (P * 4)
        faces: ints,  # (N * 3)
        face_image: ints,  # (N)
        rows: ints,  # (N * 2)
        attributes: floats,  # (A * C)
        attribute_index: ints,  # (N * 3)
        channels: ti.i32,
        coverage_curve: floats,  # see taichisoft.kernels.lookup
        coverage_cells: floats,  # (K * 4)
        occlusion_curve: floats,
        occlusion_cells: floats,  # (L * 4)
        slope_curve: floats,
        slope_cells: floats,  # (M * 4) values of the slope; not read unless slope_pieces
        front: floats,  # (B * H * W)
        front_face: ints,  # (B * H * W)
        grad_front: floats,  # (B * H * W)
        grad_sums: floats,  # (B * H * W * (2 + C))
        height: ti.i32,
        width: ti.i32,
        slices: ti.i32,
        slots: ti.i32,
        stride: ti.i32,
        # out
        grad_corners: floats,  # (N * slices * 3 * 4)
        grad_attributes: floats,  # (N * slices * 3 * C) starts at 0
        grad_scales: floats,  # (workers * 2) with respect to log(scale) and log(gamma)
        grad_coverage: floats,  # (workers * K * 4) starts at 0; one element unless into_cells
        grad_occlusion: floats,  # (workers * L * 4) starts at 0; likewise
    ):
        for slot in range(slots):
            if slot % stride == 0:
                workers = slots // stride
                worker = slot // stride
                reach = coverage_curve[1]
                coverage_table = worker * coverage_cells.shape[0]
                occlusion_table = worker * occlusion_cells.shape[0]
                log_scale = real(0.0)
                log_gamma = real(0.0)
                items = face_image.shape[0] * slices
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    face = item // slices
                    count = rows[2 * face + 1] - rows[2 * face]
                    first = rows[2 * face] + count * (item - face * slices) // slices
                    last = rows[2 * face] + count * (item - face * slices + 1) // slices
                    grad_v = mat32(0.0)
                    grad_z = vec3(0.0)
                    grad_q = vec3(0.0)
                    if first < last:
                        v, left, right, solid, normal, edge, dual, inverse = geo.triangle(
                            points, faces, face
                        )
                        z, q = depths_and_inverses(points, faces, face)
                        for row in range(first, last):
                            py = row + real(0.5)
                            begin, end = geo.row_span(
                                v, left, right, normal, inverse, solid, py, reach, width
                            )
                            for column in range(begin, end):
                                px = column + real(0.5)
                                pixel = (face_image[face] * height + row) * width + column
                                d, at, along, gx, gy = geo.foot_point(
                                    px, py, v, normal, edge, dual, solid
                                )
                                cover, cover_slope, cover_cell, cover_t = coverage_at(
                                    d, coverage_curve, coverage_cells, coverage_pieces
                                )
                                followed = cover_slope
                                if ti.static(slope_pieces > 0):
                                    at_slope, t_slope, _ = locate(
                                        d * coverage_curve[0], slope_curve, slope_pieces
                                    )
                                    followed = value(slope_cells, at_slope, t_slope)
                                if cover + ti.abs(followed) > 0:
                                    b = barycentric(d, at, along, px, py, v, normal)
                                    bq = b * q
                                    total = bq.sum()
                                    depth = bq.dot(z) / total
                                    u = (front[pixel] - depth) * occlusion_curve[0]
                                    keep, keep_slope, keep_cell, keep_t = occlusion_at(
                                        u, occlusion_curve, occlusion_cells, occlusion_pieces
                                    )
                                    weight = cover * keep
                                    up = pixel * (2 + channels)
                                    grad_weight = grad_sums[up] + grad_sums[up + 1] * depth
                                    # Per vertex: upstream . (attribute of the vertex - interpolated).
                                    spread = vec3(0.0)
                                    for c in range(channels):
                                        corner = vec3(0.0)
                                        for e in ti.static(range(3)):
                                            source = attribute_index[3 * face + e]
                                            corner[e] = attributes[source * channels + c]
                                        color = bq.dot(corner) / total
                                        g = grad_sums[up + 2 + c]
                                        grad_weight += g * color
                                        for e in ti.static(range(3)):
                                            spread[e] += g * weight * (corner[e] - color)
                                            k = (3 * item + e) * channels + c
                                            grad_attributes[k] = (
                                                grad_attributes[k] + g * weight * bq[e] / total
                                            )
                                    grad_keep = grad_weight * cover
                                    grad_cover = grad_weight * keep
                                    # Depth enters the sum of w z and, through u, the weight.
                                    grad_depth = (
                                        grad_sums[up + 1] * weight
                                        - grad_keep * keep_slope * occlusion_curve[0]
                                    )
                                    if front_face[pixel] == face:
                                        grad_depth += grad_front[pixel]
                                    log_gamma -= grad_keep * keep_slope * u
                                    for e in ti.static(range(3)):
                                        spread[e] += grad_depth * (z[e] - depth)
                                        grad_z[e] += grad_depth * bq[e] / total
                                        grad_q[e] += b[e] * spread[e] / total
                                    grad_b = q * spread / total

                                    s = d * coverage_curve[0]
                                    log_scale -= grad_cover * cover_slope * s
                                    by_distance = grad_cover * followed * coverage_curve[0]
                                    for e in ti.static(range(3)):
                                        share = ti.select(
                                            at == e,
                                            1 - along,
                                            ti.select(at == (e + 2) % 3, along, real(0.0)),
                                        )
                                        grad_v[e, 0] -= by_distance * share * gx
                                        grad_v[e, 1] -= by_distance * share * gy

                                    if d >= 0:
                                        # A fixed pixel: sum_k b_k v_k stays, so db = -b_m grad(b) . dv_m.
                                        hx = real(0.0)
                                        hy = real(0.0)
                                        for e in ti.static(range(3)):
                                            by_b = grad_b[(e + 2) % 3] / height_over(e, v, normal)
                                            hx += by_b * normal[e, 0]
                                            hy += by_b * normal[e, 1]
                                        for e in ti.static(range(3)):
                                            grad_v[e, 0] -= b[e] * hx
                                            grad_v[e, 1] -= b[e] * hy
                                    elif along * (1 - along) > 0:
                                        # Only the position along the nearest edge moves.
                                        for e in ti.static(range(3)):
                                            if at == e:
                                                by_t = grad_b[(e + 1) % 3] - grad_b[e]
                                                rx = px - v[e, 0]
                                                ry = py - v[e, 1]
                                                squared = ti.max(
                                                    edge[e, 0] * edge[e, 0]
                                                    + edge[e, 1] * edge[e, 1],
                                                    real(1e-30),
                                                )
                                                fx = by_t * (rx - 2 * along * edge[e, 0]) / squared
                                                fy = by_t * (ry - 2 * along * edge[e, 1]) / squared
                                                grad_v[(e + 1) % 3, 0] += fx
                                                grad_v[(e + 1) % 3, 1] += fy
                                                grad_v[e, 0] -= fx + by_t * dual[e, 0]
                                                grad_v[e, 1] -= fy + by_t * dual[e, 1]

                                    if ti.static(into_cells):
                                        k = coverage_table + 4 * cover_cell
                                        j = occlusion_table + 4 * keep_cell
                                        power = grad_cover
                                        power_z = grad_keep
                                        for c in ti.static(range(4)):
                                            grad_coverage[k + c] = grad_coverage[k + c] + power
                                            grad_occlusion[j + c] = grad_occlusion[j + c] + power_z
                                            power *= cover_t
                                            power_z *= keep_t
                    for e in ti.static(range(3)):
                        k = (3 * item + e) * 4
                        grad_corners[k] = grad_v[e, 0]
                        grad_corners[k + 1] = grad_v[e, 1]
                        grad_corners[k + 2] = grad_z[e]
                        grad_corners[k + 3] = grad_q[e]
                grad_scales[2 * worker] = log_scale
                grad_scales[2 * worker + 1] = log_gamma

    return SimpleNamespace(shade=shade, shade_adjoint=shade_adjoint)
