"""Kernel of the second derivatives of compositing front to back on the CPU, in whole vectors.

All that the result is differentiable in moves at given rates. Beside every number
of the backward pass (`taichisoft.engine.kernels.vector_composite_adjoint`) its rate is computed: those of the
image are the gradient of ``<adjoint, rates>`` by the upstream gradient, and those of the gradients are its
gradients by the inputs, since second derivatives are symmetric. Names that end in ``_dot`` are rates.
"""

from functools import cache
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blocks import block_functions
from taichisoft.engine.kernels.faces import face_functions
from taichisoft.engine.kernels.kernel import (
    Constant,
    Floats,
    Ints,
    Quads,
    Vectors,
    large_vector_kernel,
)
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.vector_arrangement import arrangement_functions
from taichisoft.engine.kernels.vector_curve import CellsAt
from taichisoft.engine.kernels.vector_fragment import vector_fragment_functions
from taichisoft.engine.kernels.vector_layers import (
    Kept,
    LayerArrays,
    Number,
    OfPair,
    layer_functions,
)
from taichisoft.engine.kernels.vector_moving_fragment import moving_fragment_functions
from taichisoft.engine.kernels.vector_planes import plane_functions
from taichisoft.engine.kernels.vector_table import flexible_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions


class Rate:
    """Vectors that are kept of a fragment behind those of `Kept`: rates of the ones of the same name."""

    (S, D, GENERATOR, COVERAGE, DEPTH, SHARE0, SHARE1, SHARE2, INVERSE_SUM) = range(
        Kept.BACKWARD, Kept.BACKWARD + 9
    )
    (NORMAL, TANGENT, ALONG, WEIGHT, OPACITY, OPAQUE, UPSTREAM, CORNER0, CORNER1, CORNER2) = range(
        Kept.BACKWARD + 9, Kept.BACKWARD + 19
    )
    (BY_GENERATOR, BY_COVERAGE, BY_DEPTH, BY_IN_FRONT) = range(
        Kept.BACKWARD + 19, Kept.BACKWARD + 23
    )
    SECOND = Kept.BACKWARD + 23


class PairRate:
    """Vectors that are kept of a pair of places.

    Rates of the depth difference in gammas, of h, of its slope by that difference, and of the part of the
    coverage in front; slope of the generator by that part, and its rate.
    """

    U, ORDER, ORDER_SLOPE, PART, SLOPE, SLOPE_DOT = range(6)
    COUNT = 6


class RowsOf:
    """Rows of all tables, and those before each table but the first, that of the generator."""

    TOTAL, COVERAGE, ORDER, PART, INVERSE = range(5)


class OfBand:
    """Numbers of a band.

    Gradients of the logarithms of the width and of gamma, then rates of these and of the gradient of h at
    ties.
    """

    WIDTH, GAMMA, WIDTH_DOT, GAMMA_DOT, TIE_DOT = range(5)
    COUNT = 5


class Motion(NamedTuple):
    """At which rates the inputs move."""

    corners: Ints  # (N * 3) rows of points
    points: Floats  # (P * 4)
    attributes: Floats  # (A * C)
    numbers: Floats  # (2 + B) h at ties, logarithms of the width and of the gammas
    cells: Quads  # of all tables; one row unless they move


class OfCells:
    """What is done with the cells of tables; what moves has a gradient, too."""

    NONE, INTO, MOVE = range(3)


class SecondArrays(NamedTuple):
    """What is read besides, and scratch memory."""

    of_cells: Constant  # see `OfCells`
    rows: Ints  # see `RowsOf`
    upstream: Floats  # ((3 + C) * B * H * W) planes
    tiled: Vectors  # (workers * blocks * (3 + C)) of a band, written here
    image_sums: Vectors  # likewise: rates of the image
    attribute_sums: Vectors  # (workers * 3 * C) of the attributes of a face, written here
    pairs: Vectors  # (capacity of a worker) for each as many as `PairRate` says
    parts: Ints  # (N) what is added to the number of a band for the part of a face


class SecondGradients(NamedTuple):
    """What is found: rates of the image and of the gradients."""

    image: Floats  # ((3 + C) * B * H * W) planes
    corners: Floats  # (parts * 3 * 4) x, y, depth, inverse w
    attributes: Floats  # (parts * 3 * C)
    numbers: Floats  # (bands * OfBand.COUNT)
    cells: Quads  # (workers * rows of all tables) starts at 0; one row unless asked for


@cache
def composite_second_kernel(real):
    """Compile-on-first-use kernel for a float type."""
    of = vector_functions(real)
    geo = block_functions(real)
    frames = face_functions(real)
    fragment = vector_fragment_functions(real)
    moving = moving_fragment_functions(real)
    layer = layer_functions(real)
    arrangement = arrangement_functions()
    planes_of = plane_functions(real)
    look = flexible_lookup_functions(real)
    vec, lanes = of.vec, of.lanes
    row_of_cells = ti.types.vector(4, real)
    width = Rate.SECOND
    rounding = 1.2e-7 if real is ti.f32 else 2.3e-16
    # As in `OfBand`.
    Numbers = ti.types.struct(
        by_width=vec, by_gamma=vec, by_width_dot=vec, by_gamma_dot=vec, by_tie_dot=vec
    )
    # A walk over the places of a block from front to back: which one is next, how many are wholly in front,
    # and the rate of what those add up to.
    Walk = ti.types.struct(at=ti.i32, passed=ti.i32, before=vec)
    # Values, slopes and bends of a curve, at which rates its values and slopes move with its cells, and where
    # they were looked up.
    Looked = ti.types.struct(
        value=vec, slope=vec, bend=vec, moved=vec, turned=vec, t=vec, rate=vec, cell=of.ints
    )

    @ti.func
    def steady(rate, s):
        """Return d(position)/ds; 0 in cells that are as narrow as s is rounded."""
        size = of.greater(s, 0.0 - s) + 1e-20
        steep = of.greater(rate, 0.0 - rate)
        return ti.select(steep * size * real(rounding) > 0.25, vec(0.0), rate)

    @ti.func
    def looked_up(
        s,
        table: ti.template(),
        which: ti.template(),
        more: ti.template(),
        motion: ti.template(),
    ):
        """Look a curve up with its first two derivatives; `which` of the tables it is, see `RowsOf`."""
        cell, t, rate = look.locate(s, table)
        return looked_up_at(cell, t, steady(rate, s), table, which, more, motion)

    @ti.func
    def looked_up_at(
        cell: ti.template(),
        t,
        rate,
        table: ti.template(),
        which: ti.template(),
        more: ti.template(),
        motion: ti.template(),
    ):
        """Look a curve up at known places in its cells."""
        result = Looked()
        cubic = look.cubic(table, cell)
        result.value = look.value(cubic, t)
        result.slope = look.slope(cubic, t) * rate
        # In this order: where a curve is constant the rate may be large.
        result.bend = look.bend(cubic, t) * rate * rate
        result.t = t
        result.rate = rate
        result.cell = cell
        if ti.static(more.of_cells == OfCells.MOVE):
            cells = result.cell
            if ti.static(which > 0):
                cells = cells + more.rows[which]
            moves = look.cubic(motion, cells)
            result.moved = look.value(moves, t)
            result.turned = look.slope(moves, t) * rate
        return result

    @ti.func
    def cells_at(array: ti.template(), start):
        """Return the cells of lanes that were written to memory."""
        result = of.ints(0)
        for lane in ti.static(range(lanes)):
            result[lane] = array[start + lane]
        return result

    @ti.func
    def row_cubic(row: ti.template(), t):
        """Return slope and bend of one cubic by its position."""
        slope = of.broadcast(3.0 * row[3]) * t + of.broadcast(2.0 * row[2])
        slope = slope * t + of.broadcast(row[1])
        return slope, of.broadcast(6.0 * row[3]) * t + of.broadcast(2.0 * row[2])

    @ti.func
    def scatter(cells_out: ti.template(), first, cell: ti.template(), t, t_dot, up, up_dot):
        """Add the rates of gradients to the cells of a table."""
        moved = up * t_dot
        for lane in ti.static(range(lanes)):
            p = t[lane]
            powers = row_of_cells(1.0, p, p * p, p * p * p)
            slopes = row_of_cells(0.0, 1.0, 2.0 * p, 3.0 * p * p)
            row = first + cell[lane]
            cells_out[row] = cells_out[row] + (powers * up_dot[lane] + slopes * moved[lane])

    @ti.func
    def add_looked_up(
        table: ti.template(),
        looked: ti.template(),
        x_dot,
        up,
        up_dot,
        worker,
        more: ti.template(),
        out: ti.template(),
    ):
        """Add the rates of the gradients of the cells that a curve was looked up in."""
        if ti.static(more.of_cells > OfCells.NONE):
            first = worker * more.rows[RowsOf.TOTAL]
            if ti.static(table > 0):
                first += more.rows[table]
            scatter(out.cells, first, looked.cell, looked.t, looked.rate * x_dot, up, up_dot)

    @ti.func
    def fragment_at(at, arrays: ti.template()):
        """Return the fragments of a place as they were kept."""
        kept = ti.static(arrays.layers.kept)
        k = at * width
        result = fragment.Fragment()
        result.d = kept[k + Kept.S] * of.broadcast(1 / arrays.softness.coverage.layout[0])
        result.normal = kept[k + Kept.NORMAL]
        result.tangent = kept[k + Kept.TANGENT]
        result.along = kept[k + Kept.ALONG]
        result.edge = kept[k + Kept.EDGE]
        result.share0 = kept[k + Kept.SHARE0]
        result.share1 = kept[k + Kept.SHARE1]
        result.share2 = kept[k + Kept.SHARE2]
        result.inverse_sum = kept[k + Kept.INVERSE_SUM]
        result.z = kept[k + Kept.DEPTH]
        return result

    @ti.func
    def rates_at(at, arrays: ti.template()):
        """Return the rates of the fragments of a place as they were kept."""
        kept = ti.static(arrays.layers.kept)
        k = at * width
        result = moving.Moved()
        result.d = kept[k + Rate.D]
        result.normal = kept[k + Rate.NORMAL]
        result.tangent = kept[k + Rate.TANGENT]
        result.along = kept[k + Rate.ALONG]
        result.share0 = kept[k + Rate.SHARE0]
        result.share1 = kept[k + Rate.SHARE1]
        result.share2 = kept[k + Rate.SHARE2]
        result.inverse_sum = kept[k + Rate.INVERSE_SUM]
        result.z = kept[k + Rate.DEPTH]
        return result

    @ti.func
    def move(
        worker, top, visits, arrays: ti.template(), more: ti.template(), motion: ti.template()
    ):
        """Find at which rates the fragments of a band move."""
        layers = ti.static(arrays.layers)
        kept = ti.static(layers.kept)
        dx, dy = geo.offsets()
        first_visit = 2 * worker * (layers.capacity + 1)
        for number in range((visits - first_visit) // 2):
            visit = first_visit + 2 * number
            index = layers.visits[visit]
            face, _ = frames.read(arrays.faces.frames, index)
            depths = fragment.read(arrays.depths, face, index)
            motion_of_face = moving.motion_of(face, depths, motion.corners, motion.points, index)
            for at in range(layers.visits[visit + 1], layers.visits[visit + 3]):
                block = layers.block[at]
                if block >= 0:
                    row = block // arrays.tiles.columns
                    column = block - row * arrays.tiles.columns
                    forms = geo.forms_of(face, dx, dy, column, top + row)
                    found = fragment_at(at, arrays)
                    rates = moving.moved(face, depths, motion_of_face, forms, found)
                    k = at * width
                    kept[k + Rate.D] = rates.d
                    kept[k + Rate.NORMAL] = rates.normal
                    kept[k + Rate.TANGENT] = rates.tangent
                    kept[k + Rate.ALONG] = rates.along
                    kept[k + Rate.SHARE0] = rates.share0
                    kept[k + Rate.SHARE1] = rates.share1
                    kept[k + Rate.SHARE2] = rates.share2
                    kept[k + Rate.INVERSE_SUM] = rates.inverse_sum
                    kept[k + Rate.DEPTH] = rates.z
                    cover(at, index, rates.d, arrays, more, motion)

    @ti.func
    def cover(at, index, d_dot, arrays: ti.template(), more: ti.template(), motion: ti.template()):
        """Find at which rates coverage and its generator move at a place."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept = ti.static(layers.kept)
        k = at * width
        s = kept[k + Kept.S]
        s_dot = d_dot * of.broadcast(softness.coverage.layout[0])
        s_dot = s_dot - s * of.broadcast(motion.numbers[1])
        kept[k + Rate.S] = s_dot
        rate = steady(kept[k + Kept.RATE], s)
        kept[k + Kept.RATE] = rate
        cells = cells_at(layers.cell_numbers, at * lanes)
        t = kept[k + Kept.POSITION]
        own = looked_up_at(cells, t, rate, softness.coverage, RowsOf.COVERAGE, more, motion)
        coverage_dot = own.slope * s_dot + own.moved
        generator_dot = vec(0.0)
        if softness.numbers[Number.OPACITY] > 0:
            c = arrays.channels - 1
            opacity = kept[k + Kept.OPACITY]
            opacity_dot = attribute_rate(at, index, c, arrays, motion)
            kept[k + Rate.OPACITY] = opacity_dot
            kept[k + Rate.OPAQUE] = coverage_dot
            coverage_dot = coverage_dot * opacity + kept[k + Kept.OPAQUE] * opacity_dot
            x = kept[k + Kept.COVERAGE] - 1.0
            part = looked_up(x, softness.part, RowsOf.PART, more, motion)
            generator_dot = part.slope * coverage_dot + part.moved
        elif softness.numbers[Number.SAME] > 0:
            same = looked_up_at(cells, t, rate, softness.generator, 0, more, motion)
            generator_dot = same.slope * s_dot + same.moved
        else:
            generator = looked_up(s, softness.generator, 0, more, motion)
            generator_dot = generator.slope * s_dot + generator.moved
        kept[k + Rate.COVERAGE] = coverage_dot
        kept[k + Rate.GENERATOR] = generator_dot

    @ti.func
    def attribute_rate(at, index, c, arrays: ti.template(), motion: ti.template()):
        """Return at which rate an attribute of a face moves at its fragments."""
        kept = ti.static(arrays.layers.kept)
        values, rates, rows = ti.static((arrays.attributes, motion.attributes, arrays.rows))
        k = at * width
        result = vec(0.0)
        for e in ti.static(range(3)):
            row = rows[3 * index + e] * arrays.channels + c
            result = result + kept[k + Rate.SHARE0 + e] * of.broadcast(values[row])
            result = result + kept[k + Kept.SHARE0 + e] * of.broadcast(rates[row])
        return result

    @ti.func
    def receive(
        worker, visits, arrays: ti.template(), more: ti.template(), motion: ti.template(), planes
    ):
        """Bring the upstream gradients to the places of a band."""
        layers = ti.static(arrays.layers)
        kept = ti.static(layers.kept)
        values, rates, rows = ti.static((arrays.attributes, motion.attributes, arrays.rows))
        first_visit = 2 * worker * (layers.capacity + 1)
        for number in range((visits - first_visit) // 2):
            visit = first_visit + 2 * number
            index = layers.visits[visit]
            for at in range(layers.visits[visit + 1], layers.visits[visit + 3]):
                block = worker * layers.blocks + layers.block[at]
                if layers.block[at] >= 0:
                    k = at * width
                    p = block * planes
                    up = more.tiled[p + 1] + more.tiled[p + 2] * kept[k + Kept.DEPTH]
                    up_dot = more.tiled[p + 2] * kept[k + Rate.DEPTH]
                    for e in ti.static(range(3)):
                        row = rows[3 * index + e] * arrays.channels
                        corner = vec(0.0)
                        corner_dot = vec(0.0)
                        for c in range(planes - 3):
                            by_color = more.tiled[p + 3 + c]
                            corner = corner + by_color * of.broadcast(values[row + c])
                            corner_dot = corner_dot + by_color * of.broadcast(rates[row + c])
                        kept[k + Kept.CORNER0 + e] = corner
                        kept[k + Rate.CORNER0 + e] = corner_dot
                        share = kept[k + Kept.SHARE0 + e]
                        up = up + share * corner
                        up_dot = up_dot + share * corner_dot + kept[k + Rate.SHARE0 + e] * corner
                    kept[k + Kept.UPSTREAM] = up
                    kept[k + Rate.UPSTREAM] = up_dot
                    kept[k + Kept.BY_GENERATOR] = more.tiled[p]
                    kept[k + Kept.BY_COVERAGE] = vec(0.0)
                    kept[k + Kept.BY_DEPTH] = vec(0.0)
                    kept[k + Kept.BY_IN_FRONT] = vec(0.0)
                    kept[k + Rate.BY_GENERATOR] = vec(0.0)
                    kept[k + Rate.BY_COVERAGE] = vec(0.0)
                    kept[k + Rate.BY_DEPTH] = vec(0.0)
                    kept[k + Rate.BY_IN_FRONT] = vec(0.0)

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
        h_dot = of_pair[p + OfPair.SLOPE] * u_dot + tie * of.broadcast(motion.numbers[0])
        if ti.static(more.of_cells == OfCells.MOVE):
            order = looked_up(u, softness.order, RowsOf.ORDER, more, motion)
            # At a tie the value is not that of the curve, but the slope is.
            h_dot = h_dot + order.moved * (1.0 - tie)
            more.pairs[m + PairRate.ORDER_SLOPE] = order.bend * u_dot + order.turned
        else:
            more.pairs[m + PairRate.ORDER_SLOPE] = order_bend(u, arrays, more, motion) * u_dot
        part_dot = h_dot * kept[j + Kept.COVERAGE]
        part_dot = part_dot + of_pair[p + OfPair.ORDER] * kept[j + Rate.COVERAGE]
        part = part_of(pair, arrays, more, motion)
        more.pairs[m + PairRate.U] = u_dot
        more.pairs[m + PairRate.ORDER] = h_dot
        more.pairs[m + PairRate.PART] = part_dot
        more.pairs[m + PairRate.SLOPE] = part.slope
        more.pairs[m + PairRate.SLOPE_DOT] = part.bend * part_dot + part.turned
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
        result = Looked()
        faint = layer.is_faint(layers.pairs[pair], arrays)
        row = ti.cast(softness.numbers[Number.FAINT_ROW], ti.i32)
        if ti.static(more.of_cells == OfCells.MOVE):
            cells = part_cells(pair, arrays)
            result = looked_up_at(cells, t, rate, softness.part, RowsOf.PART, more, motion)
        elif faint == 1:
            single = softness.part.cells[row]
            slope, bend = row_cubic(single, t)
            result.slope = slope * rate
            result.bend = bend * rate * rate
        else:
            cells = ti.static(CellsAt(layers.pair_cell_numbers, pair * lanes))
            cubic = look.cubic(softness.part, cells)
            result.slope = look.slope(cubic, t) * rate
            result.bend = look.bend(cubic, t) * rate * rate
        return result

    @ti.func
    def part_cells(pair, arrays: ti.template()):
        """Return the cells of the part of the coverage of a pair."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        result = of.ints(0)
        if layer.is_faint(layers.pairs[pair], arrays) == 1:
            result = result + ti.cast(softness.numbers[Number.FAINT_ROW], ti.i32)
        else:
            result = cells_at(layers.pair_cell_numbers, pair * lanes)
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
            _, bend = row_cubic(cubic, t)
            inside = ti.select(t > 0.0, ti.select(t < 1.0, vec(1.0), vec(0.0)), vec(0.0))
            result = bend * rate * rate * inside
        else:
            result = looked_up(u, softness.order, RowsOf.ORDER, more, motion).bend
        return result

    @ti.func
    def unweigh(place, in_front, begin, end, hidden, state: ti.template()):
        """Find at which rate a weight moves; pass gradient and rate on to the pairs of its place."""
        worker, image, arrays, more, motion, sums, walk, out = ti.static(state)
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept, of_pair = ti.static((layers.kept, layers.pair_kept))
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
            log_gamma_dot = motion.numbers[2 + image]
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
            above = looked_up(total, softness.inverse, RowsOf.INVERSE, more, motion)
            below = looked_up(in_front, softness.inverse, RowsOf.INVERSE, more, motion)
            kept[k + Kept.WEIGHT] = above.value - below.value
            kept[k + Rate.WEIGHT] = (above.slope * total_dot + above.moved) - (
                below.slope * in_front_dot + below.moved
            )
            above_dot = above.bend * total_dot + above.turned
            below_dot = below.bend * in_front_dot + below.turned
            add_looked_up(RowsOf.INVERSE, above, total_dot, up, up_dot, worker, more, out)
            add_looked_up(
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
                    j = other * width
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
                    kept[j + Rate.BY_GENERATOR] = (
                        kept[j + Rate.BY_GENERATOR] + by_in_front_dot * wholly
                    )
                    by_amount = by_in_front * (1.0 - wholly)
                    by_amount_dot = by_in_front_dot * (1.0 - wholly)
                    by_part = by_amount * slope
                    by_part_dot = by_amount_dot * slope + by_amount * slope_dot
                    kept[j + Kept.BY_COVERAGE] = kept[j + Kept.BY_COVERAGE] + by_part * h
                    kept[j + Rate.BY_COVERAGE] = (
                        kept[j + Rate.BY_COVERAGE] + by_part_dot * h + by_part * h_dot
                    )
                    coverage = kept[j + Kept.COVERAGE]
                    by_h = by_part * coverage
                    by_h_dot = by_part_dot * coverage + by_part * kept[j + Rate.COVERAGE]
                    by_u = by_h * h_slope
                    by_u_dot = by_h_dot * h_slope
                    by_u_dot = by_u_dot + by_h * more.pairs[m + PairRate.ORDER_SLOPE]
                    sums.by_gamma = sums.by_gamma - by_u * u
                    sums.by_gamma_dot = sums.by_gamma_dot - (by_u_dot * u + by_u * u_dot)
                    sums.by_tie_dot = sums.by_tie_dot + by_h_dot * tie
                    moved = by_u * inverse_gamma
                    moved_dot = (by_u_dot - by_u * log_gamma_dot) * inverse_gamma
                    by_depth = by_depth + moved
                    by_depth_dot = by_depth_dot + moved_dot
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
            kept[k + Kept.BY_DEPTH] = kept[k + Kept.BY_DEPTH] + by_depth
            kept[k + Rate.BY_DEPTH] = kept[k + Rate.BY_DEPTH] + by_depth_dot

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
        order = looked_up(u, softness.order, RowsOf.ORDER, more, motion)
        # At a tie the value is not that of the curve, but the slope is.
        by_value = by_h_dot * (1.0 - is_tie(u))
        add_looked_up(
            RowsOf.ORDER, order, more.pairs[m + PairRate.U], by_h, by_value, worker, more, out
        )
        first = worker * more.rows[RowsOf.TOTAL] + more.rows[RowsOf.PART]
        t = of_pair[p + OfPair.POSITION]
        t_dot = more.pairs[m + PairRate.PART] * of_pair[p + OfPair.RATE]
        cells = part_cells(pair, arrays)
        scatter(out.cells, first, cells, t, t_dot, by_amount, by_amount_dot)

    @ti.func
    def by_distance(
        at,
        worker,
        arrays: ti.template(),
        more: ti.template(),
        motion: ti.template(),
        sums: ti.template(),
        out: ti.template(),
    ):
        """Return the gradients of the distance in scales and of the opacity at a place, and their rates."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept = ti.static(layers.kept)
        k = at * width
        s = kept[k + Kept.S]
        s_dot = kept[k + Rate.S]
        by_generator = kept[k + Kept.BY_GENERATOR]
        by_generator_dot = kept[k + Rate.BY_GENERATOR]
        by_coverage = kept[k + Kept.BY_COVERAGE]
        by_coverage_dot = kept[k + Rate.BY_COVERAGE]
        by_opacity = vec(0.0)
        by_opacity_dot = vec(0.0)
        by_s = vec(0.0)
        by_s_dot = vec(0.0)
        rate = kept[k + Kept.RATE]
        t = kept[k + Kept.POSITION]
        cells = cells_at(layers.cell_numbers, at * lanes)
        if softness.numbers[Number.OPACITY] > 0:
            x_dot = kept[k + Rate.COVERAGE]
            x = kept[k + Kept.COVERAGE] - 1.0
            part = looked_up(x, softness.part, RowsOf.PART, more, motion)
            add_looked_up(
                RowsOf.PART, part, x_dot, by_generator, by_generator_dot, worker, more, out
            )
            by_coverage = by_coverage + by_generator * part.slope
            by_coverage_dot = by_coverage_dot + by_generator_dot * part.slope
            by_coverage_dot = by_coverage_dot + by_generator * (part.bend * x_dot + part.turned)
            opaque = kept[k + Kept.OPAQUE]
            opacity = kept[k + Kept.OPACITY]
            by_opacity = by_coverage * opaque
            by_opacity_dot = by_coverage_dot * opaque + by_coverage * kept[k + Rate.OPAQUE]
            by_coverage_dot = by_coverage_dot * opacity + by_coverage * kept[k + Rate.OPACITY]
            by_coverage = by_coverage * opacity
        elif softness.numbers[Number.SAME] > 0:
            same = looked_up_at(cells, t, rate, softness.generator, 0, more, motion)
            by_s = by_generator * same.slope
            by_s_dot = by_generator_dot * same.slope
            by_s_dot = by_s_dot + by_generator * (same.bend * s_dot + same.turned)
            add_looked_up(0, same, s_dot, by_generator, by_generator_dot, worker, more, out)
        else:
            generator = looked_up(s, softness.generator, 0, more, motion)
            by_s = by_generator * generator.slope
            by_s_dot = by_generator_dot * generator.slope
            by_s_dot = by_s_dot + by_generator * (generator.bend * s_dot + generator.turned)
            add_looked_up(0, generator, s_dot, by_generator, by_generator_dot, worker, more, out)
        own = looked_up_at(cells, t, rate, softness.coverage, RowsOf.COVERAGE, more, motion)
        by_s = by_s + by_coverage * own.slope
        by_s_dot = by_s_dot + by_coverage_dot * own.slope
        by_s_dot = by_s_dot + by_coverage * (own.bend * s_dot + own.turned)
        add_looked_up(RowsOf.COVERAGE, own, s_dot, by_coverage, by_coverage_dot, worker, more, out)
        sums.by_width = sums.by_width - by_s * s
        sums.by_width_dot = sums.by_width_dot - (by_s_dot * s + by_s * s_dot)
        return by_s, by_s_dot, by_opacity, by_opacity_dot

    @ti.func
    def finish(
        at,
        index,
        worker,
        face: ti.template(),
        depths: ti.template(),
        motion_of_face: ti.template(),
        arrays: ti.template(),
        more: ti.template(),
        motion: ti.template(),
        sums: ti.template(),
        corners: ti.template(),
        out: ti.template(),
        planes,
    ):
        """Add the rates of a place to the image, to the corners of its face and to their attributes."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept = ti.static(layers.kept)
        values, rates_in, rows = ti.static((arrays.attributes, motion.attributes, arrays.rows))
        corner0, corner1, corner2 = ti.static(corners)
        k = at * width
        p = (worker * layers.blocks + layers.block[at]) * planes
        image = ti.static(more.image_sums)
        weight = kept[k + Kept.WEIGHT]
        weight_dot = kept[k + Rate.WEIGHT]
        z = kept[k + Kept.DEPTH]
        z_dot = kept[k + Rate.DEPTH]
        by_s, by_s_dot, by_opacity, by_opacity_dot = by_distance(
            at, worker, arrays, more, motion, sums, out
        )
        by_z = kept[k + Kept.BY_DEPTH] + weight * more.tiled[p + 2]
        by_z_dot = kept[k + Rate.BY_DEPTH] + weight_dot * more.tiled[p + 2]
        image[p] = image[p] + kept[k + Rate.GENERATOR]
        image[p + 1] = image[p + 1] + weight_dot
        image[p + 2] = image[p + 2] + weight_dot * z + weight * z_dot
        share0 = kept[k + Kept.SHARE0]
        share1 = kept[k + Kept.SHARE1]
        share2 = kept[k + Kept.SHARE2]
        for c in range(planes - 3):
            up = more.tiled[p + 3 + c]
            color = layer.attribute(arrays, index, c, share0, share1, share2)
            color_dot = attribute_rate(at, index, c, arrays, motion)
            image[p + 3 + c] = image[p + 3 + c] + weight_dot * color + weight * color_dot
            add_attribute(at, worker, c, weight * up, weight_dot * up, arrays, more)
        by = moving.Upstream()
        inverse_width = softness.coverage.layout[0]
        by.d = by_s * inverse_width
        by.d_dot = (by_s_dot - by_s * motion.numbers[1]) * inverse_width
        by.share0, by.share0_dot = by_share(
            k, 0, weight, weight_dot, by_z, by_z_dot, depths, motion_of_face, arrays
        )
        by.share1, by.share1_dot = by_share(
            k, 1, weight, weight_dot, by_z, by_z_dot, depths, motion_of_face, arrays
        )
        by.share2, by.share2_dot = by_share(
            k, 2, weight, weight_dot, by_z, by_z_dot, depths, motion_of_face, arrays
        )
        if softness.numbers[Number.OPACITY] > 0:
            c = arrays.channels - 1
            add_attribute(at, worker, c, by_opacity, by_opacity_dot, arrays, more)
            row0 = rows[3 * index] * arrays.channels + c
            row1 = rows[3 * index + 1] * arrays.channels + c
            row2 = rows[3 * index + 2] * arrays.channels + c
            by.share0 = by.share0 + by_opacity * values[row0]
            by.share1 = by.share1 + by_opacity * values[row1]
            by.share2 = by.share2 + by_opacity * values[row2]
            by.share0_dot = (
                by.share0_dot + by_opacity_dot * values[row0] + by_opacity * rates_in[row0]
            )
            by.share1_dot = (
                by.share1_dot + by_opacity_dot * values[row1] + by_opacity * rates_in[row1]
            )
            by.share2_dot = (
                by.share2_dot + by_opacity_dot * values[row2] + by_opacity * rates_in[row2]
            )
        found = fragment_at(at, arrays)
        rates = rates_at(at, arrays)
        corner0.z = corner0.z + by_z_dot * found.share0 + by_z * rates.share0
        corner1.z = corner1.z + by_z_dot * found.share1 + by_z * rates.share1
        corner2.z = corner2.z + by_z_dot * found.share2 + by_z * rates.share2
        moving.add_rates(face, depths, motion_of_face, found, rates, by, corners)

    @ti.func
    def by_share(
        k,
        e: ti.template(),
        weight,
        weight_dot,
        by_z,
        by_z_dot,
        depths: ti.template(),
        motion_of_face: ti.template(),
        arrays: ti.template(),
    ):
        """Return the gradient of the share of a corner, but for opacity, and its rate."""
        kept = ti.static(arrays.layers.kept)
        corner = kept[k + Kept.CORNER0 + e]
        corner_dot = kept[k + Rate.CORNER0 + e]
        by = weight * corner + by_z * of.broadcast(depths.z[e])
        by_dot = weight_dot * corner + weight * corner_dot
        by_dot = by_dot + by_z_dot * of.broadcast(depths.z[e])
        by_dot = by_dot + by_z * of.broadcast(motion_of_face.z[e])
        return by, by_dot

    @ti.func
    def add_attribute(
        at, worker, c, by_value, by_value_dot, arrays: ti.template(), more: ti.template()
    ):
        """Add the rates of the gradients of an attribute of the corners of a face."""
        kept = ti.static(arrays.layers.kept)
        k = at * width
        place = (worker * arrays.channels + c) * 3
        for e in ti.static(range(3)):
            moved = by_value_dot * kept[k + Kept.SHARE0 + e] + by_value * kept[k + Rate.SHARE0 + e]
            more.attribute_sums[place + e] = more.attribute_sums[place + e] + moved

    @large_vector_kernel(real)
    def second(
        arrays: LayerArrays,
        more: SecondArrays,
        motion: Motion,
        launch: Launch,
        gradients_out: SecondGradients,
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                worker = slot // launch.stride
                workers = launch.slots // launch.stride
                tiles, layers, softness = ti.static((arrays.tiles, arrays.layers, arrays.softness))
                planes = arrays.channels + 3 - ti.cast(softness.numbers[Number.OPACITY], ti.i32)
                for turn in range((arrays.bands.count - worker + workers - 1) // workers):
                    band = worker + turn * workers
                    image = arrays.bands.rows[3 * band]
                    top = arrays.bands.rows[3 * band + 1]
                    blocks = (arrays.bands.rows[3 * band + 2] - top) * tiles.columns
                    sums = Numbers()
                    visits, places = layer.gather(worker, band, arrays, width)
                    arrangement.arrange(worker, blocks, places, arrays)
                    first = worker * layers.blocks * planes
                    planes_of.read_band(
                        more.upstream, tiles, image, top, blocks, planes, first, more.tiled
                    )
                    for at in range(first, first + blocks * planes):
                        more.image_sums[at] = vec(0.0)
                    move(worker, top, visits, arrays, more, motion)
                    receive(worker, visits, arrays, more, motion, planes)
                    for block in range(blocks):
                        at_block = worker * layers.blocks + worker + block
                        walk = Walk()
                        walk.at = layers.start[at_block]
                        walk.passed = layers.start[at_block]
                        state = ti.static(
                            (worker, image, arrays, more, motion, sums, walk, gradients_out)
                        )
                        layer.weigh(worker, image, block, arrays, width, unweigh, state)
                        for kind in ti.static((Kept, Rate)):
                            layer.pass_to_front(
                                layers.start[at_block],
                                layers.start[at_block + 1],
                                arrays,
                                width,
                                kind.BY_IN_FRONT,
                                kind.BY_GENERATOR,
                            )
                    first_visit = 2 * worker * (layers.capacity + 1)
                    for number in range((visits - first_visit) // 2):
                        visit = first_visit + 2 * number
                        index = layers.visits[visit]
                        face, _ = frames.read(arrays.faces.frames, index)
                        depths = fragment.read(arrays.depths, face, index)
                        motion_of_face = moving.motion_of(
                            face, depths, motion.corners, motion.points, index
                        )
                        corner0 = fragment.Corner()
                        corner1 = fragment.Corner()
                        corner2 = fragment.Corner()
                        for c in range(3 * arrays.channels):
                            more.attribute_sums[worker * arrays.channels * 3 + c] = vec(0.0)
                        for at in range(layers.visits[visit + 1], layers.visits[visit + 3]):
                            if layers.block[at] >= 0:
                                corners = ti.static((corner0, corner1, corner2))
                                finish(
                                    at,
                                    index,
                                    worker,
                                    face,
                                    depths,
                                    motion_of_face,
                                    arrays,
                                    more,
                                    motion,
                                    sums,
                                    corners,
                                    gradients_out,
                                    planes,
                                )
                        part_at = more.parts[index] + band
                        fragment.store(gradients_out.corners, 12 * part_at, corner0)
                        fragment.store(gradients_out.corners, 12 * part_at + 4, corner1)
                        fragment.store(gradients_out.corners, 12 * part_at + 8, corner2)
                        for c in range(arrays.channels):
                            for e in ti.static(range(3)):
                                at_sum = (worker * arrays.channels + c) * 3 + e
                                at_out = (3 * part_at + e) * arrays.channels + c
                                gradients_out.attributes[at_out] = more.attribute_sums[at_sum].sum()
                    for block in range(blocks):
                        row = block // tiles.columns
                        column = block - row * tiles.columns
                        for plane in range(planes):
                            planes_of.write(
                                gradients_out.image,
                                tiles,
                                plane * tiles.images + image,
                                top + row,
                                column,
                                more.image_sums[first + block * planes + plane],
                            )
                    at_band = OfBand.COUNT * band
                    gradients_out.numbers[at_band + OfBand.WIDTH] = sums.by_width.sum()
                    gradients_out.numbers[at_band + OfBand.GAMMA] = sums.by_gamma.sum()
                    gradients_out.numbers[at_band + OfBand.WIDTH_DOT] = sums.by_width_dot.sum()
                    gradients_out.numbers[at_band + OfBand.GAMMA_DOT] = sums.by_gamma_dot.sum()
                    gradients_out.numbers[at_band + OfBand.TIE_DOT] = sums.by_tie_dot.sum()

    return second
