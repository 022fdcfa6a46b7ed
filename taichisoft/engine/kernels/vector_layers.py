"""Layers in whole vectors: what of the fragments of a block hides others, and what is left of these.

A worker owns a band, some rows of blocks of an image, and keeps its fragments in scratch memory, which
should stay in the caches: a place for each pair of a face and a block. First the faces are walked over
(`vector_gathering`), then the places of each block are sorted by depth (`vector_arrangement`) and weighed.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.vector_curve import CellsAt
from taichisoft.engine.kernels.vector_layer_bundles import Extent, Kept, Number, OfPair
from taichisoft.engine.kernels.vector_order import order_functions
from taichisoft.engine.kernels.vector_table import flexible_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def layer_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    look = flexible_lookup_functions(real)
    ordering = order_functions(real)
    vec, lanes = of.vec, of.lanes
    greater = of.greater
    far = 1e30

    @ti.func
    def size(v):
        return greater(v, 0.0 - v)

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
        row = ordering.row_of(softness)
        if row >= 0:
            h, slope = ordering.in_cell(u, row, softness, width)
            of_pair[p + OfPair.ORDER] = ti.select(tie, of.broadcast(tie_of(j, k, arrays)), h)
            if ti.static(width > Kept.FORWARD):
                of_pair[p + OfPair.SLOPE] = ordering.slope_of(slope, tie, softness)
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
        if ordering.row_of(softness) < 0:
            t = of_pair[p + OfPair.ORDER]
            cells = ti.static(CellsAt(layers.pair_cell_numbers, at * lanes))
            cubic = look.cubic(softness.order, cells)
            at_tie = of.broadcast(tie_of(j, k, arrays))
            tie = of_pair[p + OfPair.U] == 0.0
            of_pair[p + OfPair.ORDER] = ti.select(tie, at_tie, look.value(cubic, t))
            if ti.static(width > Kept.FORWARD):
                slope = look.slope(cubic, t) * of_pair[p + OfPair.SLOPE]
                of_pair[p + OfPair.SLOPE] = ordering.slope_of(slope, tie, softness)
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
        is_faint=is_faint,
        amount_of_pair=amount_of_pair,
        risen=risen,
        weigh=weigh,
        pass_to_front=pass_to_front,
    )
