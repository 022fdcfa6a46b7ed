"""Layers in whole vectors: the fragments of the blocks of a band, sorted by depth, and what hides them.

A worker owns a band, some rows of blocks of an image, and keeps its fragments in scratch memory, which
should stay in the caches: a place for each pair of a face and a block. First the faces are walked over, then
the blocks, each with a list of its places.
"""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blocks import COLUMNS, block_functions
from taichisoft.engine.kernels.faces import face_functions
from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, IntVectors, Vectors
from taichisoft.engine.kernels.vector_bundles import Tiles
from taichisoft.engine.kernels.vector_curve import CellsAt
from taichisoft.engine.kernels.vector_fragment import vector_fragment_functions
from taichisoft.engine.kernels.vector_shading import shading_functions
from taichisoft.engine.kernels.vector_table import FlexibleTable, flexible_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions


class Kept:
    """Vectors that are kept of a fragment; the forward pass keeps the first `FORWARD`."""

    # The first one is what passes where that is a product.
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


class OfPair:
    """Vectors that are kept of a pair of places."""

    # Depth difference in gammas, 0 only where depths are equal; h and its slope by that difference (before
    # these are looked up, position and rate); position and rate in the table of `part`.
    U, ORDER, SLOPE, POSITION, RATE = range(5)
    COUNT = 5


class Extent:
    """Numbers of a place: least and largest depth where covered, what depths may differ by, most coverage."""

    NEAREST, FARTHEST, TOLERANCE, LARGEST, COUNT = range(5)


class Number:
    """Numbers of a softness.

    Ends of the order, the total of faces wholly in front from which on nothing is seen, and h at ties. Of
    the cell of `part` that the least coverages are in: up to which coverage, its row in the table, and the
    position in it, that of no coverage and its slope by coverage. Of an order of a single cell: its row (-1
    if there are several) and the slope of the position in it. Then what is 1 or 0: whether the last of the
    attributes is an opacity, whether of equal depths the smaller place is in front, whether generator and
    coverage have their cells at the same places, whether what passes is a product (see `vector_products`),
    and whether the total is wanted nevertheless. Then what a layer lets pass at least, a total behind which
    nothing is seen, and the row of the first cell of the inverse that has 1 taken off.
    """

    LOW, HIGH, FULL, AT_TIE, FAINT, FAINT_ROW, FAINT_START, FAINT_RATE = range(8)
    ORDER_ROW, ORDER_RATE, OPACITY, BY_INDEX, SAME = range(8, 13)
    PRODUCT, TOTAL, LEAST, HIDDEN, FIRST_ABOVE = range(13, 18)
    COUNT = 18


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
    pairs: Ints  # (capacity of a worker) places that may be in front of one, wholly if negative: -1 - place
    pair_cells: IntVectors  # of the table of the order, then of `part`
    pair_cell_numbers: Ints  # the same memory, to be read one by one
    pair_kept: Vectors  # for each as many as `OfPair` says
    visits: Ints  # (2 * (capacity + 1) of a worker) the faces of the band, and their first places
    totals: Vectors  # (blocks)


class Bands(NamedTuple):
    """Rows of blocks that a worker takes together."""

    rows: Ints  # (bands * 3) image, first and past-last row of blocks
    count: int


class Softness(NamedTuple):
    """The curves, see `taichisoft.softness.curves.CompositeCurves`."""

    take_max: Constant
    generator: FlexibleTable
    coverage: FlexibleTable
    order: FlexibleTable
    part: FlexibleTable
    inverse: FlexibleTable
    numbers: Floats  # see `Number`
    gammas: Floats  # (B)


class FacesInBands(NamedTuple):
    """Of `taichisoft.engine.kernels.vector_bundles.Faces` what is read here."""

    frames: Floats
    rows: Ints
    start: Ints


class LayerArrays(NamedTuple):
    """What faces become layers with."""

    softness: Softness
    faces: FacesInBands
    depths: Floats  # (N * DEPTHS)
    tiles: Tiles
    attributes: Floats  # (A * C)
    rows: Ints  # (N * 3) of the attributes
    channels: int  # C, with opacity
    bands: Bands
    layers: Layers


@cache
def layer_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    geo = block_functions(real)
    frames = face_functions(real)
    fragment = vector_fragment_functions(real)
    shade = shading_functions(real)
    attribute = shade.attribute
    look = flexible_lookup_functions(real)
    vec, lanes = of.vec, of.lanes
    greater = of.greater
    far = 1e30

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
    def gather(worker, band, arrays: ti.template(), width: ti.template(), shading: ti.template()):
        """Evaluate all fragments of a band, `width` vectors each; return the ends of visits and places.

        `shading` is a `taichisoft.engine.kernels.shading_bundles.Shading`.
        """
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
        reach = softness.coverage.layout[1]
        inverse_width = softness.coverage.layout[0]
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
                        forms = geo.row_forms_of(face, dx, dy, begin, row)
                        for column in range(begin, end):
                            x = of.broadcast(ti.cast((column - begin) * COLUMNS, real))
                            found = fragment.at(face, depths, forms, x)
                            s = found.d * inverse_width
                            cell, t, rate = look.locate(s, softness.coverage)
                            layers.block[place] = (row - top) * tiles.columns + column
                            layers.cells[place] = cell
                            k = place * width
                            kept[k + Kept.DEPTH] = found.z
                            kept[k + Kept.SHARE0] = found.share0
                            kept[k + Kept.SHARE1] = found.share1
                            kept[k + Kept.SHARE2] = found.share2
                            kept[k + Kept.POSITION] = t
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
                        cover(at, index, depths, arrays, width, first_block, worker, image, shading)
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
        width: ti.template(),
        first_block,
        worker,
        image,
        shading: ti.template(),
    ):
        """Look coverage and its generator up at a place."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept = ti.static(layers.kept)
        k = at * width
        t = kept[k + Kept.POSITION]
        cells = ti.static(CellsAt(layers.cell_numbers, at * lanes))
        cubic = look.cubic(softness.coverage, cells)
        coverage = look.value(cubic, t)
        z = kept[k + Kept.DEPTH]
        covered = coverage > 0.0
        # In the backward pass it is known from the forward pass what is covered.
        if coverage.sum() > 0 or ti.static(width == Kept.BACKWARD):
            generator = coverage
            if softness.numbers[Number.OPACITY] > 0:
                share0 = kept[k + Kept.SHARE0]
                share1 = kept[k + Kept.SHARE1]
                share2 = kept[k + Kept.SHARE2]
                c = arrays.channels - 1
                opacity = vec(1.0)
                if ti.static(shading.shaded):
                    opacity = shade.opacity(image, index, share0, share1, share2, arrays, shading)
                else:
                    opacity = attribute(arrays, index, c, share0, share1, share2)
                if ti.static(width > Kept.FORWARD):
                    kept[k + Kept.OPACITY] = opacity
                    kept[k + Kept.OPAQUE] = coverage
                coverage = coverage * opacity
                generator = coverage
                if ti.static(not softness.take_max):
                    generator, _ = looked_up(coverage - 1.0, softness.part)
            elif ti.static(not softness.take_max):
                if softness.numbers[Number.TOTAL] == 0:
                    generator = vec(0.0)
                elif softness.numbers[Number.SAME] > 0:
                    generator = look.value(look.cubic(softness.generator, cells), t)
                else:
                    generator, _ = looked_up(kept[k + Kept.WEIGHT], softness.generator)
            kept[k + Kept.GENERATOR] = generator
            kept[k + Kept.COVERAGE] = coverage
            if softness.numbers[Number.PRODUCT] > 0:
                least = of.broadcast(softness.numbers[Number.LEAST])
                kept[k + Kept.GENERATOR] = greater(1.0 - coverage, least)
            layers.extent[Extent.COUNT * at + Extent.NEAREST] = ti.select(
                covered, z, vec(far)
            ).min()
            layers.extent[Extent.COUNT * at + Extent.FARTHEST] = ti.select(
                covered, z, vec(-far)
            ).max()
            layers.extent[Extent.COUNT * at + Extent.TOLERANCE] = depths.tolerance
            layers.extent[Extent.COUNT * at + Extent.LARGEST] = coverage.max()
            block = layers.block[at]
            # Not `+=`, which is an atomic addition.
            count = first_block + worker + block + 1
            layers.start[count] = layers.start[count] + 1
            total = layers.totals[first_block + block]
            if ti.static(softness.take_max):
                layers.totals[first_block + block] = greater(total, generator)
            else:
                layers.totals[first_block + block] = total + generator
        else:
            layers.block[at] = -1

    @ti.func
    def hidden_from(k, tolerance, gamma, arrays: ti.template()):
        """Return the depth behind which nothing counts for a place."""
        low = arrays.softness.numbers[Number.LOW]
        farthest = arrays.layers.extent[Extent.COUNT * k + Extent.FARTHEST]
        return farthest + greater(0 - low * gamma, tolerance)

    @ti.func
    def whole_to(k, tolerance, gamma, arrays: ti.template()):
        """Return the depth in front of which all counts wholly for a place."""
        high = arrays.softness.numbers[Number.HIGH]
        nearest = arrays.layers.extent[Extent.COUNT * k + Extent.NEAREST]
        return nearest - greater(high * gamma, tolerance)

    @ti.func
    def find_pair(at, k, j, inverse_gamma, arrays: ti.template(), width: ti.template()):
        """Keep how deep place j is in front of place k, and the cell of that in the table of the order."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept, of_pair = ti.static((layers.kept, layers.pair_kept))
        difference = kept[k * width + Kept.DEPTH] - kept[j * width + Kept.DEPTH]
        tolerance = greater(tolerance_of(k, layers), tolerance_of(j, layers))
        tolerance *= 1 - softness.numbers[Number.BY_INDEX]
        tie = size(difference) <= of.broadcast(tolerance)
        u = ti.select(tie, vec(0.0), difference) * of.broadcast(inverse_gamma)
        p = OfPair.COUNT * at
        of_pair[p + OfPair.U] = u
        numbers = ti.static(softness.numbers)
        row = ti.cast(numbers[Number.ORDER_ROW], ti.i32)
        if row >= 0:
            # No need to look for the cell.
            rate = of.broadcast(numbers[Number.ORDER_RATE])
            t = (of.broadcast(numbers[Number.HIGH]) - u) * rate
            t = of.lesser(greater(t, vec(0.0)), vec(1.0))
            cubic = softness.order.cells[row]
            h = (of.broadcast(cubic[3]) * t + of.broadcast(cubic[2])) * t + of.broadcast(cubic[1])
            h = h * t + of.broadcast(cubic[0])
            of_pair[p + OfPair.ORDER] = ti.select(tie, of.broadcast(tie_of(j, k, arrays)), h)
            if ti.static(width > Kept.FORWARD):
                slope = of.broadcast(3.0 * cubic[3]) * t + of.broadcast(2.0 * cubic[2])
                slope = (slope * t + of.broadcast(cubic[1])) * (0.0 - rate)
                inside = ti.select(t > 0.0, ti.select(t < 1.0, vec(1.0), vec(0.0)), vec(0.0))
                of_pair[p + OfPair.SLOPE] = slope * inside
        else:
            cell, t, rate = look.locate(u, softness.order)
            layers.pair_cells[at] = cell
            of_pair[p + OfPair.ORDER] = t
            if ti.static(width > Kept.FORWARD):
                of_pair[p + OfPair.SLOPE] = rate

    @ti.func
    def tie_of(j, k, arrays: ti.template()):
        """Return the order of equal depths."""
        numbers = ti.static(arrays.softness.numbers)
        by_index = ti.select(j < k, real(1.0), real(0.0))
        return ti.select(numbers[Number.BY_INDEX] > 0, by_index, numbers[Number.AT_TIE])

    @ti.func
    def order_pair(at, k, arrays: ti.template(), width: ti.template()):
        """Look the order of a pair up, and find the cell of the part of the coverage in front."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        of_pair = ti.static(layers.pair_kept)
        p = OfPair.COUNT * at
        j = layers.pairs[at]
        if softness.numbers[Number.ORDER_ROW] < 0:
            t = of_pair[p + OfPair.ORDER]
            cells = ti.static(CellsAt(layers.pair_cell_numbers, at * lanes))
            cubic = look.cubic(softness.order, cells)
            at_tie = of.broadcast(tie_of(j, k, arrays))
            h = ti.select(of_pair[p + OfPair.U] == 0.0, at_tie, look.value(cubic, t))
            of_pair[p + OfPair.ORDER] = h
            if ti.static(width > Kept.FORWARD):
                of_pair[p + OfPair.SLOPE] = look.slope(cubic, t) * of_pair[p + OfPair.SLOPE]
        if ti.static(not softness.take_max):
            part = of_pair[p + OfPair.ORDER] * layers.kept[j * width + Kept.COVERAGE]
            if is_faint(j, arrays) == 1:
                rate = of.broadcast(softness.numbers[Number.FAINT_RATE])
                start = of.broadcast(softness.numbers[Number.FAINT_START])
                of_pair[p + OfPair.POSITION] = start + part * rate
                of_pair[p + OfPair.RATE] = rate
            else:
                cell, place, by_part = look.locate(part - 1.0, softness.part)
                layers.pair_cells[at] = cell
                of_pair[p + OfPair.POSITION] = place
                of_pair[p + OfPair.RATE] = by_part

    @ti.func
    def is_faint(j, arrays: ti.template()):
        """Return whether all parts of the coverage of a place are in one cell of their table."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        most = layers.extent[Extent.COUNT * j + Extent.LARGEST]
        return ti.select(most < softness.numbers[Number.FAINT], 1, 0)

    @ti.func
    def amount_of_pair(at, arrays: ti.template(), width: ti.template()):
        """Return how much of a place is in front of the other one of a pair, and where all of it."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        of_pair, kept = ti.static((layers.pair_kept, layers.kept))
        p = OfPair.COUNT * at
        j = layers.pairs[at]
        amount = vec(0.0)
        if ti.static(softness.take_max):
            amount = of_pair[p + OfPair.ORDER] * kept[j * width + Kept.COVERAGE]
        else:
            t = of_pair[p + OfPair.POSITION]
            if is_faint(j, arrays) == 1:
                row = softness.part.cells[ti.cast(softness.numbers[Number.FAINT_ROW], ti.i32)]
                amount = of.broadcast(row[3]) * t + of.broadcast(row[2])
                amount = amount * t + of.broadcast(row[1])
                amount = amount * t + of.broadcast(row[0])
            else:
                cells = ti.static(CellsAt(layers.pair_cell_numbers, at * lanes))
                amount = look.value(look.cubic(softness.part, cells), t)
        u = of_pair[p + OfPair.U]
        wholly = ti.select(u >= of.broadcast(softness.numbers[Number.HIGH]), vec(1.0), vec(0.0))
        wholly = ti.select(u == 0.0, vec(0.0), wholly)
        return ti.select(wholly > 0.0, kept[j * width + Kept.GENERATOR], amount), wholly

    @ti.func
    def pairs_of(
        at,
        begin,
        first,
        last,
        tolerance,
        gamma,
        arrays: ti.template(),
        width: ti.template(),
    ):
        """List the places that may be in front of one, with what is looked up for them; return their end."""
        layers = ti.static(arrays.layers)
        order, extent = ti.static((layers.order, layers.extent))
        inverse_gamma = 1 / gamma
        k = order[at]
        behind_all = hidden_from(k, tolerance, gamma, arrays)
        before_all = whole_to(k, tolerance, gamma, arrays)
        end = begin
        behind = 0
        other = first
        while behind == 0 and other < last:
            j = order[other]
            if extent[Extent.COUNT * j + Extent.NEAREST] > behind_all:
                behind = 1
            elif other != at:
                if extent[Extent.COUNT * j + Extent.FARTHEST] < before_all:
                    layers.pairs[end] = -1 - j
                else:
                    layers.pairs[end] = j
                    find_pair(end, k, j, inverse_gamma, arrays, width)
                end += 1
            other += 1
        for pair in range(begin, end):
            if layers.pairs[pair] >= 0:
                order_pair(pair, k, arrays, width)
        return end

    @ti.func
    def tolerance_of(place, layers: ti.template()):
        return layers.extent[Extent.COUNT * place + Extent.TOLERANCE]

    @ti.func
    def joined(a, b, take_max: ti.template()):
        """Return what two amounts in front make together."""
        result = a + b
        if ti.static(take_max):
            result = greater(a, b)
        return result

    @ti.func
    def risen(above, below, cell, cell0, softness: ti.template()):
        """Return the difference of two values of the inverse, of whose upper cells 1 is taken off."""
        first = of.ints(0) + ti.cast(softness.numbers[Number.FIRST_ABOVE], ti.i32)
        crosses = ti.select(cell0 < first, vec(1.0), vec(0.0))
        return above - below + ti.select(cell < first, vec(0.0), crosses)

    @ti.func
    def weigh(
        worker,
        image,
        block,
        arrays: ti.template(),
        width: ti.template(),
        visit: ti.template(),
        state: ti.template(),
    ):
        """Find for the places of a block what is in front of them, and their weights.

        In the backward pass the weights are left to the device function
        ``visit(place, in_front, first pair, end of pairs, hidden, state)``.
        """
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept, order = ti.static((layers.kept, layers.order))
        first = layers.start[worker * layers.blocks + worker + block]
        last = layers.start[worker * layers.blocks + worker + block + 1]
        gamma = softness.gammas[image]
        begin = worker * layers.capacity
        # What is wholly in front of all that follow, and how many they are.
        before = vec(0.0)
        passed = first
        farthest = real(-far)
        # The loosest of all: what is nearer than it to a threshold is compared pixel by pixel.
        tolerance = real(0.0)
        for at in range(first, last):
            tolerance = greater(tolerance, tolerance_of(order[at], layers))
        full = of.broadcast(softness.numbers[Number.FULL])
        hidden = 0
        for at in range(first, last):
            k = order[at]
            before_all = whole_to(k, tolerance, gamma, arrays)
            moves = 1
            while moves == 1:
                moves = 0
                if passed < at:
                    j = order[passed]
                    deeper = greater(farthest, layers.extent[Extent.COUNT * j + Extent.FARTHEST])
                    if deeper < before_all:
                        farthest = deeper
                        before = joined(before, kept[j * width + Kept.GENERATOR], softness.take_max)
                        passed += 1
                        moves = 1
            layers.in_front[at] = passed
            in_front = before
            is_full = ti.select((before - full).min() >= 0, 1, 0)
            if ti.static(not softness.take_max):
                hidden = ti.max(hidden, is_full)
            end = begin
            # Of what is in front, what is of those that are wholly so.
            whole = before
            if hidden == 0:
                from_where = passed
                if ti.static(softness.take_max and width > Kept.FORWARD):
                    # Any of them may be the largest.
                    from_where = first
                end = pairs_of(at, begin, from_where, last, tolerance, gamma, arrays, width)
                for pair in range(begin, end):
                    j = layers.pairs[pair]
                    if j >= 0:
                        amount, wholly = amount_of_pair(pair, arrays, width)
                        in_front = joined(in_front, amount, softness.take_max)
                        if ti.static(not softness.take_max):
                            whole = whole + amount * wholly
                    else:
                        amount = kept[(-1 - j) * width + Kept.GENERATOR]
                        in_front = joined(in_front, amount, softness.take_max)
                        if ti.static(not softness.take_max):
                            whole = whole + amount
            if ti.static(not softness.take_max):
                beyond = of.broadcast(softness.numbers[Number.HIDDEN])
                in_front = ti.select(whole >= full, beyond, in_front)
            kept[k * width + Kept.WEIGHT] = in_front
            if ti.static(width > Kept.FORWARD):
                visit(k, in_front, begin, end, hidden, state)
        if ti.static(width == Kept.FORWARD):
            for at in range(first, last):
                k = order[at] * width
                in_front = kept[k + Kept.WEIGHT]
                generator = kept[k + Kept.GENERATOR]
                weight = greater(generator - in_front, vec(0.0))
                if ti.static(not softness.take_max):
                    cell, t, _ = look.locate(in_front + generator, softness.inverse)
                    cell0, t0, _ = look.locate(in_front, softness.inverse)
                    above = look.value(look.cubic(softness.inverse, cell), t)
                    below = look.value(look.cubic(softness.inverse, cell0), t0)
                    weight = risen(above, below, cell, cell0, softness)
                kept[k + Kept.WEIGHT] = weight

    @ti.func
    def pass_to_front(
        first,
        last,
        arrays: ti.template(),
        width: ti.template(),
        by_in_front: ti.template(),
        by_generator: ti.template(),
    ):
        """Pass what is kept of what is in front of places on to those that are wholly in front of them."""
        layers = ti.static(arrays.layers)
        kept, order = ti.static((layers.kept, layers.order))
        by_all = vec(0.0)
        behind = last - 1
        for number in range(last - first):
            at = last - 1 - number
            moves = 1
            while moves == 1:
                moves = 0
                if behind >= first:
                    moves = ti.select(layers.in_front[behind] > at, 1, 0)
                if moves == 1:
                    by_all = by_all + kept[order[behind] * width + by_in_front]
                    behind -= 1
            k = order[at] * width + by_generator
            kept[k] = kept[k] + by_all

    return SimpleNamespace(
        looked_up=looked_up,
        gather=gather,
        attribute=attribute,
        is_faint=is_faint,
        amount_of_pair=amount_of_pair,
        risen=risen,
        weigh=weigh,
        pass_to_front=pass_to_front,
    )
