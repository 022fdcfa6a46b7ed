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
from taichisoft.engine.kernels.block_walk import Rows, block_walk_functions
from taichisoft.engine.kernels.blocks import COLUMNS, block_functions
from taichisoft.engine.kernels.bundles import Corners
from taichisoft.engine.kernels.faces import face_functions
from taichisoft.engine.kernels.kernel import (
    Constant,
    Floats,
    IntVectors,
    Quads,
    Vectors,
    vector_kernel,
)
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.vector_bundles import Faces, Found, Tiles, VectorTable
from taichisoft.engine.kernels.vector_curve import CellsAt, LoadedTable, vector_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions


# Vectors that the adjoint keeps of each block.
KEPT = 7


class VectorAdjointArrays(NamedTuple):
    """What `accumulate_adjoint` reads."""

    take_max: Constant
    into_cells: Constant
    faces: Faces
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
    frames = face_functions(real)
    blocks = block_walk_functions(real)
    look = vector_lookup_functions(real)
    vec, ints, lanes = of.vec, of.ints, of.lanes
    row_of_cells = ti.types.vector(4, real)
    # Of an edge, of each lane: gradients of the distance, across the edge and along it, and the same times the
    # position along the edge.
    EdgeSums = ti.types.struct(normal=vec, tangent=vec, normal_far=vec, tangent_far=vec)
    Total = ti.types.struct(sum=vec)

    @ti.func
    def find_amount(block: ti.template(), place, face: ti.template(), state: ti.template()):
        """Keep the cell of the distance and the position in it."""
        index, take_max, curve, found, tiled_out, winner_out = ti.static(state)
        d = geo.distance(face, block.forms, block.x)
        cell, t, _ = look.locate(d * curve.numbers[0], curve)
        found.blocks[place] = block.index
        found.cells[place] = cell
        found.numbers[place] = t

    @ti.func
    def use_amount(place, face: ti.template(), state: ti.template()):
        """Add a face to a block, or keep the maximum and its face."""
        index, take_max, curve, found, tiled_out, winner_out = ti.static(state)
        at = found.blocks[place]
        cubic = look.cubic(curve, ti.static(CellsAt(found.cell_numbers, place * lanes)))
        amount = look.value(cubic, found.numbers[place])
        if ti.static(take_max):
            # Of tied faces the one with the smallest index wins.
            more = amount > tiled_out[at]
            tiled_out[at] = ti.select(more, amount, tiled_out[at])
            winner_out[at] = ti.select(more, ints(0) + index, winner_out[at])
        else:
            tiled_out[at] = tiled_out[at] + amount

    @vector_kernel(real)
    def set_faces_up(
        corners: Corners,
        numbers: Floats,  # of the curve
        near: float,  # scene units
        tiles: Tiles,
        launch: Launch,
        faces_out: Faces,  # frames and rows
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                groups = (faces_out.count + lanes - 1) // lanes
                for group in range(groups * worker // workers, groups * (worker + 1) // workers):
                    frames.set_up(
                        corners,
                        group * lanes,
                        numbers[1],
                        near,
                        tiles,
                        faces_out,
                    )

    @vector_kernel(real)
    def accumulate(
        take_max: Constant,
        faces: Faces,
        tiles: Tiles,
        curve: VectorTable,
        band: int,  # rows of blocks a worker owns at a time
        launch: Launch,
        found: Found,
        tiled_out: Vectors,  # tiled totals
        winner_out: IntVectors,  # tiled, face of the maximum or -1; one vector unless take_max
        total_out: Floats,  # (B * H * W)
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                bands = (tiles.rows + band - 1) // band
                items = bands * tiles.images
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                reach = curve.numbers[1]
                layout = look.layout_of(curve)
                table = ti.static(LoadedTable(*curve, layout))
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
                    for index in range(faces.start[image], faces.start[image + 1]):
                        first = ti.max(top, faces.rows[2 * index])
                        last = ti.min(bottom, faces.rows[2 * index + 1])
                        if first < last:
                            face, bounds = frames.read(faces.frames, index)
                            state = ti.static(
                                (index, take_max, table, found, tiled_out, winner_out)
                            )
                            place = worker * found.places
                            rows = ti.static(Rows(image, first, last, place, found.rows))
                            blocks.walk(
                                face, bounds, tiles, rows, reach, find_amount, use_amount, state
                            )
                    for row in range(top, bottom):
                        for column in range(tiles.columns):
                            block = tiled_out[origin + row * tiles.columns + column]
                            for lane in ti.static(range(lanes)):
                                y = row * geo.rows + lane // COLUMNS
                                x = column * COLUMNS + lane % COLUMNS
                                if y < tiles.height and x < tiles.width:
                                    total_out[(image * tiles.height + y) * tiles.width + x] = block[
                                        lane
                                    ]

    @ti.func
    def add(edge: ti.template(), normal, tangent, along):
        """Add the parts of a gradient to an edge."""
        edge.normal = edge.normal + normal
        edge.tangent = edge.tangent + tangent
        edge.normal_far = edge.normal_far + normal * along
        edge.tangent_far = edge.tangent_far + tangent * along

    @ti.func
    def by_ends(face: ti.template(), edge: ti.template(), e: ti.template()):
        """Return the gradients of x and y of the start and the end of an edge, of each lane.

        Moving an end by m moves the foot by its share of m, and the distance by the opposite of its component
        along the gradient.
        """
        nx = 0 - face.winding * face.uy[e]
        ny = face.winding * face.ux[e]
        normal = edge.normal_far - edge.normal
        tangent = edge.tangent_far - edge.tangent
        near_x = normal * nx + tangent * face.ux[e]
        near_y = normal * ny + tangent * face.uy[e]
        far_x = 0.0 - (edge.normal_far * nx + edge.tangent_far * face.ux[e])
        far_y = 0.0 - (edge.normal_far * ny + edge.tangent_far * face.uy[e])
        turned = vec(face.low[e]) < 0.0
        return (
            ti.select(turned, far_x, near_x),
            ti.select(turned, far_y, near_y),
            ti.select(turned, near_x, far_x),
            ti.select(turned, near_y, far_y),
        )

    @ti.func
    def find_gradient(block: ti.template(), place, face: ti.template(), state: ti.template()):
        """Keep what of the gradients depends on the geometry."""
        arrays, curve, found = ti.static((state[1], state[2], state[4]))
        d, across, beyond, along, second, third, inverse = geo.nearest_edge(
            face, block.forms, block.x
        )
        s = d * curve.numbers[0]
        cell, t, dt = look.locate(s, curve)
        found.blocks[place] = block.index
        found.cells[place] = cell
        at = KEPT * place
        found.numbers[at] = s
        found.numbers[at + 1] = t
        found.numbers[at + 2] = dt
        # Parts of the gradient of the distance: across the edge, which alone is there where the foot is within it,
        # and along it. On the edge itself the offset vanishes; the normal still tells where inside is.
        found.numbers[at + 3] = ti.select(beyond == face.solid, vec(1.0), across * inverse)
        found.numbers[at + 4] = beyond * inverse
        found.numbers[at + 5] = along
        found.numbers[at + 6] = ti.select(third, vec(2.0), ti.select(second, vec(1.0), vec(0.0)))

    @ti.func
    def use_gradient(place, face: ti.template(), state: ti.template()):
        """Add the gradients of a face at a block."""
        index, arrays, curve, slopes, found, sums, table, cells_out = ti.static(state)
        edge0, edge1, edge2, by_width = ti.static(sums)
        block = found.blocks[place]
        at = KEPT * place
        s = found.numbers[at]
        t = found.numbers[at + 1]
        along = found.numbers[at + 5]
        edge = found.numbers[at + 6]
        up = arrays.upstream[block]
        if ti.static(arrays.take_max):
            up = ti.select(arrays.winner[block] == index, up, vec(0.0))
        cell = ti.static(CellsAt(found.cell_numbers, place * lanes))
        by_s = up * look.slope(look.cubic(curve, cell), t) * found.numbers[at + 2]
        by_width.sum = by_width.sum - by_s * s
        if ti.static(slopes.pieces > 0):
            at_slope, t_slope, _ = look.locate(s, slopes)
            by_s = up * look.value(look.cubic(slopes, at_slope), t_slope)
        by_d = by_s * curve.numbers[0]
        normal = by_d * found.numbers[at + 3]
        tangent = by_d * found.numbers[at + 4]
        none = vec(0.0)
        is1 = edge == 1.0
        is2 = edge == 2.0
        is0 = edge == 0.0
        add(edge0, ti.select(is0, normal, none), ti.select(is0, tangent, none), along)
        add(edge1, ti.select(is1, normal, none), ti.select(is1, tangent, none), along)
        add(edge2, ti.select(is2, normal, none), ti.select(is2, tangent, none), along)
        if ti.static(arrays.into_cells):
            for lane in ti.static(range(lanes)):
                row = table + found.cell_numbers[place * lanes + lane]
                p = t[lane]
                powers = row_of_cells(1.0, p, p * p, p * p * p)
                cells_out[row] = cells_out[row] + powers * up[lane]

    @vector_kernel(real)
    def accumulate_adjoint(
        arrays: VectorAdjointArrays,
        upstream: Floats,  # (B * H * W)
        cells: int,  # rows of the table
        launch: Launch,
        found: Found,
        gradients_out: VectorGradients,
    ):
        tiles = ti.static(arrays.tiles)
        for at in range(tiles.images * tiles.rows * tiles.columns):
            row = at // tiles.columns
            column = at - row * tiles.columns
            image = row // tiles.rows
            row = row - image * tiles.rows
            up = vec(0.0)
            for lane in ti.static(range(lanes)):
                y = row * geo.rows + lane // COLUMNS
                x = column * COLUMNS + lane % COLUMNS
                if y < tiles.height and x < tiles.width:
                    up[lane] = upstream[(image * tiles.height + y) * tiles.width + x]
            arrays.upstream[at] = up
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                faces = ti.static(arrays.faces)
                corners_out, log_width_out, cells_out = ti.static(gradients_out)
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                reach = arrays.curve.numbers[1]
                layout = look.layout_of(arrays.curve)
                curve = ti.static(LoadedTable(*arrays.curve, layout))
                slopes_layout = look.layout_of(arrays.slopes)
                slopes = ti.static(LoadedTable(*arrays.slopes, slopes_layout))
                table = worker * cells
                log_width = real(0.0)
                items = faces.count * faces.slices
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    index = item // faces.slices
                    part = item - index * faces.slices
                    top = faces.rows[2 * index]
                    count = faces.rows[2 * index + 1] - top
                    first = top + count * part // faces.slices
                    last = top + count * (part + 1) // faces.slices
                    edge0 = EdgeSums()
                    edge1 = EdgeSums()
                    edge2 = EdgeSums()
                    by_width = Total()
                    face = geo.Face()
                    if first < last:
                        face, bounds = frames.read(faces.frames, index)
                        sums = ti.static((edge0, edge1, edge2, by_width))
                        state = ti.static(
                            (index, arrays, curve, slopes, found, sums, table, cells_out)
                        )
                        image = faces.image[index]
                        place = worker * found.places
                        rows = ti.static(Rows(image, first, last, place, found.rows))
                        blocks.walk(
                            face, bounds, tiles, rows, reach, find_gradient, use_gradient, state
                        )
                    sx0, sy0, ex0, ey0 = by_ends(face, edge0, 0)
                    sx1, sy1, ex1, ey1 = by_ends(face, edge1, 1)
                    sx2, sy2, ex2, ey2 = by_ends(face, edge2, 2)
                    corners_out[6 * item] = (sx0 + ex2).sum()
                    corners_out[6 * item + 1] = (sy0 + ey2).sum()
                    corners_out[6 * item + 2] = (sx1 + ex0).sum()
                    corners_out[6 * item + 3] = (sy1 + ey0).sum()
                    corners_out[6 * item + 4] = (sx2 + ex1).sum()
                    corners_out[6 * item + 5] = (sy2 + ey1).sum()
                    log_width += by_width.sum.sum()
                log_width_out[worker] = log_width

    return SimpleNamespace(
        set_faces_up=set_faces_up, accumulate=accumulate, accumulate_adjoint=accumulate_adjoint
    )
