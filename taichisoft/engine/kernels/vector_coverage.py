"""Kernels of coverage on the CPU, in whole vectors: forward sums or maxima, and the adjoint.

They compute what those of `taichisoft.engine.kernels.coverage` do, and share the work alike: forward, a worker
owns bands of rows of an image and adds every face that reaches them, in the order of the faces; backward, a
worker owns faces, or slices of their rows, and reads the pixels. A vector is a block of pixels and not a piece
of a row: see `taichisoft.engine.kernels.blocks`.
"""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.block_walk import block_walk_functions
from taichisoft.engine.kernels.blocks import COLUMNS, block_functions
from taichisoft.engine.kernels.bundles import Raster, VectorTable
from taichisoft.engine.kernels.kernel import (
    Constant,
    Floats,
    IntVectors,
    Quads,
    Vectors,
    vector_kernel,
)
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.vector_curve import vector_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions


class Tiles(NamedTuple):
    """Blocks that cover an image."""

    rows: int
    columns: int


class VectorAdjointArrays(NamedTuple):
    """What `accumulate_adjoint` reads."""

    take_max: Constant
    into_cells: Constant
    raster: Raster
    tiles: Tiles
    curve: VectorTable
    slopes: VectorTable
    winner: IntVectors  # tiled
    upstream: Vectors  # tiled gradient of the totals


class VectorGradients(NamedTuple):
    """What `accumulate_adjoint` finds."""

    corners: Floats  # (N * slices * 3 * 2)
    log_width: Floats  # (workers)
    cells: Quads  # (workers * K) starts at 0; one element unless into_cells


@cache
def vector_coverage_kernels(real):
    """Compile-on-first-use kernels for a float type."""
    of = vector_functions(real)
    geo = block_functions(real)
    blocks = block_walk_functions(real)
    look = vector_lookup_functions(real)
    vec, ints, lanes = of.vec, of.ints, of.lanes
    row_of_cells = ti.types.vector(4, real)
    # Gradients of x and y of the three vertices, and of log(width).
    Sums = ti.types.struct(x0=vec, y0=vec, x1=vec, y1=vec, x2=vec, y2=vec, by_width=vec)

    @ti.func
    def accumulate_block(block: ti.template(), face: ti.template(), state: ti.template()):
        """Add a face to a block, or keep the maximum and its face."""
        index, take_max, curve, total_out, winner_out = ti.static(state)
        at = block.index
        d = geo.distance(face, block.forms, block.x)
        cell, t, _ = look.locate(d * curve.numbers[0], curve)
        amount = look.value(look.cubic(curve, cell), t)
        if ti.static(take_max):
            # Of tied faces the one with the smallest index wins.
            more = amount > total_out[at]
            total_out[at] = ti.select(more, amount, total_out[at])
            winner_out[at] = ti.select(more, ints(0) + index, winner_out[at])
        else:
            total_out[at] = total_out[at] + amount

    @vector_kernel(real)
    def accumulate(
        take_max: Constant,
        raster: Raster,
        tiles: Tiles,
        curve: VectorTable,
        band: int,  # rows of blocks a worker owns at a time
        launch: Launch,
        tiled_out: Vectors,  # tiled totals
        winner_out: IntVectors,  # tiled, face of the maximum or -1; one vector unless take_max
        total_out: Floats,  # (B * H * W)
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                height, width = ti.static((raster.height, raster.width))
                face_start = ti.static(raster.face_start)
                bands = (tiles.rows + band - 1) // band
                items = bands * (face_start.shape[0] - 1)
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    image = item // bands
                    top = (item - image * bands) * band
                    bottom = ti.min(tiles.rows, top + band)
                    origin = image * tiles.rows * tiles.columns
                    for at in range(origin + top * tiles.columns, origin + bottom * tiles.columns):
                        tiled_out[at] = vec(0.0)
                        if ti.static(take_max):
                            winner_out[at] = ints(-1)
                    for index in range(face_start[image], face_start[image + 1]):
                        first, last = blocks.blocks_of(raster.rows, index)
                        first = ti.max(top, first)
                        last = ti.min(bottom, last)
                        if first < last:
                            face = geo.face_of(raster.corners, index)
                            state = ti.static((index, take_max, curve, tiled_out, winner_out))
                            reach = curve.numbers[1]
                            blocks.walk(
                                face,
                                first,
                                last,
                                origin,
                                tiles.columns,
                                width,
                                reach,
                                accumulate_block,
                                state,
                            )
                    for row in range(top, bottom):
                        for column in range(tiles.columns):
                            found = tiled_out[origin + row * tiles.columns + column]
                            for lane in ti.static(range(lanes)):
                                y = row * geo.rows + lane // COLUMNS
                                x = column * COLUMNS + lane % COLUMNS
                                if y < height:
                                    if x < width:
                                        total_out[(image * height + y) * width + x] = found[lane]

    @ti.func
    def adjoint_block(block: ti.template(), face: ti.template(), state: ti.template()):
        """Add the gradients of a face at a block."""
        index, arrays, sums, table, cells_out = ti.static(state)
        curve, slopes = ti.static((arrays.curve, arrays.slopes))
        inv_width = curve.numbers[0]
        up = arrays.upstream[block.index]
        if ti.static(arrays.take_max):
            up = ti.select(arrays.winner[block.index] == index, up, vec(0.0))
        foot = geo.foot(face, block.forms, block.x)
        s = foot.distance * inv_width
        cell, t, dt = look.locate(s, curve)
        by_s = up * look.slope(look.cubic(curve, cell), t) * dt
        sums.by_width = sums.by_width - by_s * s
        if ti.static(slopes.pieces > 0):
            at_slope, t_slope, _ = look.locate(s, slopes)
            by_s = up * look.value(look.cubic(slopes, at_slope), t_slope)
        # Moving a vertex by m moves the foot by its share of m, and the distance by the opposite of its
        # component along the gradient.
        by_d = by_s * inv_width
        gx = by_d * foot.gx
        gy = by_d * foot.gy
        share = foot.along + foot.turned * (1.0 - 2.0 * foot.along)
        end_x = gx * share
        end_y = gy * share
        start_x = gx - end_x
        start_y = gy - end_y
        edge0 = 1.0 - foot.edge1 - foot.edge2
        sums.x0 = sums.x0 - (edge0 * start_x + foot.edge2 * end_x)
        sums.y0 = sums.y0 - (edge0 * start_y + foot.edge2 * end_y)
        sums.x1 = sums.x1 - (foot.edge1 * start_x + edge0 * end_x)
        sums.y1 = sums.y1 - (foot.edge1 * start_y + edge0 * end_y)
        sums.x2 = sums.x2 - (foot.edge2 * start_x + foot.edge1 * end_x)
        sums.y2 = sums.y2 - (foot.edge2 * start_y + foot.edge1 * end_y)
        if ti.static(arrays.into_cells):
            for lane in ti.static(range(lanes)):
                row = table + cell[lane]
                p = t[lane]
                powers = row_of_cells(1.0, p, p * p, p * p * p)
                cells_out[row] = cells_out[row] + powers * up[lane]

    @vector_kernel(real)
    def accumulate_adjoint(
        arrays: VectorAdjointArrays,
        upstream: Floats,  # (B * H * W)
        cells: int,  # rows of the table
        launch: Launch,
        gradients_out: VectorGradients,
    ):
        for at in range(
            (arrays.raster.face_start.shape[0] - 1) * arrays.tiles.rows * arrays.tiles.columns
        ):
            height, width = ti.static((arrays.raster.height, arrays.raster.width))
            row = at // arrays.tiles.columns
            column = at - row * arrays.tiles.columns
            image = row // arrays.tiles.rows
            row = row - image * arrays.tiles.rows
            up = vec(0.0)
            for lane in ti.static(range(lanes)):
                y = row * geo.rows + lane // COLUMNS
                x = column * COLUMNS + lane % COLUMNS
                if y < height:
                    if x < width:
                        up[lane] = upstream[(image * height + y) * width + x]
            arrays.upstream[at] = up
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                raster = ti.static(arrays.raster)
                tiles = ti.static(arrays.tiles)
                corners_out, log_width_out, cells_out = ti.static(gradients_out)
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                table = worker * cells
                log_width = real(0.0)
                items = raster.face_image.shape[0] * raster.slices
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    index = item // raster.slices
                    top, bottom = blocks.blocks_of(raster.rows, index)
                    count = bottom - top
                    part = item - index * raster.slices
                    first = top + count * part // raster.slices
                    last = top + count * (part + 1) // raster.slices
                    sums = Sums()
                    if raster.rows[2 * index] < raster.rows[2 * index + 1]:
                        if first < last:
                            face = geo.face_of(raster.corners, index)
                            state = ti.static((index, arrays, sums, table, cells_out))
                            origin = raster.face_image[index] * tiles.rows * tiles.columns
                            blocks.walk(
                                face,
                                first,
                                last,
                                origin,
                                tiles.columns,
                                raster.width,
                                arrays.curve.numbers[1],
                                adjoint_block,
                                state,
                            )
                    parts = ti.static((sums.x0, sums.y0, sums.x1, sums.y1, sums.x2, sums.y2))
                    for k in ti.static(range(6)):
                        corners_out[6 * item + k] = parts[k].sum()
                    log_width += sums.by_width.sum()
                log_width_out[worker] = log_width

    return SimpleNamespace(accumulate=accumulate, accumulate_adjoint=accumulate_adjoint)
