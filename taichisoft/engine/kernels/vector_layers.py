"""Layers in whole vectors: the fragments of the blocks of a band, sorted by depth, and what hides them.

A worker owns a band, some rows of blocks of an image, and keeps its fragments in scratch memory, which
should stay in the caches: a place for each pair of a face and a block. First the faces are walked over, then
the blocks, each with a list of its places.
"""

from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blocks import COLUMNS, block_functions
from taichisoft.engine.kernels.faces import face_functions
from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, IntVectors, Vectors
from taichisoft.engine.kernels.vector_bundles import Faces, Tiles, VectorTable
from taichisoft.engine.kernels.vector_curve import CellsAt, vector_lookup_functions
from taichisoft.engine.kernels.vector_fragment import vector_fragment_functions
from taichisoft.engine.kernels.vectors import vector_functions


class Kept:
    """Vectors that are kept of a fragment; the forward pass keeps the first `FORWARD`."""

    GENERATOR, COVERAGE, DEPTH, SHARE0, SHARE1, SHARE2, WEIGHT, POSITION = range(8)
    FORWARD = 8
    # Distance in scales, the slope of the position by it, and what the adjoint of the distance wants.
    S, RATE, NORMAL, TANGENT, ALONG, EDGE, INVERSE_SUM = range(8, 15)
    # What is in front; opacity, and coverage without it.
    IN_FRONT, OPACITY, OPAQUE = range(15, 18)
    # Upstream gradients: of the weight, and, summed over channels, of the attributes of the corners.
    UPSTREAM, CORNER0, CORNER1, CORNER2 = range(18, 22)
    # Gradients.
    BY_GENERATOR, BY_COVERAGE, BY_DEPTH, BY_IN_FRONT = range(22, 26)
    BACKWARD = 26


class Extent:
    """Numbers of a place: least and largest depth where it is covered, and what depths may differ by."""

    NEAREST, FARTHEST, TOLERANCE, COUNT = range(4)


class OrderNumber:
    """Numbers of the order: its ends, the total from which on nothing is left, and h at ties."""

    LOW, HIGH, FULL, AT_TIE = range(4)


class Layers(NamedTuple):
    """Scratch memory of the workers."""

    capacity: int  # places of a worker
    blocks: int  # of a worker
    block: Ints  # of a place, counted in the band; -1 for one without coverage
    extent: Floats  # of a place: see `Extent`
    cells: IntVectors  # of the table of coverage
    cell_numbers: Ints  # the same memory, to be read one by one
    kept: Vectors  # for each place as many as `Kept` says
    start: Ints  # (blocks + 1 of a worker) first place of each block in `order`
    order: Ints  # places of each block, from front to back
    in_front: Ints  # of a place of `order`: how many of its block are wholly in front
    visits: Ints  # (2 * (capacity + 1) of a worker) the faces of the band, and their first places
    totals: Vectors  # (blocks)


class Bands(NamedTuple):
    """Rows of blocks that a worker takes together."""

    rows: Ints  # (bands * 3) image, first and past-last row of blocks
    count: int


class Softness(NamedTuple):
    """The curves, see `taichisoft.softness.curves.CompositeCurves`."""

    take_max: Constant
    by_index: Constant
    opacity: Constant
    same: Constant  # whether generator and coverage have their cells at the same places
    generator: VectorTable
    coverage: VectorTable
    order: VectorTable
    part: VectorTable
    inverse: VectorTable
    numbers: Floats  # of the order: see `OrderNumber`
    gammas: Floats  # (B)


class LayerArrays(NamedTuple):
    """What faces become layers with."""

    softness: Softness
    faces: Faces
    depths: Floats  # (N * DEPTHS)
    tiles: Tiles
    attributes: Floats  # (A * C)
    rows: Ints  # (N * 3) of the attributes
    channels: int  # C, with opacity
    bands: Bands
    layers: Layers


class LoadedCurves(NamedTuple):
    """The curves with their layouts in registers."""

    generator: Any
    coverage: Any
    order: Any
    part: Any
    inverse: Any


@cache
def layer_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    geo = block_functions(real)
    frames = face_functions(real)
    fragment = vector_fragment_functions(real)
    look = vector_lookup_functions(real)
    vec, lanes = of.vec, of.lanes
    lesser, greater = of.lesser, of.greater
    far = 1e30
    # How a fragment counts for one behind it: order, its slope by the depth difference in gammas, that
    # difference, where they tie, where it counts wholly, and its amount.
    Pair = ti.types.struct(h=vec, slope=vec, u=vec, tie=vec, wholly=vec, amount=vec, coverage=vec)

    @ti.func
    def size(v):
        return greater(v, 0.0 - v)

    @ti.func
    def looked_up(s, table: ti.template()):
        """Return a curve, and its derivative."""
        cell, t, dt = look.locate(s, table)
        cubic = look.cubic(table, cell)
        return look.value(cubic, t), look.slope(cubic, t) * dt

    @ti.func
    def gather(worker, band, arrays: ti.template(), curves: ti.template(), width: ti.template()):
        """Evaluate all fragments of a band, `width` vectors each; return the ends of visits and places."""
        softness, faces, tiles, layers = ti.static(
            (arrays.softness, arrays.faces, arrays.tiles, arrays.layers)
        )
        kept = ti.static(layers.kept)
        image = arrays.bands.rows[3 * band]
        top = arrays.bands.rows[3 * band + 1]
        bottom = arrays.bands.rows[3 * band + 2]
        base = worker * layers.capacity
        first_block = worker * layers.blocks
        for b in range((bottom - top) * tiles.columns):
            layers.start[first_block + worker + b + 1] = 0
            layers.totals[first_block + b] = vec(0.0)
        reach = softness.coverage.numbers[1]
        inverse_width = softness.coverage.numbers[0]
        dx, dy = geo.offsets()
        place = base
        visit = 2 * (base + worker)
        for index in range(faces.start[image], faces.start[image + 1]):
            first = ti.max(top, faces.rows[2 * index])
            last = ti.min(bottom, faces.rows[2 * index + 1])
            if first < last:
                face, bounds = frames.read(faces.frames, index)
                depths = fragment.read(arrays.depths, face, index)
                layers.visits[visit] = index
                layers.visits[visit + 1] = place
                begun = place
                for group in range((last - first + lanes - 1) // lanes):
                    above = first + group * lanes
                    begins, ends = geo.row_spans(face, bounds, reach, above, tiles.width)
                    start = place
                    for line in range(ti.min(lanes, last - above)):
                        begin = begins[line]
                        end = ends[line]
                        row = above + line
                        forms = geo.forms_of(face, dx, dy, begin, row)
                        for column in range(begin, end):
                            x = of.broadcast(ti.cast((column - begin) * COLUMNS, real))
                            found = fragment.at(face, depths, forms, x)
                            s = found.d * inverse_width
                            cell, t, rate = look.locate(s, curves.coverage)
                            layers.block[place] = (row - top) * tiles.columns + column
                            layers.cells[place] = cell
                            k = place * width
                            kept[k + Kept.DEPTH] = found.z
                            kept[k + Kept.SHARE0] = found.share0
                            kept[k + Kept.SHARE1] = found.share1
                            kept[k + Kept.SHARE2] = found.share2
                            kept[k + Kept.POSITION] = t
                            if ti.static(width > Kept.FORWARD or not softness.same):
                                kept[k + Kept.WEIGHT] = s
                            if ti.static(width > Kept.FORWARD):
                                kept[k + Kept.S] = s
                                kept[k + Kept.RATE] = rate
                                kept[k + Kept.NORMAL] = found.normal
                                kept[k + Kept.TANGENT] = found.tangent
                                kept[k + Kept.ALONG] = found.along
                                kept[k + Kept.EDGE] = found.edge
                                kept[k + Kept.INVERSE_SUM] = found.inverse_sum
                            place += 1
                    for at in range(start, place):
                        cover(at, index, depths, arrays, curves, width, first_block, worker)
                if place > begun:
                    visit += 2
        layers.visits[visit + 1] = place
        return visit, place

    @ti.func
    def cover(
        at,
        index,
        depths: ti.template(),
        arrays: ti.template(),
        curves: ti.template(),
        width: ti.template(),
        first_block,
        worker,
    ):
        """Look coverage and its generator up at a place."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept = ti.static(layers.kept)
        k = at * width
        t = kept[k + Kept.POSITION]
        cells = ti.static(CellsAt(layers.cell_numbers, at * lanes))
        cubic = look.cubic(curves.coverage, cells)
        coverage = look.value(cubic, t)
        z = kept[k + Kept.DEPTH]
        covered = coverage > 0.0
        if coverage.sum() > 0:
            generator = coverage
            if ti.static(softness.opacity):
                share0 = kept[k + Kept.SHARE0]
                share1 = kept[k + Kept.SHARE1]
                share2 = kept[k + Kept.SHARE2]
                c = arrays.channels - 1
                opacity = attribute(arrays, index, c, share0, share1, share2)
                if ti.static(width > Kept.FORWARD):
                    kept[k + Kept.OPACITY] = opacity
                    kept[k + Kept.OPAQUE] = coverage
                coverage = coverage * opacity
                if ti.static(softness.take_max):
                    generator = coverage
                else:
                    generator, _ = looked_up(coverage - 1.0, curves.part)
            elif ti.static(not softness.take_max):
                if ti.static(softness.same):
                    generator = look.value(look.cubic(curves.generator, cells), t)
                else:
                    generator, _ = looked_up(kept[k + Kept.WEIGHT], curves.generator)
            kept[k + Kept.GENERATOR] = generator
            kept[k + Kept.COVERAGE] = coverage
            layers.extent[Extent.COUNT * at + Extent.NEAREST] = ti.select(
                covered, z, vec(far)
            ).min()
            layers.extent[Extent.COUNT * at + Extent.FARTHEST] = ti.select(
                covered, z, vec(-far)
            ).max()
            layers.extent[Extent.COUNT * at + Extent.TOLERANCE] = depths.tolerance
            block = layers.block[at]
            layers.start[first_block + worker + block + 1] += 1
            total = layers.totals[first_block + block]
            if ti.static(softness.take_max):
                layers.totals[first_block + block] = greater(total, generator)
            else:
                layers.totals[first_block + block] = total + generator
        else:
            layers.block[at] = -1

    @ti.func
    def attribute(arrays: ti.template(), index, c, share0, share1, share2):
        """Return an attribute of a face at its fragments."""
        values, rows = ti.static((arrays.attributes, arrays.rows))
        return (
            share0 * of.broadcast(values[rows[3 * index] * arrays.channels + c])
            + share1 * of.broadcast(values[rows[3 * index + 1] * arrays.channels + c])
            + share2 * of.broadcast(values[rows[3 * index + 2] * arrays.channels + c])
        )

    @ti.func
    def arrange(worker, blocks, places, arrays: ti.template()):
        """List the places of each block, from front to back."""
        layers = ti.static(arrays.layers)
        base = worker * layers.capacity
        first_block = worker * layers.blocks + worker
        # Counts become starts, which then move on to their ends: those of the next blocks.
        layers.start[first_block] = base
        total = base
        for b in range(blocks):
            count = layers.start[first_block + b + 1]
            layers.start[first_block + b + 1] = total
            total += count
        for at in range(base, places):
            block = layers.block[at]
            if block >= 0:
                end = layers.start[first_block + block + 1]
                layers.order[end] = at
                layers.start[first_block + block + 1] = end + 1
        for b in range(blocks):
            sort(layers.start[first_block + b], layers.start[first_block + b + 1], layers)

    @ti.func
    def later(a, b, layers: ti.template()):
        """Return whether a place comes behind another: by its least depth, then by its number."""
        za = layers.extent[Extent.COUNT * a + Extent.NEAREST]
        zb = layers.extent[Extent.COUNT * b + Extent.NEAREST]
        return ti.select(za > zb, 1, ti.select(za == zb, ti.select(a > b, 1, 0), 0))

    @ti.func
    def sort(first, last, layers: ti.template()):
        """Sort places by Shell's method: quick for few, and never slow for many."""
        order = ti.static(layers.order)
        for gap in ti.static((701, 132, 23, 4, 1)):
            if gap < last - first:
                for at in range(first + gap, last):
                    moving = order[at]
                    hole = at
                    moves = 1
                    while moves == 1:
                        moves = 0
                        if hole - gap >= first:
                            moves = later(order[hole - gap], moving, layers)
                        if moves == 1:
                            order[hole] = order[hole - gap]
                            hole -= gap
                    order[hole] = moving

    @ti.func
    def pair(
        k,
        j,
        gamma,
        inverse_gamma,
        arrays: ti.template(),
        curves: ti.template(),
        width: ti.template(),
    ):
        """Return how place j counts for the pixels of place k."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept = ti.static(layers.kept)
        result = Pair()
        difference = kept[k * width + Kept.DEPTH] - kept[j * width + Kept.DEPTH]
        coverage = kept[j * width + Kept.COVERAGE]
        tolerance = of.broadcast(
            ti.max(
                layers.extent[Extent.COUNT * k + Extent.TOLERANCE],
                layers.extent[Extent.COUNT * j + Extent.TOLERANCE],
            )
        )
        if ti.static(softness.by_index):
            tolerance = vec(0.0)
        tie = size(difference) <= tolerance
        u = ti.select(tie, vec(0.0), difference) * of.broadcast(inverse_gamma)
        h, slope = looked_up(u, curves.order)
        if ti.static(softness.by_index):
            h = ti.select(tie, of.broadcast(ti.select(j < k, real(1.0), real(0.0))), h)
        else:
            h = ti.select(tie, of.broadcast(softness.numbers[OrderNumber.AT_TIE]), h)
        one = vec(1.0)
        none = vec(0.0)
        result.tie = ti.select(tie, one, none)
        result.wholly = ti.select(
            tie, none, ti.select(u >= of.broadcast(softness.numbers[OrderNumber.HIGH]), one, none)
        )
        result.coverage = coverage
        result.h = h
        result.slope = slope
        result.u = u
        amount = h * coverage
        if ti.static(not softness.take_max):
            amount, _ = looked_up(amount - 1.0, curves.part)
        result.amount = ti.select(result.wholly > 0.0, kept[j * width + Kept.GENERATOR], amount)
        return result

    @ti.func
    def reaches_behind(k, j, gamma, arrays: ti.template()):
        """Return whether place j, nowhere in front of place k, is too far behind it to count."""
        layers, softness = ti.static((arrays.layers, arrays.softness))
        gap = (
            layers.extent[Extent.COUNT * j + Extent.NEAREST]
            - layers.extent[Extent.COUNT * k + Extent.FARTHEST]
        )
        tolerance = ti.max(
            layers.extent[Extent.COUNT * k + Extent.TOLERANCE],
            layers.extent[Extent.COUNT * j + Extent.TOLERANCE],
        )
        return ti.select(
            gap <= ti.max(0 - softness.numbers[OrderNumber.LOW] * gamma, tolerance), 1, 0
        )

    @ti.func
    def is_wholly_in_front(farthest, k, tolerance, gamma, arrays: ti.template()):
        """Return whether what is nowhere deeper than `farthest` counts wholly for all pixels of place k."""
        layers, softness = ti.static((arrays.layers, arrays.softness))
        gap = layers.extent[Extent.COUNT * k + Extent.NEAREST] - farthest
        apart = ti.select(
            gap > ti.max(layers.extent[Extent.COUNT * k + Extent.TOLERANCE], tolerance), 1, 0
        )
        return ti.select(gap >= softness.numbers[OrderNumber.HIGH] * gamma, apart, 0)

    @ti.func
    def weigh(
        worker,
        image,
        block,
        arrays: ti.template(),
        curves: ti.template(),
        width: ti.template(),
    ):
        """Find for the places of a block what is in front of them, and their weights."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept, order = ti.static((layers.kept, layers.order))
        first = layers.start[worker * layers.blocks + worker + block]
        last = layers.start[worker * layers.blocks + worker + block + 1]
        gamma = softness.gammas[image]
        inverse_gamma = 1 / gamma
        # What is wholly in front of all that follow, and how many they are.
        before = vec(0.0)
        passed = first
        farthest = real(-far)
        tolerance = real(0.0)
        full = of.broadcast(softness.numbers[OrderNumber.FULL])
        hidden = 0
        for at in range(first, last):
            k = order[at]
            moves = 1
            while moves == 1:
                moves = 0
                j = order[passed]
                deeper = ti.max(farthest, layers.extent[Extent.COUNT * j + Extent.FARTHEST])
                loosest = ti.max(tolerance, layers.extent[Extent.COUNT * j + Extent.TOLERANCE])
                if passed < at:
                    moves = is_wholly_in_front(deeper, k, loosest, gamma, arrays)
                if moves == 1:
                    farthest = deeper
                    tolerance = loosest
                    amount = kept[j * width + Kept.GENERATOR]
                    if ti.static(softness.take_max):
                        before = greater(before, amount)
                    else:
                        before = before + amount
                    passed += 1
            layers.in_front[at] = passed
            in_front = before
            if hidden == 0:
                if ti.static(not softness.take_max):
                    hidden = ti.select((before - full).min() >= 0, 1, 0)
            if hidden == 0:
                behind = 0
                other = passed
                while behind == 0 and other < last:
                    j = order[other]
                    if other > at:
                        behind = 1 - reaches_behind(k, j, gamma, arrays)
                    if behind == 0 and other != at:
                        amount = vec(0.0)
                        wholly = is_wholly_in_front(
                            layers.extent[Extent.COUNT * j + Extent.FARTHEST],
                            k,
                            layers.extent[Extent.COUNT * j + Extent.TOLERANCE],
                            gamma,
                            arrays,
                        )
                        if wholly == 1:
                            amount = kept[j * width + Kept.GENERATOR]
                        else:
                            amount = pair(k, j, gamma, inverse_gamma, arrays, curves, width).amount
                        if ti.static(softness.take_max):
                            in_front = greater(in_front, amount)
                        else:
                            in_front = in_front + amount
                    other += 1
            generator = kept[k * width + Kept.GENERATOR]
            weight = vec(0.0)
            if ti.static(softness.take_max):
                weight = greater(generator - in_front, vec(0.0))
            elif hidden == 0:
                above, _ = looked_up(in_front + generator, curves.inverse)
                below, _ = looked_up(in_front, curves.inverse)
                weight = above - below
            kept[k * width + Kept.WEIGHT] = weight
            if ti.static(width > Kept.FORWARD):
                kept[k * width + Kept.IN_FRONT] = in_front

    @ti.func
    def curves_of(softness: ti.template()):
        """Read the layouts of the curves."""
        return (
            look.layout_of(softness.generator),
            look.layout_of(softness.coverage),
            look.layout_of(softness.order),
            look.layout_of(softness.part),
            look.layout_of(softness.inverse),
        )

    return SimpleNamespace(
        Pair=Pair,
        looked_up=looked_up,
        gather=gather,
        attribute=attribute,
        arrange=arrange,
        pair=pair,
        reaches_behind=reaches_behind,
        is_wholly_in_front=is_wholly_in_front,
        weigh=weigh,
        curves_of=curves_of,
    )
