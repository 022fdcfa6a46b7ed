"""The adjoint of the pass of occlusion: gradients of geometry, attributes and softness.

A worker owns faces or row slices of them, as in the adjoint of coverage; sums over channels are run-time
loops, so that any number of channels shares one compiled kernel.
"""

from functools import cache

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blend_functions import blend_functions
from taichisoft.engine.kernels.curve import lookup_functions
from taichisoft.engine.kernels.direct import Direct
from taichisoft.engine.kernels.triangle import geometry_functions


@cache
def blend_adjoint_kernel(real, lanes):
    """Compile-on-first-use kernel for a float type and a number of pixels at a time."""
    geo = geometry_functions(real, lanes)
    fragment = blend_functions(real)
    locate, value, _ = lookup_functions(real)
    floats = ti.types.ndarray(real, 1)
    ints = ti.types.ndarray(ti.i32, 1)
    vec3 = ti.types.vector(3, real)
    lanes_real = ti.types.vector(lanes, real)
    lanes_int = ti.types.vector(lanes, ti.i32)

    @ti.func
    def inverse_squares(edge):
        """Per edge, 1 / squared length."""
        inverse = vec3(0.0)
        for e in ti.static(range(3)):
            squared = edge[e, 0] * edge[e, 0] + edge[e, 1] * edge[e, 1]
            inverse[e] = 1 / ti.max(squared, real(1e-30))
        return inverse

    @ti.kernel
    def blend_adjoint(
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
        coverage_curve: floats,  # see taichisoft.engine.kernels.curve
        coverage_cells: floats,  # (K * 4)
        occlusion_curve: floats,
        occlusion_cells: floats,  # (L * 4)
        slope_curve: floats,
        slope_cells: floats,  # (M * 4) values of the slope; not read unless slope_pieces
        front: floats,  # (B * H * W)
        front_face: ints,  # (B * H * W)
        grad_front: floats,  # (B * H * W)
        grad_sums: floats,  # ((2 + C) * B * H * W)
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
                plane = front.shape[0]
                log_scale = real(0.0)
                log_gamma = real(0.0)
                items = face_image.shape[0] * slices
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    face = item // slices
                    count = rows[2 * face + 1] - rows[2 * face]
                    first = rows[2 * face] + count * (item - face * slices) // slices
                    last = rows[2 * face] + count * (item - face * slices + 1) // slices
                    # Per lane, see accumulate_adjoint: gradients of x, y, depth and inverse w.
                    x0 = lanes_real(0.0)
                    y0 = lanes_real(0.0)
                    z0 = lanes_real(0.0)
                    q0 = lanes_real(0.0)
                    x1 = lanes_real(0.0)
                    y1 = lanes_real(0.0)
                    z1 = lanes_real(0.0)
                    q1 = lanes_real(0.0)
                    x2 = lanes_real(0.0)
                    y2 = lanes_real(0.0)
                    z2 = lanes_real(0.0)
                    q2 = lanes_real(0.0)
                    by_scale = lanes_real(0.0)
                    by_gamma = lanes_real(0.0)
                    if first < last:
                        v, left, right, solid, normal, edge, dual, inverse = geo.triangle(
                            points, faces, face
                        )
                        z, q = fragment.depths_and_inverses(points, faces, face)
                        index = fragment.corners_of(attribute_index, face)
                        inverse_height = fragment.inverse_heights(v, normal)
                        inverse_squared = inverse_squares(edge)
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
                                    # Of the fragments: shares of the vertices in depth and attributes,
                                    # cover and keep; then, added up over the channels, the upstream of
                                    # the weight and of the shares.
                                    share0 = lanes_real(0.0)
                                    share1 = lanes_real(0.0)
                                    share2 = lanes_real(0.0)
                                    covers = lanes_real(0.0)
                                    keeps = lanes_real(0.0)
                                    grad_weight = lanes_real(0.0)
                                    spread0 = lanes_real(0.0)
                                    spread1 = lanes_real(0.0)
                                    spread2 = lanes_real(0.0)
                                    for lane in range(lanes):
                                        px = start + lane + real(0.5)
                                        pixel = base + ti.min(start + lane, width - 1)
                                        d, at, along, _, _ = geo.foot_point(
                                            px, py, v, normal, edge, dual, solid
                                        )
                                        cover, _, _, _ = fragment.coverage_at(
                                            d, coverage_curve, coverage_cells, coverage_pieces
                                        )
                                        b = fragment.barycentric(
                                            d, at, along, px, py, v, normal, inverse_height
                                        )
                                        bq = b * q
                                        share = bq / bq.sum()
                                        depth = share.dot(z)
                                        u = (front[pixel] - depth) * occlusion_curve[0]
                                        keep, _, _, _ = fragment.occlusion_at(
                                            u, occlusion_curve, occlusion_cells, occlusion_pieces
                                        )
                                        share0[lane] = share[0]
                                        share1[lane] = share[1]
                                        share2[lane] = share[2]
                                        covers[lane] = cover
                                        keeps[lane] = keep
                                        grad_weight[lane] = (
                                            grad_sums[pixel] + grad_sums[plane + pixel] * depth
                                        )
                                    for c in range(channels):
                                        corner0 = attributes[index[0] * channels + c]
                                        corner1 = attributes[index[1] * channels + c]
                                        corner2 = attributes[index[2] * channels + c]
                                        part0 = lanes_real(0.0)
                                        part1 = lanes_real(0.0)
                                        part2 = lanes_real(0.0)
                                        for lane in range(lanes):
                                            pixel = base + ti.min(start + lane, width - 1)
                                            g = grad_sums[(2 + c) * plane + pixel]
                                            color = (
                                                share0[lane] * corner0
                                                + share1[lane] * corner1
                                                + share2[lane] * corner2
                                            )
                                            grad_weight[lane] += g * color
                                            gw = g * covers[lane] * keeps[lane]
                                            # Lanes past the end of the span pass nothing on.
                                            gw = ti.select(start + lane < end, gw, real(0.0))
                                            spread0[lane] += gw * (corner0 - color)
                                            spread1[lane] += gw * (corner1 - color)
                                            spread2[lane] += gw * (corner2 - color)
                                            part0[lane] = gw * share0[lane]
                                            part1[lane] = gw * share1[lane]
                                            part2[lane] = gw * share2[lane]
                                        k = 3 * item * channels + c
                                        grad_attributes[k] = grad_attributes[k] + part0.sum()
                                        k += channels
                                        grad_attributes[k] = grad_attributes[k] + part1.sum()
                                        k += channels
                                        grad_attributes[k] = grad_attributes[k] + part2.sum()
                                    cover_cells = lanes_int(0)
                                    cover_ts = lanes_real(0.0)
                                    cover_ups = lanes_real(0.0)
                                    keep_cells = lanes_int(0)
                                    keep_ts = lanes_real(0.0)
                                    keep_ups = lanes_real(0.0)
                                    # Found again, as keeping more lanes costs more than finding them.
                                    for lane in range(lanes):
                                        px = start + lane + real(0.5)
                                        pixel = base + ti.min(start + lane, width - 1)
                                        d, at, along, gx, gy = geo.foot_point(
                                            px, py, v, normal, edge, dual, solid
                                        )
                                        cover, cover_slope, cover_cell, cover_t = (
                                            fragment.coverage_at(
                                                d, coverage_curve, coverage_cells, coverage_pieces
                                            )
                                        )
                                        s = d * coverage_curve[0]
                                        followed = cover_slope
                                        if ti.static(slope_pieces > 0):
                                            at_slope, t_slope, _ = locate(
                                                s, slope_curve, slope_pieces
                                            )
                                            followed = value(slope_cells, at_slope, t_slope)
                                        b = fragment.barycentric(
                                            d, at, along, px, py, v, normal, inverse_height
                                        )
                                        bq = b * q
                                        by_total = 1 / bq.sum()
                                        share = bq * by_total
                                        depth = share.dot(z)
                                        u = (front[pixel] - depth) * occlusion_curve[0]
                                        keep, keep_slope, keep_cell, keep_t = fragment.occlusion_at(
                                            u, occlusion_curve, occlusion_cells, occlusion_pieces
                                        )
                                        # A face that neither covers nor would: nothing to pass on.
                                        live = ti.select(cover + ti.abs(followed) > 0, 1, 0)
                                        live = ti.select(start + lane < end, live, 0)
                                        up = ti.select(live > 0, grad_weight[lane], real(0.0))
                                        grad_keep = up * cover
                                        grad_cover = up * keep
                                        # Depth enters the sum of w z and, through u, the weight.
                                        grad_depth = grad_sums[plane + pixel] * cover * keep
                                        grad_depth += ti.select(
                                            front_face[pixel] == face, grad_front[pixel], real(0.0)
                                        )
                                        grad_depth = ti.select(live > 0, grad_depth, real(0.0))
                                        by_u = grad_keep * keep_slope
                                        grad_depth -= by_u * occlusion_curve[0]
                                        by_gamma[lane] -= by_u * u
                                        by_scale[lane] -= grad_cover * cover_slope * s

                                        spread = vec3(spread0[lane], spread1[lane], spread2[lane])
                                        spread = (spread + grad_depth * (z - depth)) * by_total
                                        by_z = grad_depth * share
                                        by_q = b * spread
                                        grad_b = q * spread
                                        z0[lane] += by_z[0]
                                        z1[lane] += by_z[1]
                                        z2[lane] += by_z[2]
                                        q0[lane] += by_q[0]
                                        q1[lane] += by_q[1]
                                        q2[lane] += by_q[2]

                                        # The distance: the foot moves with its edge.
                                        by_distance = grad_cover * followed * coverage_curve[0]
                                        grad_x = vec3(0.0)
                                        grad_y = vec3(0.0)
                                        # Inside, a fixed pixel: sum_k b_k v_k stays, hence
                                        # db = -b_m grad(b) . dv_m.
                                        hx = real(0.0)
                                        hy = real(0.0)
                                        for e in ti.static(range(3)):
                                            by_b = grad_b[(e + 2) % 3] * inverse_height[e]
                                            hx += by_b * normal[e, 0]
                                            hy += by_b * normal[e, 1]
                                        hx = ti.select(d >= 0, hx, real(0.0))
                                        hy = ti.select(d >= 0, hy, real(0.0))
                                        # Outside, only the position along the nearest edge moves.
                                        slides = ti.select(d >= 0, real(0.0), along * (1 - along))
                                        for e in ti.static(range(3)):
                                            foot = ti.select(
                                                at == e,
                                                1 - along,
                                                ti.select(at == (e + 2) % 3, along, real(0.0)),
                                            )
                                            grad_x[e] -= by_distance * foot * gx + b[e] * hx
                                            grad_y[e] -= by_distance * foot * gy + b[e] * hy
                                            by_t = grad_b[(e + 1) % 3] - grad_b[e]
                                            by_t = ti.select(at == e, by_t, real(0.0))
                                            by_t = ti.select(slides > 0, by_t, real(0.0))
                                            by_r = by_t * inverse_squared[e]
                                            fx = by_r * (px - v[e, 0] - 2 * along * edge[e, 0])
                                            fy = by_r * (py - v[e, 1] - 2 * along * edge[e, 1])
                                            grad_x[(e + 1) % 3] += fx
                                            grad_y[(e + 1) % 3] += fy
                                            grad_x[e] -= fx + by_t * dual[e, 0]
                                            grad_y[e] -= fy + by_t * dual[e, 1]
                                        x0[lane] += grad_x[0]
                                        x1[lane] += grad_x[1]
                                        x2[lane] += grad_x[2]
                                        y0[lane] += grad_y[0]
                                        y1[lane] += grad_y[1]
                                        y2[lane] += grad_y[2]
                                        if ti.static(into_cells):
                                            cover_cells[lane] = cover_cell
                                            cover_ts[lane] = cover_t
                                            cover_ups[lane] = grad_cover
                                            keep_cells[lane] = keep_cell
                                            keep_ts[lane] = keep_t
                                            keep_ups[lane] = grad_keep
                                    if ti.static(into_cells):
                                        for lane in range(ti.min(lanes, end - start)):
                                            k = coverage_table + 4 * cover_cells[lane]
                                            j = occlusion_table + 4 * keep_cells[lane]
                                            power = cover_ups[lane]
                                            power_z = keep_ups[lane]
                                            for c in ti.static(range(4)):
                                                grad_coverage[k + c] = grad_coverage[k + c] + power
                                                grad_occlusion[j + c] = (
                                                    grad_occlusion[j + c] + power_z
                                                )
                                                power *= cover_ts[lane]
                                                power_z *= keep_ts[lane]
                    k = 12 * item
                    grad_corners[k] = x0.sum()
                    grad_corners[k + 1] = y0.sum()
                    grad_corners[k + 2] = z0.sum()
                    grad_corners[k + 3] = q0.sum()
                    grad_corners[k + 4] = x1.sum()
                    grad_corners[k + 5] = y1.sum()
                    grad_corners[k + 6] = z1.sum()
                    grad_corners[k + 7] = q1.sum()
                    grad_corners[k + 8] = x2.sum()
                    grad_corners[k + 9] = y2.sum()
                    grad_corners[k + 10] = z2.sum()
                    grad_corners[k + 11] = q2.sum()
                    log_scale += by_scale.sum()
                    log_gamma += by_gamma.sum()
                grad_scales[2 * worker] = log_scale
                grad_scales[2 * worker + 1] = log_gamma

    return Direct(blend_adjoint)
