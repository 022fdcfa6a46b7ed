"""Device functions that find at which rates weights move, and pass gradients and rates on to the front."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.vector_curve import CellsAt
from taichisoft.engine.kernels.vector_layer_bundles import Kept, Number, OfPair
from taichisoft.engine.kernels.vector_layers import layer_functions
from taichisoft.engine.kernels.vector_rate_tables import rate_table_functions
from taichisoft.engine.kernels.vector_rates import Moving, OfCells, PairRate, Rate, RowsOf
from taichisoft.engine.kernels.vector_table import flexible_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def rate_pair_functions(real):
    """Compile-on-first-use device functions for a float type."""
    of = vector_functions(real)
    layer = layer_functions(real)
    look = flexible_lookup_functions(real)
    tables = rate_table_functions(real)
    vec, lanes = of.vec, of.lanes
    width = Rate.SECOND
    # A walk over the places of a block from front to back: which one is next, how many are wholly in front,
    # and the rate of what those add up to.
    Walk = ti.types.struct(at=ti.i32, passed=ti.i32, before=vec)

    @ti.func
    def is_tie(u):
        """Return 1 where depths are equal, else 0."""
        return ti.select(u == 0.0, vec(1.0), vec(0.0))

    @ti.func
    def is_wholly(u, arrays: ti.template()):
        """Return 1 where a fragment is wholly in front of another one, else 0."""
        high = of.broadcast(arrays.softness.numbers[Number.HIGH])
        return ti.select(u >= high, 1.0 - is_tie(u), vec(0.0))

    @ti.func
    def move_pair(
        pair,
        place,
        inverse_gamma,
        log_gamma_dot,
        arrays: ti.template(),
        more: ti.template(),
        motion: ti.template(),
    ):
        """Return at which rate a pair adds to what is in front of a place; keep what it depends on."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept, of_pair = ti.static((layers.kept, layers.pair_kept))
        other = layers.pairs[pair]
        j = other * width
        p = OfPair.COUNT * pair
        m = PairRate.COUNT * pair
        u = of_pair[p + OfPair.U]
        u_dot = kept[place * width + Rate.DEPTH] - kept[j + Rate.DEPTH]
        u_dot = u_dot * of.broadcast(inverse_gamma) - u * of.broadcast(log_gamma_dot)
        tie = is_tie(u)
        h_dot = of_pair[p + OfPair.SLOPE] * u_dot + tie * of.broadcast(motion.numbers[Moving.TIE])
        slope_dot = vec(0.0)
        if ti.static(more.of_cells == OfCells.MOVE):
            order = tables.looked_up(u, softness.order, RowsOf.ORDER, more, motion)
            # At a tie neither value nor slope are those of the curve.
            h_dot = h_dot + order.moved * (1.0 - tie)
            slope_dot = tables.slope_rate(order, u_dot)
        else:
            slope_dot = order_bend(u, arrays, more, motion) * u_dot
        bend_at_tie = of.broadcast(softness.numbers[Number.BEND_AT_TIE])
        slope_dot_at_tie = bend_at_tie * u_dot + of.broadcast(motion.numbers[Moving.TIE_SLOPE])
        more.pairs[m + PairRate.ORDER_SLOPE] = ti.select(tie > 0.0, slope_dot_at_tie, slope_dot)
        part_dot = h_dot * kept[j + Kept.COVERAGE]
        part_dot = part_dot + of_pair[p + OfPair.ORDER] * kept[j + Rate.COVERAGE]
        part = part_of(pair, arrays, more, motion)
        more.pairs[m + PairRate.U] = u_dot
        more.pairs[m + PairRate.ORDER] = h_dot
        more.pairs[m + PairRate.PART] = part_dot
        more.pairs[m + PairRate.SLOPE] = part.slope
        more.pairs[m + PairRate.SLOPE_DOT] = tables.slope_rate(part, part_dot)
        wholly = is_wholly(u, arrays)
        amount_dot = part.slope * part_dot + part.moved
        return ti.select(wholly > 0.0, kept[j + Rate.GENERATOR], amount_dot)

    @ti.func
    def part_of(pair, arrays: ti.template(), more: ti.template(), motion: ti.template()):
        """Look the part of the coverage of a pair up; without its value if cells stay."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        p = OfPair.COUNT * pair
        t = layers.pair_kept[p + OfPair.POSITION]
        rate = layers.pair_kept[p + OfPair.RATE]
        result = tables.Looked()
        faint = layer.is_faint(layers.pairs[pair], arrays)
        row = ti.cast(softness.numbers[Number.FAINT_ROW], ti.i32)
        if faint == 0:
            # It was looked up by its difference from 1, and is rounded next to that.
            rate = tables.steady(rate, vec(1.0))
        if ti.static(more.of_cells == OfCells.MOVE):
            cells = part_cells(pair, arrays)
            result = tables.looked_up_at(cells, t, rate, softness.part, RowsOf.PART, more, motion)
        elif faint == 1:
            single = softness.part.cells[row]
            slope, bend = tables.row_cubic(single, t)
            result.slope = slope * rate
            result.bend = bend * rate
            result.rate = rate
        else:
            cells = ti.static(CellsAt(layers.pair_cell_numbers, pair * lanes))
            cubic = look.cubic(softness.part, cells)
            result.slope = look.slope(cubic, t) * rate
            result.bend = look.bend(cubic, t) * rate
            result.rate = rate
        return result

    @ti.func
    def part_cells(pair, arrays: ti.template()):
        """Return the cells of the part of the coverage of a pair."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        result = of.ints(0)
        if layer.is_faint(layers.pairs[pair], arrays) == 1:
            result = result + ti.cast(softness.numbers[Number.FAINT_ROW], ti.i32)
        else:
            result = tables.cells_at(layers.pair_cell_numbers, pair * lanes)
        return result

    @ti.func
    def order_bend(u, arrays: ti.template(), more: ti.template(), motion: ti.template()):
        """Return the second derivative of the order."""
        softness = ti.static(arrays.softness)
        numbers = ti.static(softness.numbers)
        result = vec(0.0)
        row = ti.cast(numbers[Number.ORDER_ROW], ti.i32)
        if row >= 0:
            rate = of.broadcast(numbers[Number.ORDER_RATE])
            t = (of.broadcast(numbers[Number.HIGH]) - u) * rate
            cubic = softness.order.cells[row]
            _, bend = tables.row_cubic(cubic, t)
            inside = ti.select(t > 0.0, ti.select(t < 1.0, vec(1.0), vec(0.0)), vec(0.0))
            result = bend * rate * rate * inside
        else:
            looked = tables.looked_up(u, softness.order, RowsOf.ORDER, more, motion)
            result = looked.bend * looked.rate
        return result

    @ti.func
    def unweigh(place, in_front, begin, end, hidden, state: ti.template()):
        """Find at which rate a weight moves; pass gradient and rate on to the pairs of its place."""
        worker, image, arrays, more, motion, _sums, walk, out = ti.static(state)
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept = ti.static(layers.kept)
        k = place * width
        passed = layers.in_front[walk.at]
        for at in range(walk.passed, passed):
            walk.before = walk.before + kept[layers.order[at] * width + Rate.GENERATOR]
        walk.passed = passed
        walk.at = walk.at + 1
        kept[k + Kept.WEIGHT] = vec(0.0)
        kept[k + Rate.WEIGHT] = vec(0.0)
        if hidden == 0:
            inverse_gamma = 1 / softness.gammas[image]
            log_gamma_dot = motion.numbers[Moving.GAMMAS + image]
            in_front_dot = walk.before
            for pair in range(begin, end):
                other = layers.pairs[pair]
                if other < 0:
                    in_front_dot = in_front_dot + kept[(-1 - other) * width + Rate.GENERATOR]
                else:
                    in_front_dot = in_front_dot + move_pair(
                        pair, place, inverse_gamma, log_gamma_dot, arrays, more, motion
                    )
            up = kept[k + Kept.UPSTREAM]
            up_dot = kept[k + Rate.UPSTREAM]
            total = in_front + kept[k + Kept.GENERATOR]
            total_dot = in_front_dot + kept[k + Rate.GENERATOR]
            above = tables.looked_up(total, softness.inverse, RowsOf.INVERSE, more, motion)
            below = tables.looked_up(in_front, softness.inverse, RowsOf.INVERSE, more, motion)
            kept[k + Kept.WEIGHT] = layer.risen(
                above.value, below.value, above.cell, below.cell, softness
            )
            kept[k + Rate.WEIGHT] = (above.slope * total_dot + above.moved) - (
                below.slope * in_front_dot + below.moved
            )
            above_dot = tables.slope_rate(above, total_dot)
            below_dot = tables.slope_rate(below, in_front_dot)
            tables.add_looked_up(RowsOf.INVERSE, above, total_dot, up, up_dot, worker, more, out)
            tables.add_looked_up(
                RowsOf.INVERSE, below, in_front_dot, 0.0 - up, 0.0 - up_dot, worker, more, out
            )
            kept[k + Kept.BY_GENERATOR] = kept[k + Kept.BY_GENERATOR] + up * above.slope
            kept[k + Rate.BY_GENERATOR] = (
                kept[k + Rate.BY_GENERATOR] + up_dot * above.slope + up * above_dot
            )
            by_in_front = up * (above.slope - below.slope)
            by_in_front_dot = up_dot * (above.slope - below.slope) + up * (above_dot - below_dot)
            kept[k + Kept.BY_IN_FRONT] = by_in_front
            kept[k + Rate.BY_IN_FRONT] = by_in_front_dot
            by_depth = vec(0.0)
            by_depth_dot = vec(0.0)
            for pair in range(begin, end):
                other = layers.pairs[pair]
                if other < 0:
                    j = (-1 - other) * width
                    kept[j + Kept.BY_GENERATOR] = kept[j + Kept.BY_GENERATOR] + by_in_front
                    kept[j + Rate.BY_GENERATOR] = kept[j + Rate.BY_GENERATOR] + by_in_front_dot
                else:
                    moved, moved_dot = pull_pair(
                        pair, inverse_gamma, log_gamma_dot, by_in_front, by_in_front_dot, state
                    )
                    by_depth = by_depth + moved
                    by_depth_dot = by_depth_dot + moved_dot
            kept[k + Kept.BY_DEPTH] = kept[k + Kept.BY_DEPTH] + by_depth
            kept[k + Rate.BY_DEPTH] = kept[k + Rate.BY_DEPTH] + by_depth_dot

    @ti.func
    def pull_pair(
        pair, inverse_gamma, log_gamma_dot, by_in_front, by_in_front_dot, state: ti.template()
    ):
        """Pass a gradient and its rate on to the one in front of a pair; return those by the depth behind."""
        worker, _image, arrays, more, motion, sums, _walk, out = ti.static(state)
        layers = ti.static(arrays.layers)
        kept, of_pair = ti.static((layers.kept, layers.pair_kept))
        j = layers.pairs[pair] * width
        p = OfPair.COUNT * pair
        m = PairRate.COUNT * pair
        u = of_pair[p + OfPair.U]
        h = of_pair[p + OfPair.ORDER]
        h_slope = of_pair[p + OfPair.SLOPE]
        u_dot = more.pairs[m + PairRate.U]
        h_dot = more.pairs[m + PairRate.ORDER]
        slope = more.pairs[m + PairRate.SLOPE]
        slope_dot = more.pairs[m + PairRate.SLOPE_DOT]
        tie = is_tie(u)
        # Not the whole less a part, which may be large: the rest would be rounded away.
        wholly = is_wholly(u, arrays)
        kept[j + Kept.BY_GENERATOR] = kept[j + Kept.BY_GENERATOR] + by_in_front * wholly
        kept[j + Rate.BY_GENERATOR] = kept[j + Rate.BY_GENERATOR] + by_in_front_dot * wholly
        by_amount = by_in_front * (1.0 - wholly)
        by_amount_dot = by_in_front_dot * (1.0 - wholly)
        by_part = by_amount * slope
        by_part_dot = by_amount_dot * slope + by_amount * slope_dot
        kept[j + Kept.BY_COVERAGE] = kept[j + Kept.BY_COVERAGE] + by_part * h
        kept[j + Rate.BY_COVERAGE] = kept[j + Rate.BY_COVERAGE] + by_part_dot * h + by_part * h_dot
        coverage = kept[j + Kept.COVERAGE]
        by_h = by_part * coverage
        by_h_dot = by_part_dot * coverage + by_part * kept[j + Rate.COVERAGE]
        by_u = by_h * h_slope
        by_u_dot = by_h_dot * h_slope
        by_u_dot = by_u_dot + by_h * more.pairs[m + PairRate.ORDER_SLOPE]
        sums.by_gamma = sums.by_gamma - by_u * u
        sums.by_gamma_dot = sums.by_gamma_dot - (by_u_dot * u + by_u * u_dot)
        sums.by_tie_dot = sums.by_tie_dot + by_h_dot * tie
        sums.by_tie_slope_dot = sums.by_tie_slope_dot + by_h * u_dot * tie
        moved = by_u * inverse_gamma
        moved_dot = (by_u_dot - by_u * log_gamma_dot) * inverse_gamma
        kept[j + Kept.BY_DEPTH] = kept[j + Kept.BY_DEPTH] - moved
        kept[j + Rate.BY_DEPTH] = kept[j + Rate.BY_DEPTH] - moved_dot
        if ti.static(more.of_cells > OfCells.NONE):
            pair_cells(
                pair,
                by_amount,
                by_amount_dot,
                by_h,
                by_h_dot,
                worker,
                arrays,
                more,
                motion,
                out,
            )
        return moved, moved_dot

    @ti.func
    def pair_cells(
        pair,
        by_amount,
        by_amount_dot,
        by_h,
        by_h_dot,
        worker,
        arrays: ti.template(),
        more: ti.template(),
        motion: ti.template(),
        out: ti.template(),
    ):
        """Add the rates of the gradients of the cells of order and generator that a pair is in."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        of_pair = ti.static(layers.pair_kept)
        p = OfPair.COUNT * pair
        m = PairRate.COUNT * pair
        u = of_pair[p + OfPair.U]
        order = tables.looked_up(u, softness.order, RowsOf.ORDER, more, motion)
        # At a tie neither value nor slope are those of the curve.
        apart = 1.0 - is_tie(u)
        u_dot = more.pairs[m + PairRate.U]
        by_slope, by_value = by_h * apart, by_h_dot * apart
        tables.add_looked_up(RowsOf.ORDER, order, u_dot, by_slope, by_value, worker, more, out)
        first = worker * more.rows[RowsOf.TOTAL] + more.rows[RowsOf.PART]
        t = of_pair[p + OfPair.POSITION]
        t_dot = more.pairs[m + PairRate.PART] * of_pair[p + OfPair.RATE]
        cells = part_cells(pair, arrays)
        tables.scatter(out.cells, first, cells, t, t_dot, by_amount, by_amount_dot)

    return SimpleNamespace(Walk=Walk, unweigh=unweigh)
