"""Device functions of the forward pass of coverage in whole vectors: set-up of faces, sums or maxima.

They compute what `taichisoft.engine.kernels.coverage` does, and share the work alike: a worker owns bands of
rows of an image and adds every face that reaches them, in the order of the faces. A vector is a block of
pixels and not a piece of a row: see `taichisoft.engine.kernels.blocks`. Every face is walked over twice. A
processor looks ahead by some hundred instructions: the shorter chains of two walks overlap there, where one
long chain from the distance to the sum would be waited for.
"""

from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.block_walk import Rows, block_walk_functions
from taichisoft.engine.kernels.blocks import block_functions
from taichisoft.engine.kernels.faces import face_functions
from taichisoft.engine.kernels.kernel import Constant, Floats, IntVectors, Vectors
from taichisoft.engine.kernels.vector_bundles import Faces, Found, Tiles, VectorTable
from taichisoft.engine.kernels.vector_curve import CellsAt, LoadedTable, vector_lookup_functions
from taichisoft.engine.kernels.vector_planes import plane_functions
from taichisoft.engine.kernels.vectors import vector_functions


class Accumulation(NamedTuple):
    """What the forward pass reads and writes."""

    take_max: Constant
    exponential: Constant  # whether the image is ``1 - exp(-total)``, and not the totals
    faces: Faces
    tiles: Tiles
    curve: VectorTable
    band: int  # rows of blocks a worker owns at a time
    found: Found
    tiled_out: Vectors  # tiled totals, or ``exp(-total)`` if exponential
    winner_out: IntVectors  # tiled, face of the maximum or -1; one vector unless take_max
    image_out: Floats  # (B * H * W)


class State(NamedTuple):
    """What the two visits of a block are given."""

    index: Any  # of the face
    take_max: Any
    curve: Any
    found: Any
    tiled_out: Any
    winner_out: Any


@cache
def accumulate_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    geo = block_functions(real)
    frames = face_functions(real)
    blocks = block_walk_functions(real)
    look = vector_lookup_functions(real)
    planes = plane_functions(real)
    vec, ints, lanes = of.vec, of.ints, of.lanes

    @ti.func
    def set_up(
        worker,
        workers,
        corners: ti.template(),
        reach,
        near,
        tiles: ti.template(),
        faces_out: ti.template(),
    ):
        """Set up a worker's share of the faces."""
        groups = (faces_out.count + lanes - 1) // lanes
        for group in range(groups * worker // workers, groups * (worker + 1) // workers):
            frames.set_up(corners, group * lanes, reach, near, tiles, faces_out)

    @ti.func
    def find_amount(block: ti.template(), place, face: ti.template(), state: ti.template()):
        """Keep the cell of the distance and the position in it."""
        curve, found = ti.static((state.curve, state.found))
        d = geo.distance(face, block.forms, block.x)
        cell, t, _ = look.locate(d * curve.numbers[0], curve)
        found.blocks[place] = block.index
        found.cells[place] = cell
        found.numbers[place] = t

    @ti.func
    def use_amount(place, face: ti.template(), state: ti.template()):
        """Add a face to a block, or keep the maximum and its face."""
        curve, found = ti.static((state.curve, state.found))
        tiled_out, winner_out = ti.static((state.tiled_out, state.winner_out))
        at = found.blocks[place]
        cubic = look.cubic(curve, ti.static(CellsAt(found.cell_numbers, place * lanes)))
        amount = look.value(cubic, found.numbers[place])
        if ti.static(state.take_max):
            # Of tied faces the one with the smallest index wins.
            more = amount > tiled_out[at]
            tiled_out[at] = ti.select(more, amount, tiled_out[at])
            winner_out[at] = ti.select(more, ints(0) + state.index, winner_out[at])
        else:
            tiled_out[at] = tiled_out[at] + amount

    @ti.func
    def write(image, top, bottom, arrays: ti.template()):
        """Write the rows of blocks of a band into the image."""
        tiles = ti.static(arrays.tiles)
        for row in range(top, bottom):
            for column in range(tiles.columns):
                at = (image * tiles.rows + row) * tiles.columns + column
                shown = arrays.tiled_out[at]
                if ti.static(arrays.exponential):
                    passed, alpha = of.exp_and_rest(shown)
                    arrays.tiled_out[at] = passed
                    shown = alpha
                planes.write(arrays.image_out, tiles, image, row, column, shown)

    @ti.func
    def accumulate(worker, workers, arrays: ti.template()):
        """Draw a worker's share of the bands."""
        tiles, faces, curve = ti.static((arrays.tiles, arrays.faces, arrays.curve))
        tiled_out, winner_out = ti.static((arrays.tiled_out, arrays.winner_out))
        found, take_max = ti.static((arrays.found, arrays.take_max))
        bands = (tiles.rows + arrays.band - 1) // arrays.band
        items = bands * tiles.images
        reach = curve.numbers[1]
        layout = look.layout_of(curve)
        table = ti.static(LoadedTable(*curve, layout))
        for turn in range((items - worker + workers - 1) // workers):
            item = worker + turn * workers
            image = item // bands
            top = (item - image * bands) * arrays.band
            bottom = ti.min(tiles.rows, top + arrays.band)
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
                    state = ti.static(State(index, take_max, table, found, tiled_out, winner_out))
                    place = worker * found.places
                    rows = ti.static(Rows(image, first, last, place, found.rows))
                    blocks.walk(face, bounds, tiles, rows, reach, find_amount, use_amount, state)
            write(image, top, bottom, arrays)

    return SimpleNamespace(set_up=set_up, accumulate=accumulate)
