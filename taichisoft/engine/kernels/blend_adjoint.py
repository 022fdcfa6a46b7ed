"""Kernel of the adjoint of blending: gradients of geometry, attributes and softness.

A worker owns faces or row slices of them, as in the adjoint of coverage; sums over channels are run-time
loops, so that any number of channels shares one compiled kernel.
"""

from functools import cache
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.arithmetic import lesser
from taichisoft.engine.kernels.blend import BlendArrays
from taichisoft.engine.kernels.blend_functions import blend_functions
from taichisoft.engine.kernels.bundles import Table
from taichisoft.engine.kernels.curve import lookup_functions
from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, kernel
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.triangle import geometry_functions
from taichisoft.engine.kernels.walk import Part, walk_functions


class BlendAdjointArrays(NamedTuple):
    """What `blend_adjoint` reads."""

    into_cells: Constant
    blend: BlendArrays
    slopes: Table
    front: Floats  # (B * H * W)
    front_face: Ints  # (B * H * W)
    by_front: Floats  # (B * H * W) gradient of the front depth


class BlendGradients(NamedTuple):
    """What `blend_adjoint` finds."""

    corners: Floats  # (N * slices * 3 * 4)
    attributes: Floats  # (N * slices * 3 * C) starts at 0
    log_widths: Floats  # (workers * 2) of coverage and of occlusion (gamma)
    coverage_cells: Floats  # (workers * K * 4) starts at 0; one element unless into_cells
    occlusion_cells: Floats  # (workers * L * 4) starts at 0; likewise


def by_coordinate(sums):
    """Return the sums of the three vertices, for x, y, depth and inverse w."""
    return [[getattr(sums, f"{name}{e}") for e in range(3)] for name in "xyzq"]


@cache
def blend_adjoint_kernel(real, lanes):
    """Compile-on-first-use kernel for a float type and a number of pixels at a time."""
    geo = geometry_functions(real, lanes)
    spans = walk_functions(real, lanes)
    fragment = blend_functions(real)
    locate, value, _ = lookup_functions(real)
    vec3 = ti.types.vector(3, real)
    lanes_real = ti.types.vector(lanes, real)
    lanes_int = ti.types.vector(lanes, ti.i32)
    # Per lane, as in `accumulate_adjoint`: gradients of x, y, depth and inverse w of the three vertices,
    # and of log(width) and log(gamma).
    corner_sums = {f"{name}{e}": lanes_real for e in range(3) for name in "xyzq"}
    Sums = ti.types.struct(**corner_sums, by_width=lanes_real, by_gamma=lanes_real)

    @ti.func
    def adjoint_chunk(pixels: ti.template(), part: ti.template(), state: ti.template()):
        """Add the gradients of a face at pixels."""
        arrays, worker, item, corners, sums, gradients_out = ti.static(state)
        into_cells, blend, slopes, front, front_face, by_front = ti.static(arrays)
        raster, attributes, coverage, occlusion = ti.static(blend[:4])
        upstream = ti.static(blend.upstream)
        attributes_out = ti.static(gradients_out.attributes)
        coverage_out, occlusion_out = ti.static(gradients_out[3:])
        # Added to one by one: in another order LLVM rounds otherwise.
        x, y, z, q = ti.static(by_coordinate(sums))
        plane = front.shape[0]
        # Of the fragments: shares of the vertices in depth and attributes, cover and keep; then, added up
        # over the channels, the upstream of the weight and of the shares.
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
            px = pixels.start + lane + real(0.5)
            pixel = pixels.base + ti.min(pixels.start + lane, raster.width - 1)
            d, at, along, _, _ = geo.foot_point(px, pixels.py, part.triangle)
            cover, _, _, _ = fragment.coverage_at(d, coverage)
            b = fragment.barycentric(d, at, along, px, pixels.py, part.triangle, corners)
            bq = b * corners.q
            share = bq / bq.sum()
            depth = share.dot(corners.z)
            u = fragment.gap(front[pixel], depth, corners) * occlusion.numbers[0]
            keep, _, _, _ = fragment.occlusion_at(u, occlusion)
            share0[lane] = share[0]
            share1[lane] = share[1]
            share2[lane] = share[2]
            covers[lane] = cover
            keeps[lane] = keep
            grad_weight[lane] = upstream[pixel] + upstream[plane + pixel] * depth
        for c in range(attributes.channels):
            corner0 = attributes.values[corners.rows[0] * attributes.channels + c]
            corner1 = attributes.values[corners.rows[1] * attributes.channels + c]
            corner2 = attributes.values[corners.rows[2] * attributes.channels + c]
            part0 = lanes_real(0.0)
            part1 = lanes_real(0.0)
            part2 = lanes_real(0.0)
            for lane in range(lanes):
                pixel = pixels.base + ti.min(pixels.start + lane, raster.width - 1)
                g = upstream[(2 + c) * plane + pixel]
                color = share0[lane] * corner0 + share1[lane] * corner1 + share2[lane] * corner2
                grad_weight[lane] += g * color
                gw = g * covers[lane] * keeps[lane]
                # Lanes past the end of the span pass nothing on.
                gw = ti.select(pixels.start + lane < pixels.end, gw, real(0.0))
                spread0[lane] += gw * (corner0 - color)
                spread1[lane] += gw * (corner1 - color)
                spread2[lane] += gw * (corner2 - color)
                part0[lane] = gw * share0[lane]
                part1[lane] = gw * share1[lane]
                part2[lane] = gw * share2[lane]
            k = 3 * item * attributes.channels + c
            attributes_out[k] = attributes_out[k] + part0.sum()
            k += attributes.channels
            attributes_out[k] = attributes_out[k] + part1.sum()
            k += attributes.channels
            attributes_out[k] = attributes_out[k] + part2.sum()
        cover_cells = lanes_int(0)
        cover_ts = lanes_real(0.0)
        cover_ups = lanes_real(0.0)
        keep_cells = lanes_int(0)
        keep_ts = lanes_real(0.0)
        keep_ups = lanes_real(0.0)
        # Found again, as keeping more lanes costs more than finding them.
        for lane in range(lanes):
            px = pixels.start + lane + real(0.5)
            pixel = pixels.base + ti.min(pixels.start + lane, raster.width - 1)
            d, at, along, gx, gy = geo.foot_point(px, pixels.py, part.triangle)
            cover, cover_slope, cover_cell, cover_t = fragment.coverage_at(d, coverage)
            s = d * coverage.numbers[0]
            followed = cover_slope
            if ti.static(slopes.pieces > 0):
                at_slope, t_slope, _ = locate(s, slopes)
                followed = value(slopes, at_slope, t_slope)
            b = fragment.barycentric(d, at, along, px, pixels.py, part.triangle, corners)
            bq = b * corners.q
            by_total = 1 / bq.sum()
            share = bq * by_total
            depth = share.dot(corners.z)
            u = fragment.gap(front[pixel], depth, corners) * occlusion.numbers[0]
            keep, keep_slope, keep_cell, keep_t = fragment.occlusion_at(u, occlusion)
            # A face that neither covers nor would: nothing to pass on.
            live = ti.select(cover + ti.abs(followed) > 0, 1, 0)
            live = ti.select(pixels.start + lane < pixels.end, live, 0)
            up = ti.select(live > 0, grad_weight[lane], real(0.0))
            grad_keep = up * cover
            grad_cover = up * keep
            # Depth enters the sum of w z and, through u, the weight.
            grad_depth = upstream[plane + pixel] * cover * keep
            grad_depth += ti.select(front_face[pixel] == part.face, by_front[pixel], real(0.0))
            grad_depth = ti.select(live > 0, grad_depth, real(0.0))
            by_u = grad_keep * keep_slope
            grad_depth -= by_u * occlusion.numbers[0]
            # Behind nothing u may be infinite, and has no slope.
            sums.by_gamma[lane] -= by_u * lesser(u, real(1.0))
            sums.by_width[lane] -= grad_cover * cover_slope * s

            spread = vec3(spread0[lane], spread1[lane], spread2[lane])
            spread = (spread + grad_depth * (corners.z - depth)) * by_total
            by_z = grad_depth * share
            by_q = b * spread
            grad_b = corners.q * spread
            for e in ti.static(range(3)):
                z[e][lane] += by_z[e]
            for e in ti.static(range(3)):
                q[e][lane] += by_q[e]
            by_distance = grad_cover * followed * coverage.numbers[0]
            foot = ti.static((d, at, along, gx, gy))
            grad_x, grad_y = fragment.vertices_adjoint(
                px, pixels.py, foot, b, grad_b, by_distance, part.triangle, corners
            )
            for e in ti.static(range(3)):
                x[e][lane] += grad_x[e]
            for e in ti.static(range(3)):
                y[e][lane] += grad_y[e]
            if ti.static(into_cells):
                cover_cells[lane] = cover_cell
                cover_ts[lane] = cover_t
                cover_ups[lane] = grad_cover
                keep_cells[lane] = keep_cell
                keep_ts[lane] = keep_t
                keep_ups[lane] = grad_keep
        if ti.static(into_cells):
            for lane in range(ti.min(lanes, pixels.end - pixels.start)):
                k = worker * coverage.cells.shape[0] + 4 * cover_cells[lane]
                j = worker * occlusion.cells.shape[0] + 4 * keep_cells[lane]
                power = cover_ups[lane]
                power_z = keep_ups[lane]
                for c in ti.static(range(4)):
                    coverage_out[k + c] = coverage_out[k + c] + power
                    occlusion_out[j + c] = occlusion_out[j + c] + power_z
                    power *= cover_ts[lane]
                    power_z *= keep_ts[lane]

    @kernel(real)
    def blend_adjoint(arrays: BlendAdjointArrays, launch: Launch, gradients_out: BlendGradients):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                blend, raster = ti.static((arrays.blend, arrays.blend.raster))
                corners_out = ti.static(gradients_out.corners)
                reach = blend.coverage.numbers[1]
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                log_width = real(0.0)
                log_gamma = real(0.0)
                items = raster.face_image.shape[0] * raster.slices
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    face, first, last = spans.slice_of(raster, item)
                    sums = Sums()
                    if first < last:
                        triangle = geo.triangle(raster.corners, face)
                        corners = fragment.corners_of(blend, face, triangle)
                        part = ti.static(Part(face, triangle, first, last))
                        state = ti.static((arrays, worker, item, corners, sums, gradients_out))
                        spans.walk(raster, part, reach, adjoint_chunk, state)
                    parts = ti.static(by_coordinate(sums))
                    for e, c in ti.static(ti.ndrange(3, 4)):
                        corners_out[12 * item + 4 * e + c] = parts[c][e].sum()
                    log_width += sums.by_width.sum()
                    log_gamma += sums.by_gamma.sum()
                gradients_out.log_widths[2 * worker] = log_width
                gradients_out.log_widths[2 * worker + 1] = log_gamma

    return blend_adjoint
