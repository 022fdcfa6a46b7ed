"""Kernels of the derivatives of coverage along a tangent, in whole vectors: totals and their adjoint.

Vertices, the cells of the curve and its width W move at the rates of their tangents. A face adds ``G(s)``
to a pixel at the distance d, with ``s = d / W``; with ``l' = W' / W``, and C the cubic of the tangents of
the cells, that moves by

    T' = H(s) d'/W - G_s(s) s l' + C(t),

where H is the slope in use: that of G, or a curve of its own (straight-through). That is what `tangent`
sums over faces. `second` returns the gradients of ``F = <upstream, T'>``, which is the adjoint of the
totals times the tangents. With u the upstream gradient at a pixel and t the position in the cell, of which
t_s is the slope,

    by d':     u H / W
    by s:      u (H_s d'/W - (G_ss s + G_s) l' + C_t t_s),  and by d that over W
    by log W:  -(by s) s - u H d'/W + u G_s s l',  since W' stays and not l'
    by the cells of G:  u t_s (d'/W - s l') (0, 1, 2t, 3t^2), without d'/W if H is a curve of its own
    by the cells of H:  u d'/W (1, t, t^2, t^3) with the position in those.

How d' depends on the vertices is in `taichisoft.engine.kernels.vector_motion`. Own derivation; held against
Taichi's derivative of the adjoint, see `taichisoft.engine.autodiff`.

The work is shared as in `taichisoft.engine.kernels.vector_coverage`: in `tangent` a worker owns bands of
rows, in `second` faces or slices of their rows, so that no two write to one place.
"""

from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.block_walk import Rows, block_walk_functions
from taichisoft.engine.kernels.blocks import COLUMNS, block_functions
from taichisoft.engine.kernels.edge_sums import edge_sum_functions
from taichisoft.engine.kernels.faces import face_functions
from taichisoft.engine.kernels.kernel import (
    Constant,
    Floats,
    Ints,
    IntVectors,
    Quads,
    Vectors,
    vector_kernel,
)
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.vector_bundles import Faces, Found, Tiles, VectorTable
from taichisoft.engine.kernels.vector_curve import CellsAt, LoadedTable, vector_lookup_functions
from taichisoft.engine.kernels.vector_motion import motion_functions
from taichisoft.engine.kernels.vector_planes import plane_functions
from taichisoft.engine.kernels.vectors import vector_functions

# Vectors that `tangent` and `second` keep of each block.
TANGENT_KEPT = 4
SECOND_KEPT = 11


class Tangents(NamedTuple):
    """At which rates the inputs move."""

    points: Floats  # (P * 4)
    cells: Quads  # (K) of the curve; one row unless they move
    log_width: float


class MovingCoverage(NamedTuple):
    """Coverage whose inputs move, for `tangent` and `second`."""

    take_max: Constant
    moves_cells: Constant
    faces: Faces
    corners: Ints  # (N * 3) rows of points
    tiles: Tiles
    curve: VectorTable
    slopes: VectorTable
    tangents: Tangents
    winner: IntVectors  # tiled; one vector unless take_max


class SecondArrays(NamedTuple):
    """What `second` reads besides."""

    keeps_first: Constant  # whether the adjoint for the upstream gradient is wanted too
    adds_first: Constant  # whether the adjoint for `other` is to be added
    into_cells: Constant
    into_slopes: Constant
    upstream: Floats  # (B * H * W) gradient of T'
    other: Floats  # (B * H * W) gradient of the totals; one element unless adds_first
    tiled_upstream: Vectors  # tiled, written
    tiled_other: Vectors  # tiled, written; one vector unless adds_first


class SecondGradients(NamedTuple):
    """What `second` finds."""

    corners: Floats  # (N * slices * 3 * 2)
    first_corners: Floats  # the same of the adjoint; not written unless keeps_first
    log_width: Floats  # (workers)
    cells: Quads  # (workers * K) starts at 0; one row unless into_cells
    slopes: Quads  # (workers * K of the slopes) starts at 0; one row unless into_slopes


class TangentState(NamedTuple):
    """What `tangent` hands to its device functions."""

    index: Any  # of the face
    motion: Any
    arrays: Any
    curve: Any
    slopes: Any
    found: Any
    tiled_out: Any


class SecondState(NamedTuple):
    """What `second` hands to its device functions."""

    index: Any  # of the face
    motion: Any
    arrays: Any
    others: Any
    curve: Any
    slopes: Any
    found: Any
    corners: Any
    firsts: Any
    log_width: Any
    cells: Any  # the table that a worker adds to, its first row
    cells_start: Any
    slope_cells: Any
    slope_cells_start: Any


@cache
def vector_second_kernels(real):
    """Compile-on-first-use kernels for a float type."""
    of = vector_functions(real)
    geo = block_functions(real)
    frames = face_functions(real)
    blocks = block_walk_functions(real)
    look = vector_lookup_functions(real)
    moving = motion_functions(real)
    edges = edge_sum_functions(real)
    vec, lanes = of.vec, of.lanes
    planes_of = plane_functions(real)
    row_of_cells = ti.types.vector(4, real)
    # A cell narrower than the rounding of its argument has no position in it: that of a step.
    rounding = 1.2e-7 if real is ti.f32 else 2.3e-16
    Total = ti.types.struct(sum=vec)

    @ti.func
    def place_of(s, table: ti.template()):
        """Cell, position in the cell, and d(position)/ds."""
        cell, t, dt = look.locate(s, table)
        size = of.greater(s, 0.0 - s) + 1e-20
        steep = of.greater(dt, 0.0 - dt)
        return cell, t, ti.select(steep * size * rounding > 0.25, vec(0.0), dt)

    @ti.func
    def powers(t):
        """Return how a cubic moves with its coefficients."""
        return row_of_cells(1.0, t, t * t, t * t * t)

    @ti.func
    def find_motion(block: ti.template(), place, face: ti.template(), state: ti.template()):
        """Keep the cell of the distance, the position in it, and how that moves."""
        arrays, curve, found = ti.static((state.arrays, state.curve, state.found))
        moved, _ = moving.moved(face, state.motion, block.forms, block.x, False)
        s = moved.distance * curve.numbers[0]
        cell, t, dt = place_of(s, curve)
        found.blocks[place] = block.index
        found.cells[place] = cell
        at = TANGENT_KEPT * place
        found.numbers[at] = t
        by_vertices = moved.motion * curve.numbers[0]
        by_scale = 0.0 - s * arrays.tangents.log_width
        if ti.static(arrays.slopes.pieces > 0):
            found.numbers[at + 1] = dt * by_scale
            found.numbers[at + 2] = by_vertices
            found.numbers[at + 3] = s
        else:
            found.numbers[at + 1] = dt * (by_vertices + by_scale)

    @ti.func
    def use_motion(place, face: ti.template(), state: ti.template()):
        """Add the motion of a face to a block."""
        arrays, curve, slopes = ti.static((state.arrays, state.curve, state.slopes))
        found, tiled_out = ti.static((state.found, state.tiled_out))
        block = found.blocks[place]
        at = TANGENT_KEPT * place
        t = found.numbers[at]
        cell = ti.static(CellsAt(found.cell_numbers, place * lanes))
        amount = look.slope(look.cubic(curve, cell), t) * found.numbers[at + 1]
        if ti.static(slopes.pieces > 0):
            at_slope, t_slope, _ = look.locate(found.numbers[at + 3], slopes)
            used = look.value(look.cubic(slopes, at_slope), t_slope)
            amount = amount + used * found.numbers[at + 2]
        if ti.static(arrays.moves_cells):
            amount = amount + look.value(look.cubic(arrays.tangents, cell), t)
        if ti.static(arrays.take_max):
            amount = ti.select(arrays.winner[block] == state.index, amount, vec(0.0))
        tiled_out[block] = tiled_out[block] + amount

    @vector_kernel(real)
    def tangent(
        arrays: MovingCoverage,
        band: int,  # rows of blocks a worker owns at a time
        launch: Launch,
        found: Found,
        tiled_out: Vectors,  # tiled T'
        tangent_out: Floats,  # (B * H * W) T'
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                faces, tiles = ti.static((arrays.faces, arrays.tiles))
                bands = (tiles.rows + band - 1) // band
                items = bands * tiles.images
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                reach = arrays.curve.numbers[1]
                layout = look.layout_of(arrays.curve)
                curve = ti.static(LoadedTable(*arrays.curve, layout))
                slopes_layout = look.layout_of(arrays.slopes)
                slopes = ti.static(LoadedTable(*arrays.slopes, slopes_layout))
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    image = item // bands
                    top = (item - image * bands) * band
                    bottom = ti.min(tiles.rows, top + band)
                    origin = image * tiles.rows * tiles.columns
                    for at in range(origin + top * tiles.columns, origin + bottom * tiles.columns):
                        tiled_out[at] = vec(0.0)
                    for index in range(faces.start[image], faces.start[image + 1]):
                        first = ti.max(top, faces.rows[2 * index])
                        last = ti.min(bottom, faces.rows[2 * index + 1])
                        if first < last:
                            face, bounds = frames.read(faces.frames, index)
                            motion = moving.face_motion(
                                face, arrays.corners, arrays.tangents.points, index
                            )
                            state = ti.static(
                                TangentState(index, motion, arrays, curve, slopes, found, tiled_out)
                            )
                            place = worker * found.places
                            rows = ti.static(Rows(image, first, last, place, found.rows))
                            blocks.walk(
                                face, bounds, tiles, rows, reach, find_motion, use_motion, state
                            )
                    for row in range(top, bottom):
                        for column in range(tiles.columns):
                            block = tiled_out[origin + row * tiles.columns + column]
                            for lane in ti.static(range(lanes)):
                                y = row * geo.rows + lane // COLUMNS
                                x = column * COLUMNS + lane % COLUMNS
                                if y < tiles.height and x < tiles.width:
                                    pixel = (image * tiles.height + y) * tiles.width + x
                                    tangent_out[pixel] = block[lane]

    @ti.func
    def find_second(block: ti.template(), place, face: ti.template(), state: ti.template()):
        """Keep what depends on the geometry."""
        curve, found = ti.static((state.curve, state.found))
        moved, turn = moving.moved(face, state.motion, block.forms, block.x, True)
        s = moved.distance * curve.numbers[0]
        cell, t, dt = place_of(s, curve)
        found.blocks[place] = block.index
        found.cells[place] = cell
        at = SECOND_KEPT * place
        found.numbers[at] = s
        found.numbers[at + 1] = t
        found.numbers[at + 2] = dt
        found.numbers[at + 3] = moved.motion
        found.numbers[at + 4] = moved.gn
        found.numbers[at + 5] = moved.gt
        found.numbers[at + 6] = moved.along
        found.numbers[at + 7] = moved.edge
        found.numbers[at + 8] = turn.pn
        found.numbers[at + 9] = turn.pt
        found.numbers[at + 10] = turn.q

    @ti.func
    def use_second(place, face: ti.template(), state: ti.template()):
        """Add the gradients of the motion of a face at a block."""
        arrays, others, found = ti.static((state.arrays, state.others, state.found))
        curve, slopes = ti.static((state.curve, state.slopes))
        block = found.blocks[place]
        at = SECOND_KEPT * place
        inv_width = curve.numbers[0]
        log_width = arrays.tangents.log_width
        up = others.tiled_upstream[block]
        other = vec(0.0)
        if ti.static(others.adds_first):
            other = others.tiled_other[block]
        if ti.static(arrays.take_max):
            wins = arrays.winner[block] == state.index
            up = ti.select(wins, up, vec(0.0))
            other = ti.select(wins, other, vec(0.0))
        s = found.numbers[at]
        t = found.numbers[at + 1]
        dt = found.numbers[at + 2]
        cell = ti.static(CellsAt(found.cell_numbers, place * lanes))
        cubic = look.cubic(curve, cell)
        slope = look.slope(cubic, t) * dt
        # In this order: where a curve is constant dt may be large.
        bend = look.bend(cubic, t) * dt * dt
        # The slope in use, and its own slope.
        rate = slope
        rate_slope = bend
        slope_cell = of.ints(0)
        slope_t = vec(0.0)
        if ti.static(slopes.pieces > 0):
            slope_cell, slope_t, slope_dt = place_of(s, slopes)
            own = look.cubic(slopes, slope_cell)
            rate = look.value(own, slope_t)
            rate_slope = look.slope(own, slope_t) * slope_dt
        # d'/W, and the motion of s by the width.
        by_vertices = found.numbers[at + 3] * inv_width
        by_scale = 0.0 - s * log_width
        by_s = rate_slope * by_vertices + bend * by_scale - slope * log_width
        if ti.static(arrays.moves_cells):
            by_s = by_s + look.slope(look.cubic(arrays.tangents, cell), t) * dt
        by_s = up * by_s
        used = up * rate
        by_log = 0.0 - by_s * s - used * by_vertices - up * slope * by_scale
        by_motion = used * inv_width
        if ti.static(others.adds_first):
            by_s = by_s + other * rate
            by_log = by_log - other * slope * s
        state.log_width.sum = state.log_width.sum + by_log
        by_d = by_s * inv_width
        gn = found.numbers[at + 4]
        gt = found.numbers[at + 5]
        along = found.numbers[at + 6]
        edge = found.numbers[at + 7]
        # Of da + t dE, in the frame of the edge; where g has a part along the edge there is no q.
        normal = by_motion * found.numbers[at + 8] - by_d * gn
        tangent = by_motion * found.numbers[at + 9] - by_d * gt
        normal_far = normal * along + by_motion * found.numbers[at + 10] * gn
        moving.add(state.corners, edge, normal, tangent, normal_far, tangent * along)
        if ti.static(others.keeps_first):
            normal = 0.0 - by_motion * gn
            tangent = 0.0 - by_motion * gt
            moving.add(state.firsts, edge, normal, tangent, normal * along, tangent * along)
        if ti.static(others.into_cells):
            motion_of_s = by_scale
            if ti.static(slopes.pieces == 0):
                motion_of_s = motion_of_s + by_vertices
            weight = up * dt * motion_of_s
            for lane in ti.static(range(lanes)):
                row = state.cells_start + found.cell_numbers[place * lanes + lane]
                p = t[lane]
                gradient = row_of_cells(0.0, 1.0, 2.0 * p, 3.0 * p * p) * weight[lane]
                if ti.static(others.adds_first):
                    gradient = gradient + powers(p) * other[lane]
                state.cells[row] = state.cells[row] + gradient
        if ti.static(others.into_slopes):
            weight = up * by_vertices
            for lane in ti.static(range(lanes)):
                row = state.slope_cells_start + slope_cell[lane]
                gradient = powers(slope_t[lane]) * weight[lane]
                state.slope_cells[row] = state.slope_cells[row] + gradient

    @vector_kernel(real)
    def second(
        arrays: MovingCoverage,
        others: SecondArrays,
        cells: int,  # rows of the table
        slope_cells: int,
        launch: Launch,
        found: Found,
        gradients_out: SecondGradients,
    ):
        tiles = ti.static(arrays.tiles)
        for at in range(tiles.images * tiles.rows * tiles.columns):
            above = at // tiles.columns
            column = at - above * tiles.columns
            image = above // tiles.rows
            row = above - image * tiles.rows
            others.tiled_upstream[at] = planes_of.read(others.upstream, tiles, image, row, column)
            if ti.static(others.adds_first):
                others.tiled_other[at] = planes_of.read(others.other, tiles, image, row, column)
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                faces = ti.static(arrays.faces)
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                reach = arrays.curve.numbers[1]
                layout = look.layout_of(arrays.curve)
                curve = ti.static(LoadedTable(*arrays.curve, layout))
                slopes_layout = look.layout_of(arrays.slopes)
                slopes = ti.static(LoadedTable(*arrays.slopes, slopes_layout))
                cells_start = worker * cells
                slope_cells_start = worker * slope_cells
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
                    edge0 = edges.EdgeSums()
                    edge1 = edges.EdgeSums()
                    edge2 = edges.EdgeSums()
                    first0 = edges.EdgeSums()
                    first1 = edges.EdgeSums()
                    first2 = edges.EdgeSums()
                    corners = ti.static((edge0, edge1, edge2))
                    firsts = ti.static((first0, first1, first2))
                    by_width = Total()
                    face = geo.Face()
                    if first < last:
                        face, bounds = frames.read(faces.frames, index)
                        motion = moving.face_motion(
                            face, arrays.corners, arrays.tangents.points, index
                        )
                        state = ti.static(
                            SecondState(
                                index,
                                motion,
                                arrays,
                                others,
                                curve,
                                slopes,
                                found,
                                corners,
                                firsts,
                                by_width,
                                gradients_out.cells,
                                cells_start,
                                gradients_out.slopes,
                                slope_cells_start,
                            )
                        )
                        image = faces.image[index]
                        place = worker * found.places
                        rows = ti.static(Rows(image, first, last, place, found.rows))
                        blocks.walk(
                            face, bounds, tiles, rows, reach, find_second, use_second, state
                        )
                    edges.store(gradients_out.corners, item, face, corners)
                    if ti.static(others.keeps_first):
                        edges.store(gradients_out.first_corners, item, face, firsts)
                    log_width += by_width.sum.sum()
                gradients_out.log_width[worker] = log_width

    return SimpleNamespace(tangent=tangent, second=second)
