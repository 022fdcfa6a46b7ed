"""Kernels of blending: front depth, and weighted sums of depth and attributes.

Work is laid out as in `taichisoft.engine.kernels.coverage`; sums over channels are run-time loops, so that
any number of channels shares one compiled kernel. `taichisoft.engine.kernels.blend_adjoint` has the adjoint.
"""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blend_functions import blend_functions
from taichisoft.engine.kernels.bundles import Raster, Table
from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, kernel
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.triangle import geometry_functions
from taichisoft.engine.kernels.walk import Part, walk_functions

# The steps of the kernels.
FIND_FRONT = 0
ADD_UP = 1
FRONT_ADJOINT = 2


class Attributes(NamedTuple):
    """What is interpolated over faces."""

    values: Floats  # (A * C)
    index: Ints  # (N * 3) rows of values
    channels: int  # C


class BlendArrays(NamedTuple):
    """What all kernels of blending read."""

    raster: Raster
    attributes: Attributes
    coverage: Table  # coverage D, not its generator
    occlusion: Table
    min_coverage: float  # above it a face counts for the front
    upstream: Floats  # ((2 + C) * B * H * W) gradient of the sums; read by adjoints only


class Planes(NamedTuple):
    """What the steps write; each reads what those before it have written."""

    front: Floats  # (B * H * W) by FIND_FRONT, starting at 1e30: nearest depth in reach
    front_face: Ints  # (B * H * W) by FIND_FRONT, starting at -1: the face that has it
    sums: Floats  # ((2 + C) * B * H * W) by ADD_UP, starting at 0: sum of w, w z, w c
    by_front: Floats  # (B * H * W) by FRONT_ADJOINT, starting at 0: gradient of the front depth


@cache
def blend_kernels(real, lanes):
    """Compile-on-first-use kernels for a float type and a number of pixels at a time."""
    geo = geometry_functions(real, lanes)
    spans = walk_functions(real, lanes)
    fragment = blend_functions(real)
    lanes_real = ti.types.vector(lanes, real)

    @ti.func
    def add(shared: ti.template(), array: ti.template(), at, amount):
        """Add to an element that other workers may share."""
        if ti.static(shared):
            ti.atomic_add(array[at], amount)
        else:
            array[at] = array[at] + amount

    @ti.func
    def blend_chunk(pixels: ti.template(), part: ti.template(), state: ti.template()):
        """Take a step of `blend` or `scatter` for a face at pixels."""
        shared, step, naming, arrays, corners, planes_out = ti.static(state)
        raster, attributes, coverage, occlusion, min_coverage, upstream = ti.static(arrays)
        front_out, front_face_out, sums_out, by_front_out = ti.static(planes_out)
        plane = front_out.shape[0]
        weight = lanes_real(0.0)
        depth = lanes_real(0.0)
        by_front = lanes_real(0.0)
        share0 = lanes_real(0.0)
        share1 = lanes_real(0.0)
        share2 = lanes_real(0.0)
        for lane in range(lanes):
            px = pixels.start + lane + real(0.5)
            d, edge_at, along, _, _ = geo.foot_point(px, pixels.py, part.triangle)
            cover, _, _, _ = fragment.coverage_at(d, coverage)
            b = fragment.barycentric(d, edge_at, along, px, pixels.py, part.triangle, corners)
            bq = b * corners.q
            share = bq / bq.sum()
            depth[lane] = share.dot(corners.z)
            # Lanes past the end of the span count for nothing.
            cover = ti.select(pixels.start + lane < pixels.end, cover, real(0.0))
            if ti.static(step == FIND_FRONT):
                weight[lane] = cover
            else:
                share0[lane] = share[0]
                share1[lane] = share[1]
                share2[lane] = share[2]
                pixel = pixels.base + ti.min(pixels.start + lane, raster.width - 1)
                u = fragment.gap(front_out[pixel], depth[lane], corners) * occlusion.numbers[0]
                keep, keep_slope, _, _ = fragment.occlusion_at(u, occlusion)
                weight[lane] = cover * keep
                if ti.static(step == FRONT_ADJOINT):
                    weight[lane] = cover * keep_slope * occlusion.numbers[0]
                    by_front[lane] = upstream[pixel] + upstream[plane + pixel] * depth[lane]
        if ti.static(step == FIND_FRONT):
            for lane in ti.static(range(lanes)):
                pixel = pixels.base + pixels.start + lane
                near = ti.select(weight[lane] > min_coverage, depth[lane], real(1e30))
                # Of equally near faces the first keeps the pixel.
                if pixels.start + lane < pixels.end:
                    if ti.static(shared):
                        # In floating point, see `accumulate_chunk`.
                        if naming == 0:
                            ti.atomic_min(front_out[pixel], near)
                        elif near < real(1e30):  # noqa: SIM102
                            if near == front_out[pixel]:
                                ti.atomic_min(front_face_out[pixel], ti.cast(part.face, real))
                    elif near < front_out[pixel]:
                        front_out[pixel] = near
                        front_face_out[pixel] = part.face
        if ti.static(step == ADD_UP):
            for lane in ti.static(range(lanes)):
                pixel = pixels.base + pixels.start + lane
                if pixels.start + lane < pixels.end:
                    add(shared, sums_out, pixel, weight[lane])
                    add(shared, sums_out, plane + pixel, weight[lane] * depth[lane])
        if ti.static(step != FIND_FRONT):
            for c in range(attributes.channels):
                # Gathered once: they are the same for all lanes.
                corner0 = attributes.values[corners.rows[0] * attributes.channels + c]
                corner1 = attributes.values[corners.rows[1] * attributes.channels + c]
                corner2 = attributes.values[corners.rows[2] * attributes.channels + c]
                at = (2 + c) * plane
                amount = lanes_real(0.0)
                for lane in range(lanes):
                    color = share0[lane] * corner0 + share1[lane] * corner1 + share2[lane] * corner2
                    if ti.static(step == ADD_UP):
                        amount[lane] = weight[lane] * color
                    else:
                        pixel = pixels.base + ti.min(pixels.start + lane, raster.width - 1)
                        by_front[lane] += upstream[at + pixel] * color
                if ti.static(step == ADD_UP):
                    for lane in ti.static(range(lanes)):
                        pixel = at + pixels.base + pixels.start + lane
                        if pixels.start + lane < pixels.end:
                            add(shared, sums_out, pixel, amount[lane])
        if ti.static(step == FRONT_ADJOINT):
            for lane in ti.static(range(lanes)):
                pixel = pixels.base + pixels.start + lane
                if pixels.start + lane < pixels.end:
                    add(shared, by_front_out, pixel, by_front[lane] * weight[lane])

    @kernel(real)
    def blend(
        step: Constant,
        arrays: BlendArrays,
        band: int,  # rows a worker owns at a time
        launch: Launch,
        planes_out: Planes,
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                raster, height = ti.static((arrays.raster, arrays.raster.height))
                rows, face_start = ti.static((raster.rows, raster.face_start))
                reach = arrays.coverage.numbers[1]
                bands = (height + band - 1) // band
                items = bands * (face_start.shape[0] - 1)
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    image = item // bands
                    top = (item - image * bands) * band
                    bottom = ti.min(height, top + band)
                    for face in range(face_start[image], face_start[image + 1]):
                        first = ti.max(top, rows[2 * face])
                        last = ti.min(bottom, rows[2 * face + 1])
                        if first < last:
                            triangle = geo.triangle(raster.corners, face)
                            corners = fragment.corners_of(arrays, face, triangle)
                            part = ti.static(Part(face, triangle, first, last))
                            state = ti.static((False, step, 0, arrays, corners, planes_out))
                            spans.walk(raster, part, reach, blend_chunk, state)

    @kernel(real)
    def scatter(
        step: Constant,
        naming: int,  # whether FIND_FRONT names the face; compiled apart, it would round otherwise
        arrays: BlendArrays,
        items: int,  # N * slices
        # as in `Planes`, but front_face_out is written when naming, and starts at N
        front_out: Floats,  # (B * H * W)
        front_face_out: Floats,  # (B * H * W)
        sums_out: Floats,  # ((2 + C) * B * H * W)
        by_front_out: Floats,  # (B * H * W)
    ):
        for item in range(items):
            planes_out = ti.static(Planes(front_out, front_face_out, sums_out, by_front_out))
            face, first, last = spans.slice_of(arrays.raster, item)
            if first < last:
                triangle = geo.triangle(arrays.raster.corners, face)
                corners = fragment.corners_of(arrays, face, triangle)
                part = ti.static(Part(face, triangle, first, last))
                state = ti.static((True, step, naming, arrays, corners, planes_out))
                reach = arrays.coverage.numbers[1]
                spans.walk(arrays.raster, part, reach, blend_chunk, state)

    return SimpleNamespace(blend=blend, scatter=scatter)
