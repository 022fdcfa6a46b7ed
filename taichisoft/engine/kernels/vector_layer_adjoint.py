"""Device functions that pass the gradients of weights on to what is in front."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.vector_curve import CellsAt
from taichisoft.engine.kernels.vector_layer_bundles import Kept, Number, OfPair
from taichisoft.engine.kernels.vector_layers import layer_functions
from taichisoft.engine.kernels.vector_shading import shading_functions
from taichisoft.engine.kernels.vector_table import Sizes, flexible_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def layer_adjoint_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    layer = layer_functions(real)
    shade = shading_functions(real)
    look = flexible_lookup_functions(real)
    vec, lanes = of.vec, of.lanes
    row_of_cells = ti.types.vector(4, real)
    width = Kept.BACKWARD

    @ti.func
    def unweigh(place, in_front, begin, end, hidden, state: ti.template()):
        """Pass the gradient of the weight of a place on to its pairs: generators, coverages and depths."""
        worker, image, arrays, more, sizes, sums, gradients_out, shading, texels_out = ti.static(
            state
        )
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept = ti.static(layers.kept)
        k = place * width
        up = kept[k + Kept.UPSTREAM]
        generator = kept[k + Kept.GENERATOR]
        by_in_front = vec(0.0)
        if ti.static(softness.take_max):
            weight = of.greater(generator - in_front, vec(0.0))
            kept[k + Kept.WEIGHT] = weight
            if ti.static(shading.shaded):
                up = up + shade.pull(
                    place, worker, image, weight, more.tiled, arrays, shading, texels_out
                )
            up = ti.select(generator > in_front, up, vec(0.0))
            kept[k + Kept.BY_GENERATOR] = kept[k + Kept.BY_GENERATOR] + up
            by_in_front = 0.0 - up
        elif hidden == 1:
            kept[k + Kept.WEIGHT] = vec(0.0)
        else:
            cell, t, rate = look.locate(in_front + generator, softness.inverse)
            cell0, t0, rate0 = look.locate(in_front, softness.inverse)
            cubic = look.cubic(softness.inverse, cell)
            cubic0 = look.cubic(softness.inverse, cell0)
            above = look.slope(cubic, t) * rate
            below = look.slope(cubic0, t0) * rate0
            weight = layer.risen(
                look.value(cubic, t), look.value(cubic0, t0), cell, cell0, softness
            )
            kept[k + Kept.WEIGHT] = weight
            if ti.static(shading.shaded):
                up = up + shade.pull(
                    place, worker, image, weight, more.tiled, arrays, shading, texels_out
                )
            kept[k + Kept.BY_GENERATOR] = kept[k + Kept.BY_GENERATOR] + up * above
            by_in_front = up * (above - below)
            if ti.static(more.into_cells):
                row = worker * sizes[Sizes.TOTAL] + sizes[Sizes.INVERSE]
                look.scatter(gradients_out.cells, row, cell, t, up)
                look.scatter(gradients_out.cells, row, cell0, t0, 0.0 - up)
        kept[k + Kept.BY_IN_FRONT] = by_in_front
        inverse_gamma = of.broadcast(1 / softness.gammas[image])
        by_depth = vec(0.0)
        winner = vec(0.0)
        if ti.static(softness.take_max):
            winner = first_of_largest(in_front, begin, end, arrays)
        for pair in range(begin, end):
            other = layers.pairs[pair]
            up_pair = by_in_front
            if other < 0:
                j = (-1 - other) * width
                if ti.static(softness.take_max):
                    wins = winner == of.broadcast(ti.cast(-1 - other, real))
                    up_pair = ti.select(wins, up_pair, vec(0.0))
                kept[j + Kept.BY_GENERATOR] = kept[j + Kept.BY_GENERATOR] + up_pair
            else:
                j = other * width
                _, wholly = layer.amount_of_pair(pair, arrays, width)
                if ti.static(softness.take_max):
                    wins = winner == of.broadcast(ti.cast(other, real))
                    up_pair = ti.select(wins, up_pair, vec(0.0))
                p = OfPair.COUNT * pair
                whole = up_pair * wholly
                partly = up_pair - whole
                kept[j + Kept.BY_GENERATOR] = kept[j + Kept.BY_GENERATOR] + whole
                by_part = partly
                if ti.static(not softness.take_max):
                    slope = slope_of_part(
                        pair, other, partly, worker, arrays, more, sizes, gradients_out
                    )
                    by_part = partly * slope
                h = layers.pair_kept[p + OfPair.ORDER]
                u = layers.pair_kept[p + OfPair.U]
                tie = ti.select(u == 0.0, vec(1.0), vec(0.0))
                kept[j + Kept.BY_COVERAGE] = kept[j + Kept.BY_COVERAGE] + by_part * h
                by_h = by_part * kept[j + Kept.COVERAGE]
                by_u = by_h * layers.pair_kept[p + OfPair.SLOPE]
                sums.by_gamma = sums.by_gamma - by_u * u
                sums.by_tie = sums.by_tie + by_h * tie
                moved = by_u * inverse_gamma
                by_depth = by_depth + moved
                kept[j + Kept.BY_DEPTH] = kept[j + Kept.BY_DEPTH] - moved
                if ti.static(more.into_cells):
                    cell_h, t_h, _ = look.locate(u, softness.order)
                    row_h = worker * sizes[Sizes.TOTAL] + sizes[Sizes.ORDER]
                    look.scatter(gradients_out.cells, row_h, cell_h, t_h, by_h * (1.0 - tie))
        kept[k + Kept.BY_DEPTH] = kept[k + Kept.BY_DEPTH] + by_depth

    @ti.func
    def first_of_largest(in_front, begin, end, arrays: ti.template()):
        """Return the smallest place among those of which the largest amount in front is."""
        layers = ti.static(arrays.layers)
        winner = vec(1e30)
        for pair in range(begin, end):
            j = layers.pairs[pair]
            amount = vec(0.0)
            if j >= 0:
                amount, _ = layer.amount_of_pair(pair, arrays, width)
            else:
                j = -1 - j
                amount = layers.kept[j * width + Kept.GENERATOR]
            place = of.lesser(winner, of.broadcast(ti.cast(j, real)))
            winner = ti.select(amount >= in_front, place, winner)
        return winner

    @ti.func
    def slope_of_part(
        pair,
        j,
        up,
        worker,
        arrays: ti.template(),
        more: ti.template(),
        sizes: ti.template(),
        gradients_out: ti.template(),
    ):
        """Return the slope of the generator at the part of a coverage that is in front."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        p = OfPair.COUNT * pair
        t = layers.pair_kept[p + OfPair.POSITION]
        slope = vec(0.0)
        first = worker * sizes[Sizes.TOTAL] + sizes[Sizes.PART]
        if layer.is_faint(j, arrays) == 1:
            at = ti.cast(softness.numbers[Number.FAINT_ROW], ti.i32)
            row = softness.part.cells[at]
            slope = of.broadcast(3.0 * row[3]) * t + of.broadcast(2.0 * row[2])
            slope = slope * t + of.broadcast(row[1])
            if ti.static(more.into_cells):
                powers = row_of_cells(up.sum(), (up * t).sum(), (up * t * t).sum(), 0.0)
                powers[3] = (up * t * t * t).sum()
                gradients_out.cells[first + at] = gradients_out.cells[first + at] + powers
        else:
            cells = ti.static(CellsAt(layers.pair_cell_numbers, pair * lanes))
            slope = look.slope(look.cubic(softness.part, cells), t)
            if ti.static(more.into_cells):
                look.scatter(gradients_out.cells, first, cells, t, up)
        return slope * layers.pair_kept[p + OfPair.RATE]

    return SimpleNamespace(unweigh=unweigh)
