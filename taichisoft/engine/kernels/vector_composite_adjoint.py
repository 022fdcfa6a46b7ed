"""Kernel of the adjoint of compositing front to back on the CPU, in whole vectors.

A worker owns bands, as in the forward pass. The geometry of a fragment is evaluated once, and what its
gradients want is kept with it. The gradients of a face are summed over a band, its part, so that no two
workers write to one place.
"""

from functools import cache
from typing import NamedTuple

from taichisoft.base.taichi import ti
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
from taichisoft.engine.kernels.shading_bundles import Plan, Shading
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
from taichisoft.engine.kernels.vector_planes import plane_functions
from taichisoft.engine.kernels.vector_products import product_functions
from taichisoft.engine.kernels.vector_shading import shading_functions
from taichisoft.engine.kernels.vector_table import FlexibleTable, Sizes, flexible_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions


class CompositeAdjointArrays(NamedTuple):
    """What the adjoint reads besides, and scratch memory."""

    into_cells: Constant
    generator_slopes: FlexibleTable  # without a piece if there are none of their own
    slopes: FlexibleTable  # likewise
    upstream: Floats  # ((3 + C) * B * H * W) planes
    tiled: Vectors  # (workers * blocks * (3 + C)) of a band, written here
    sums: Vectors  # (workers * 3 * C) of the attributes of a face, written here
    claimed: Vectors  # (workers * blocks) where the largest generator has been found; one unless take_max
    parts: Ints  # (N) what is added to the number of a band for the part of a face
    arranged: Ints  # how the layers are: see `keep` of `layer_functions`


class CompositeGradients(NamedTuple):
    """What the adjoint finds."""

    corners: Floats  # (parts * 3 * 4) x, y, depth, inverse w
    attributes: Floats  # (parts * 3 * C)
    # (bands * 3) logarithms of the width and of gamma, and h at ties; after each three the numbers of light
    numbers: Floats
    cells: Quads  # (workers * rows of all tables) starts at 0; one row unless into_cells


@cache
def composite_adjoint_kernel(real):
    """Compile-on-first-use kernel for a float type."""
    of = vector_functions(real)
    frames = face_functions(real)
    fragment = vector_fragment_functions(real)
    layer = layer_functions(real)
    arrangement = arrangement_functions()
    shade = shading_functions(real)
    product = product_functions(real)
    planes_of = plane_functions(real)
    look = flexible_lookup_functions(real)
    vec, lanes = of.vec, of.lanes
    row_of_cells = ti.types.vector(4, real)
    width = Kept.BACKWARD
    # Of the logarithms of the width and of gamma, and of h at ties.
    Numbers = ti.types.struct(by_width=vec, by_gamma=vec, by_tie=vec)

    @ti.func
    def receive(
        worker,
        visits,
        arrays: ti.template(),
        more: ti.template(),
        shading: ti.template(),
        planes,
    ):
        """Bring the upstream gradients to the places of a band."""
        layers = ti.static(arrays.layers)
        kept = ti.static(layers.kept)
        values, rows = ti.static((arrays.attributes, arrays.rows))
        first_visit = 2 * worker * (layers.capacity + 1)
        for number in range((visits - first_visit) // 2):
            visit = first_visit + 2 * number
            index = layers.visits[visit]
            row0 = rows[3 * index] * arrays.channels
            row1 = rows[3 * index + 1] * arrays.channels
            row2 = rows[3 * index + 2] * arrays.channels
            for at in range(layers.visits[visit + 1], layers.visits[visit + 3]):
                block = worker * layers.blocks + layers.block[at]
                if layers.block[at] >= 0:
                    k = at * width
                    p = block * planes
                    seen = vec(0.0)
                    if ti.static(shading.shaded):
                        shade.interpolate(
                            shade.kept_at(at, worker, arrays, shading),
                            index,
                            kept[k + Kept.SHARE0],
                            kept[k + Kept.SHARE1],
                            kept[k + Kept.SHARE2],
                            arrays,
                            shading,
                        )
                    else:
                        corner0 = vec(0.0)
                        corner1 = vec(0.0)
                        corner2 = vec(0.0)
                        for c in range(planes - 3):
                            up = more.tiled[p + 3 + c]
                            corner0 = corner0 + up * of.broadcast(values[row0 + c])
                            corner1 = corner1 + up * of.broadcast(values[row1 + c])
                            corner2 = corner2 + up * of.broadcast(values[row2 + c])
                        kept[k + Kept.CORNER0] = corner0
                        kept[k + Kept.CORNER1] = corner1
                        kept[k + Kept.CORNER2] = corner2
                        seen = (
                            kept[k + Kept.SHARE0] * corner0
                            + kept[k + Kept.SHARE1] * corner1
                            + kept[k + Kept.SHARE2] * corner2
                        )
                    kept[k + Kept.UPSTREAM] = (
                        more.tiled[p + 1] + more.tiled[p + 2] * kept[k + Kept.DEPTH] + seen
                    )
                    by_total = more.tiled[p]
                    if ti.static(arrays.softness.take_max):
                        # The first of the largest.
                        is_largest = kept[k + Kept.GENERATOR] >= layers.totals[block]
                        free = more.claimed[block] == 0.0
                        by_total = ti.select(
                            free, ti.select(is_largest, by_total, vec(0.0)), vec(0.0)
                        )
                        more.claimed[block] = ti.select(is_largest, vec(1.0), more.claimed[block])
                    kept[k + Kept.BY_GENERATOR] = by_total
                    kept[k + Kept.BY_COVERAGE] = vec(0.0)
                    kept[k + Kept.BY_DEPTH] = vec(0.0)
                    kept[k + Kept.BY_IN_FRONT] = vec(0.0)

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

    @ti.func
    def by_distance(
        at,
        worker,
        arrays: ti.template(),
        more: ti.template(),
        sizes: ti.template(),
        sums: ti.template(),
        gradients_out: ti.template(),
    ):
        """Return the gradients of the distance in scales and of the opacity at a place."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept = ti.static(layers.kept)
        k = at * width
        t = kept[k + Kept.POSITION]
        rate = kept[k + Kept.RATE]
        s = kept[k + Kept.S]
        cells = ti.static(CellsAt(layers.cell_numbers, at * lanes))
        by_generator = kept[k + Kept.BY_GENERATOR]
        by_coverage = kept[k + Kept.BY_COVERAGE]
        by_opacity = vec(0.0)
        if softness.numbers[Number.PRODUCT] > 0:
            by_coverage = by_coverage + by_generator / kept[k + Kept.GENERATOR]
            by_generator = vec(0.0)
        if softness.numbers[Number.OPACITY] > 0:
            if ti.static(softness.take_max):
                by_coverage = by_coverage + by_generator
            else:
                x = kept[k + Kept.COVERAGE] - 1.0
                cell, place, by_x = look.locate(x, softness.part)
                slope = look.slope(look.cubic(softness.part, cell), place) * by_x
                by_coverage = by_coverage + by_generator * slope
                if ti.static(more.into_cells):
                    row = worker * sizes[Sizes.TOTAL] + sizes[Sizes.PART]
                    look.scatter(gradients_out.cells, row, cell, place, by_generator)
            by_opacity = by_coverage * kept[k + Kept.OPAQUE]
            by_coverage = by_coverage * kept[k + Kept.OPACITY]
            by_generator = vec(0.0)
        elif ti.static(softness.take_max):
            by_coverage = by_coverage + by_generator
            by_generator = vec(0.0)
        cubic = look.cubic(softness.coverage, cells)
        by_s = by_coverage * look.slope(cubic, t) * rate
        if ti.static(more.into_cells):
            row = worker * sizes[Sizes.TOTAL] + sizes[Sizes.COVERAGE]
            look.scatter(gradients_out.cells, row, cells, t, by_coverage)
        if ti.static(not softness.take_max):
            if softness.numbers[Number.SAME] > 0:
                cubic_g = look.cubic(softness.generator, cells)
                by_s = by_s + by_generator * look.slope(cubic_g, t) * rate
                if ti.static(more.into_cells):
                    row_g = worker * sizes[Sizes.TOTAL]
                    look.scatter(gradients_out.cells, row_g, cells, t, by_generator)
            else:
                cell_g, t_g, rate_g = look.locate(s, softness.generator)
                cubic_g = look.cubic(softness.generator, cell_g)
                by_s = by_s + by_generator * look.slope(cubic_g, t_g) * rate_g
                if ti.static(more.into_cells):
                    row_g = worker * sizes[Sizes.TOTAL]
                    look.scatter(gradients_out.cells, row_g, cell_g, t_g, by_generator)
        sums.by_width = sums.by_width - by_s * s
        if more.slopes.layout[2] > 0:
            cell_c, t_c, _ = look.locate(s, more.slopes)
            by_s = by_coverage * look.value(look.cubic(more.slopes, cell_c), t_c)
            if ti.static(not softness.take_max):
                cell_s, t_s, _ = look.locate(s, more.generator_slopes)
                slope_s = look.value(look.cubic(more.generator_slopes, cell_s), t_s)
                by_s = by_s + by_generator * slope_s
        return by_s, by_opacity

    @ti.func
    def geometry(
        at,
        by_d,
        by_opacity,
        p,
        index,
        worker,
        image,
        face: ti.template(),
        depths: ti.template(),
        arrays: ti.template(),
        more: ti.template(),
        shading: ti.template(),
        corners: ti.template(),
        planes,
        texels_out: ti.template(),
    ):
        """Add the gradients of a place to the corners of its face and to their attributes."""
        layers = ti.static(arrays.layers)
        kept = ti.static(layers.kept)
        corner0, corner1, corner2 = ti.static(corners)
        k = at * width
        weight = kept[k + Kept.WEIGHT]
        share0 = kept[k + Kept.SHARE0]
        share1 = kept[k + Kept.SHARE1]
        share2 = kept[k + Kept.SHARE2]
        by_z = kept[k + Kept.BY_DEPTH] + weight * more.tiled[p + 2]
        by_share0 = by_z * of.broadcast(depths.z[0])
        by_share1 = by_z * of.broadcast(depths.z[1])
        by_share2 = by_z * of.broadcast(depths.z[2])
        values, rows = ti.static((arrays.attributes, arrays.rows))
        if ti.static(shading.shaded):
            by_values = shade.kept_at(at, worker, arrays, shading)
            some = of.greater(weight, 0.0 - weight).max()
            if some == 0:
                # It has not been shaded.
                for c in range(arrays.channels):
                    shading.room[by_values + c] = vec(0.0)
            if arrays.softness.numbers[Number.OPACITY] > 0:
                some = 1.0
                shade.pull_opacity(
                    at,
                    worker,
                    image,
                    index,
                    share0,
                    share1,
                    share2,
                    by_opacity,
                    arrays,
                    shading,
                    texels_out,
                )
            if some > 0:
                for c in range(arrays.channels):
                    up = shading.room[by_values + c]
                    add_attribute(worker, c, up, share0, share1, share2, arrays, more)
                    value0 = values[rows[3 * index] * arrays.channels + c]
                    value1 = values[rows[3 * index + 1] * arrays.channels + c]
                    value2 = values[rows[3 * index + 2] * arrays.channels + c]
                    by_share0 = by_share0 + up * of.broadcast(value0)
                    by_share1 = by_share1 + up * of.broadcast(value1)
                    by_share2 = by_share2 + up * of.broadcast(value2)
        else:
            for c in range(planes - 3):
                add_attribute(
                    worker, c, weight * more.tiled[p + 3 + c], share0, share1, share2, arrays, more
                )
            by_share0 = by_share0 + weight * kept[k + Kept.CORNER0]
            by_share1 = by_share1 + weight * kept[k + Kept.CORNER1]
            by_share2 = by_share2 + weight * kept[k + Kept.CORNER2]
            if arrays.softness.numbers[Number.OPACITY] > 0:
                c = arrays.channels - 1
                add_attribute(worker, c, by_opacity, share0, share1, share2, arrays, more)
                opacity0 = values[rows[3 * index] * arrays.channels + c]
                opacity1 = values[rows[3 * index + 1] * arrays.channels + c]
                opacity2 = values[rows[3 * index + 2] * arrays.channels + c]
                by_share0 = by_share0 + by_opacity * of.broadcast(opacity0)
                by_share1 = by_share1 + by_opacity * of.broadcast(opacity1)
                by_share2 = by_share2 + by_opacity * of.broadcast(opacity2)
        corner0.z = corner0.z + by_z * share0
        corner1.z = corner1.z + by_z * share1
        corner2.z = corner2.z + by_z * share2
        # Shares are b q over their sum.
        mean = share0 * by_share0 + share1 * by_share1 + share2 * by_share2
        r = kept[k + Kept.INVERSE_SUM]
        e0 = (by_share0 - mean) * r
        e1 = (by_share1 - mean) * r
        e2 = (by_share2 - mean) * r
        inverse_r = 1.0 / r
        b0 = share0 * inverse_r * of.broadcast(depths.w[0])
        b1 = share1 * inverse_r * of.broadcast(depths.w[1])
        b2 = share2 * inverse_r * of.broadcast(depths.w[2])
        corner0.q = corner0.q + b0 * e0
        corner1.q = corner1.q + b1 * e1
        corner2.q = corner2.q + b2 * e2
        e0 = e0 * of.broadcast(depths.q[0])
        e1 = e1 * of.broadcast(depths.q[1])
        e2 = e2 * of.broadcast(depths.q[2])
        s = kept[k + Kept.S]
        d = s * of.broadcast(1 / arrays.softness.coverage.layout[0])
        inside = s >= 0.0
        none = vec(0.0)
        edge = kept[k + Kept.EDGE]
        ux = fragment.of_edge(edge, face.ux)
        uy = fragment.of_edge(edge, face.uy)
        inverse_length = fragment.of_edge(edge, face.inverse)
        nx = (0.0 - face.winding) * uy
        ny = face.winding * ux
        # Inside, the pixel stays where the corners move: sum of b v is it.
        h0 = of.broadcast(depths.inverse_height[0]) * e2
        h1 = of.broadcast(depths.inverse_height[1]) * e0
        h2 = of.broadcast(depths.inverse_height[2]) * e1
        along_y = (
            h0 * of.broadcast(face.ux[0])
            + h1 * of.broadcast(face.ux[1])
            + h2 * of.broadcast(face.ux[2])
        ) * face.winding
        along_x = (
            h0 * of.broadcast(face.uy[0])
            + h1 * of.broadcast(face.uy[1])
            + h2 * of.broadcast(face.uy[2])
        ) * (0.0 - face.winding)
        hx = ti.select(inside, along_x, none)
        hy = ti.select(inside, along_y, none)
        # Outside, only the position along the nearest edge moves, between its ends.
        along = kept[k + Kept.ALONG]
        end = fragment.from_start(depths, along, edge)
        is1 = edge == 1.0
        is2 = edge == 2.0
        by_end = ti.select(is2, e0 - e2, ti.select(is1, e2 - e1, e1 - e0)) * inverse_length
        # Not by the position, which at an end is 0 or 1 but for rounding.
        slides = ti.select(kept[k + Kept.TANGENT] == 0.0, by_end, none)
        by_end = ti.select(inside, none, slides)
        # A face without area has its pixels on both sides of an edge.
        aside = kept[k + Kept.NORMAL] * d * inverse_length
        far_x = by_end * (nx * aside - ux * end)
        far_y = by_end * (ny * aside - uy * end)
        near_x = 0.0 - far_x - by_end * ux
        near_y = 0.0 - far_y - by_end * uy
        # The distance: the foot moves with the ends of its edge.
        across = by_d * kept[k + Kept.NORMAL]
        beyond = by_d * kept[k + Kept.TANGENT]
        gx = across * nx + beyond * ux
        gy = across * ny + beyond * uy
        far_x = far_x - gx * end
        far_y = far_y - gy * end
        near_x = near_x - gx * (1.0 - end)
        near_y = near_y - gy * (1.0 - end)
        is0 = edge == 0.0
        corner0.x = corner0.x + at_ends(is0, near_x, is2, far_x) - b0 * hx
        corner0.y = corner0.y + at_ends(is0, near_y, is2, far_y) - b0 * hy
        corner1.x = corner1.x + at_ends(is1, near_x, is0, far_x) - b1 * hx
        corner1.y = corner1.y + at_ends(is1, near_y, is0, far_y) - b1 * hy
        corner2.x = corner2.x + at_ends(is2, near_x, is1, far_x) - b2 * hx
        corner2.y = corner2.y + at_ends(is2, near_y, is1, far_y) - b2 * hy

    @ti.func
    def at_ends(starts, near, ends, far):
        """Return of a corner what is `near` if the nearest edge starts there, `far` if it ends there."""
        return ti.select(starts, near, ti.select(ends, far, vec(0.0)))

    @ti.func
    def add_attribute(
        worker, c, by_value, share0, share1, share2, arrays: ti.template(), more: ti.template()
    ):
        at = (worker * arrays.channels + c) * 3
        more.sums[at] = more.sums[at] + by_value * share0
        more.sums[at + 1] = more.sums[at + 1] + by_value * share1
        more.sums[at + 2] = more.sums[at + 2] + by_value * share2

    @large_vector_kernel(real)
    def pull_back(
        arrays: LayerArrays,
        more: CompositeAdjointArrays,
        sizes: Ints,  # see `Sizes`
        shading: Shading,
        launch: Launch,
        gradients_out: CompositeGradients,
        texels_out: Floats,  # (workers * texels) starts at 0; one unless asked for
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                worker = slot // launch.stride
                workers = launch.slots // launch.stride
                tiles, layers, softness = ti.static((arrays.tiles, arrays.layers, arrays.softness))
                planes = arrays.channels + 3 - ti.cast(softness.numbers[Number.OPACITY], ti.i32)
                if ti.static(shading.shaded):
                    planes = 3 + shading.plan[Plan.OUTPUTS]
                for turn in range((arrays.bands.count - worker + workers - 1) // workers):
                    band = worker + turn * workers
                    image = arrays.bands.rows[3 * band]
                    top = arrays.bands.rows[3 * band + 1]
                    blocks = (arrays.bands.rows[3 * band + 2] - top) * tiles.columns
                    sums = Numbers()
                    if ti.static(shading.shaded):
                        shade.begin(worker, shading)
                    visits, places = layer.gather(worker, band, arrays, width, shading)
                    arrangement.arrange_again(worker, band, blocks, places, arrays, more.arranged)
                    first_block = worker * layers.blocks
                    planes_of.read_band(
                        more.upstream,
                        tiles,
                        image,
                        top,
                        blocks,
                        planes,
                        first_block * planes,
                        more.tiled,
                    )
                    if ti.static(softness.take_max):
                        for block in range(first_block, first_block + blocks):
                            more.claimed[block] = vec(0.0)
                    receive(worker, visits, arrays, more, shading, planes)
                    for block in range(blocks):
                        state = ti.static(
                            (
                                worker,
                                image,
                                arrays,
                                more,
                                sizes,
                                sums,
                                gradients_out,
                                shading,
                                texels_out,
                            )
                        )
                        if product.is_taken(arrays) == 1:
                            product.weigh(
                                worker, image, block, arrays, width, product.unweigh, state
                            )
                        else:
                            layer.weigh(worker, image, block, arrays, width, unweigh, state)
                        if ti.static(not softness.take_max):
                            at_block = worker * layers.blocks + worker + block
                            layer.pass_to_front(
                                layers.start[at_block],
                                layers.start[at_block + 1],
                                arrays,
                                width,
                                Kept.BY_IN_FRONT,
                                Kept.BY_GENERATOR,
                            )
                    first_visit = 2 * worker * (layers.capacity + 1)
                    for number in range((visits - first_visit) // 2):
                        visit = first_visit + 2 * number
                        index = layers.visits[visit]
                        face, _ = frames.read(arrays.faces.frames, index)
                        depths = fragment.read(arrays.depths, face, index)
                        corner0 = fragment.Corner()
                        corner1 = fragment.Corner()
                        corner2 = fragment.Corner()
                        for c in range(3 * arrays.channels):
                            more.sums[worker * arrays.channels * 3 + c] = vec(0.0)
                        for at in range(layers.visits[visit + 1], layers.visits[visit + 3]):
                            block = layers.block[at]
                            if block >= 0:
                                by_s, by_opacity = by_distance(
                                    at,
                                    worker,
                                    arrays,
                                    more,
                                    sizes,
                                    sums,
                                    gradients_out,
                                )
                                by_d = by_s * softness.coverage.layout[0]
                                p = (worker * layers.blocks + block) * planes
                                corners = ti.static((corner0, corner1, corner2))
                                geometry(
                                    at,
                                    by_d,
                                    by_opacity,
                                    p,
                                    index,
                                    worker,
                                    image,
                                    face,
                                    depths,
                                    arrays,
                                    more,
                                    shading,
                                    corners,
                                    planes,
                                    texels_out,
                                )
                        part_at = more.parts[index] + band
                        fragment.store(gradients_out.corners, 12 * part_at, corner0)
                        fragment.store(gradients_out.corners, 12 * part_at + 4, corner1)
                        fragment.store(gradients_out.corners, 12 * part_at + 8, corner2)
                        for c in range(arrays.channels):
                            for e in ti.static(range(3)):
                                at_sum = (worker * arrays.channels + c) * 3 + e
                                at_out = (3 * part_at + e) * arrays.channels + c
                                gradients_out.attributes[at_out] = more.sums[at_sum].sum()
                    at_band = 3 * band
                    if ti.static(shading.shaded):
                        at_band = (3 + shading.plan[Plan.NUMBERS]) * band
                        shade.end(worker, at_band + 3, shading, gradients_out.numbers)
                    gradients_out.numbers[at_band] = sums.by_width.sum()
                    gradients_out.numbers[at_band + 1] = sums.by_gamma.sum()
                    gradients_out.numbers[at_band + 2] = sums.by_tie.sum()

    return pull_back
