"""Device functions of the adjoint of coverage in whole vectors.

A worker owns faces, or slices of their rows, and reads the pixels, so that a face's gradient stays in
registers. It is summed in the frames of the three edges, and turned into x and y once a face.
"""

from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.block_walk import Rows, block_walk_functions
from taichisoft.engine.kernels.blocks import block_functions
from taichisoft.engine.kernels.edge_sums import edge_sum_functions
from taichisoft.engine.kernels.faces import face_functions
from taichisoft.engine.kernels.kernel import Constant, Floats, IntVectors, Quads, Vectors
from taichisoft.engine.kernels.vector_bundles import Faces, Found, Tiles, VectorTable
from taichisoft.engine.kernels.vector_curve import CellsAt, LoadedTable, vector_lookup_functions
from taichisoft.engine.kernels.vector_planes import plane_functions
from taichisoft.engine.kernels.vectors import vector_functions

# Vectors that the adjoint keeps of each block.
KEPT = 7


class AdjointArrays(NamedTuple):
    """What the adjoint reads."""

    take_max: Constant
    exponential: Constant  # whether the upstream gradient is that of ``1 - exp(-total)``
    into_cells: Constant
    faces: Faces
    tiles: Tiles
    curve: VectorTable
    slopes: VectorTable
    cells: int  # rows of the table
    winner: IntVectors  # tiled; one vector unless take_max
    passed: Vectors  # tiled ``exp(-total)``; one vector unless exponential
    upstream: Floats  # (B * H * W)
    found: Found
    tiled: Vectors  # tiled gradient of the totals, written here


class FoundGradients(NamedTuple):
    """What the adjoint finds."""

    corners: Floats  # (N * slices * 3 * 2)
    log_width: Floats  # (workers)
    cells: Quads  # (workers * K) starts at 0; one row unless into_cells


class State(NamedTuple):
    """What the two visits of a block are given."""

    index: Any  # of the face
    arrays: Any
    curve: Any
    slopes: Any
    found: Any
    sums: Any  # of the three edges, and of the logarithm of the width
    table: Any  # first row of the worker's gradient of the cells
    cells_out: Any


@cache
def adjoint_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    geo = block_functions(real)
    frames = face_functions(real)
    blocks = block_walk_functions(real)
    look = vector_lookup_functions(real)
    edges = edge_sum_functions(real)
    planes = plane_functions(real)
    vec, lanes = of.vec, of.lanes
    row_of_cells = ti.types.vector(4, real)
    Total = ti.types.struct(sum=vec)

    @ti.func
    def tile(row, arrays: ti.template()):
        """Cut a row of blocks of the upstream gradient into blocks, as a gradient of the totals."""
        tiles = ti.static(arrays.tiles)
        image = row // tiles.rows
        for column in range(tiles.columns):
            at = row * tiles.columns + column
            up = planes.read(arrays.upstream, tiles, image, row - image * tiles.rows, column)
            if ti.static(arrays.exponential):
                up = up * arrays.passed[at]
            arrays.tiled[at] = up

    @ti.func
    def add(edge: ti.template(), normal, tangent, along):
        """Add the parts of a gradient to an edge."""
        edge.normal = edge.normal + normal
        edge.tangent = edge.tangent + tangent
        edge.normal_far = edge.normal_far + normal * along
        edge.tangent_far = edge.tangent_far + tangent * along

    @ti.func
    def find_gradient(block: ti.template(), place, face: ti.template(), state: ti.template()):
        """Keep what of the gradients depends on the geometry."""
        curve, found = ti.static((state.curve, state.found))
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
        # Parts of the gradient of the distance: across the edge, which alone is there where the foot is
        # within it, and along it. On the edge itself the offset vanishes; the normal still tells where inside
        # is.
        found.numbers[at + 3] = ti.select(beyond == face.solid, vec(1.0), across * inverse)
        found.numbers[at + 4] = beyond * inverse
        found.numbers[at + 5] = along
        found.numbers[at + 6] = ti.select(third, vec(2.0), ti.select(second, vec(1.0), vec(0.0)))

    @ti.func
    def use_gradient(place, face: ti.template(), state: ti.template()):
        """Add the gradients of a face at a block."""
        arrays, found = ti.static((state.arrays, state.found))
        curve, slopes = ti.static((state.curve, state.slopes))
        edge0, edge1, edge2, by_width = ti.static(state.sums)
        block = found.blocks[place]
        at = KEPT * place
        s = found.numbers[at]
        t = found.numbers[at + 1]
        along = found.numbers[at + 5]
        edge = found.numbers[at + 6]
        up = arrays.tiled[block]
        if ti.static(arrays.take_max):
            up = ti.select(arrays.winner[block] == state.index, up, vec(0.0))
        cell = ti.static(CellsAt(found.cell_numbers, place * lanes))
        by_s = up * look.slope(look.cubic(curve, cell), t) * found.numbers[at + 2]
        by_width.sum = by_width.sum - by_s * s
        if ti.static(slopes.pieces > 0):
            at_slope, t_slope, _ = look.locate(s, slopes)
            by_s = up * look.value(look.cubic(slopes, at_slope), t_slope)
        # Moving an end by m moves the foot by its share of m, and the distance by the opposite of its
        # component along the gradient.
        by_d = (0.0 - by_s) * curve.numbers[0]
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
                row = state.table + found.cell_numbers[place * lanes + lane]
                p = t[lane]
                powers = row_of_cells(1.0, p, p * p, p * p * p)
                state.cells_out[row] = state.cells_out[row] + powers * up[lane]

    @ti.func
    def pull_back(worker, workers, arrays: ti.template(), gradients_out: ti.template()):
        """Find the gradients of a worker's share of the faces."""
        faces, tiles, found = ti.static((arrays.faces, arrays.tiles, arrays.found))
        corners_out, log_width_out, cells_out = ti.static(gradients_out)
        reach = arrays.curve.numbers[1]
        layout = look.layout_of(arrays.curve)
        curve = ti.static(LoadedTable(*arrays.curve, layout))
        slopes_layout = look.layout_of(arrays.slopes)
        slopes = ti.static(LoadedTable(*arrays.slopes, slopes_layout))
        table = worker * arrays.cells
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
            by_width = Total()
            face = geo.Face()
            if first < last:
                face, bounds = frames.read(faces.frames, index)
                sums = ti.static((edge0, edge1, edge2, by_width))
                state = ti.static(
                    State(index, arrays, curve, slopes, found, sums, table, cells_out)
                )
                image = faces.image[index]
                place = worker * found.places
                rows = ti.static(Rows(image, first, last, place, found.rows))
                blocks.walk(face, bounds, tiles, rows, reach, find_gradient, use_gradient, state)
            edges.store(corners_out, item, face, ti.static((edge0, edge1, edge2)))
            log_width += by_width.sum.sum()
        log_width_out[worker] = log_width

    return SimpleNamespace(tile=tile, pull_back=pull_back)
