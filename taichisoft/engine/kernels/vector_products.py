"""What hides layers under the probabilistic sum, in whole vectors: products of what each lets pass.

There the generator is ``-log(1 - D)``, so that a sum of generators is the logarithm of a product, and a layer
adds ``D_k`` times the product of ``1 - h D_j`` to alpha. No table of the generator or of its inverse is read.
The results differ from those of `taichisoft.engine.kernels.vector_layers` by what float32 rounds.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.vector_layer_bundles import Extent, Kept, Number, OfPair
from taichisoft.engine.kernels.vector_order import order_functions
from taichisoft.engine.kernels.vector_shading import shading_functions
from taichisoft.engine.kernels.vector_table import Sizes, flexible_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions
from taichisoft.softness.remainder import NOTHING_LEFT

# So much passes always, or a hundred faces that all hide each other would leave a pixel without a colour.
LEAST_PASSED = 1e-29


@cache
def product_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    look = flexible_lookup_functions(real)
    ordering = order_functions(real)
    shade = shading_functions(real)
    vec = of.vec
    single = real is ti.f32
    greater = of.greater

    @ti.func
    def is_taken(arrays: ti.template()):
        """Return whether what passes is a product; only in float32."""
        result = 0
        if ti.static(single):
            result = ti.cast(arrays.softness.numbers[Number.PRODUCT], ti.i32)
        return result

    @ti.func
    def passed_by(coverage, arrays: ti.template()):
        """Return what a layer lets pass, which is never nothing."""
        return greater(1.0 - coverage, of.broadcast(arrays.softness.numbers[Number.LEAST]))

    @ti.func
    def order_of(u, arrays: ti.template(), width: ti.template()):
        """Return the order of a depth difference in gammas, and its slope (of the backward pass)."""
        softness = ti.static(arrays.softness)
        row = ordering.row_of(softness)
        h = vec(0.0)
        slope = vec(0.0)
        if row >= 0:
            h, slope = ordering.in_cell(u, row, softness, width)
        else:
            cell, t, by_u = look.locate(u, softness.order)
            cubic = look.cubic(softness.order, cell)
            h = look.value(cubic, t)
            if ti.static(width > Kept.FORWARD):
                slope = look.slope(cubic, t) * by_u
        return h, slope

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
        """Find for the places of a block what passes to them, and their weights.

        In the backward pass ``visit(place, passed, first pair, end of pairs, state)`` is called for each
        place that is not hidden, with the pairs listed.
        """
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept, order, extent = ti.static((layers.kept, layers.order, layers.extent))
        first = layers.start[worker * layers.blocks + worker + block]
        last = layers.start[worker * layers.blocks + worker + block + 1]
        gamma = softness.gammas[image]
        per_gamma = of.broadcast(1 / gamma)
        at_tie = of.broadcast(softness.numbers[Number.AT_TIE])
        begin = worker * layers.capacity
        # The loosest of all: what is nearer than it to a threshold is compared pixel by pixel.
        loosest = real(0.0)
        for at in range(first, last):
            loosest = greater(loosest, extent[Extent.COUNT * order[at] + Extent.TOLERANCE])
        behind = greater(0 - softness.numbers[Number.LOW] * gamma, loosest)
        before = greater(softness.numbers[Number.HIGH] * gamma, loosest)
        # What passes all that are wholly in front of what follows, and how many they are.
        passed = vec(1.0)
        number = first
        farthest = real(-1e30)
        hidden = 0
        for at in range(first, last):
            k = order[at]
            ahead = extent[Extent.COUNT * k + Extent.NEAREST] - before
            moves = 1
            while moves == 1:
                moves = 0
                if number < at:
                    j = order[number]
                    deeper = greater(farthest, extent[Extent.COUNT * j + Extent.FARTHEST])
                    if deeper < ahead:
                        farthest = deeper
                        passed = passed * kept[j * width + Kept.GENERATOR]
                        number += 1
                        moves = 1
            layers.in_front[at] = number
            hidden = ti.max(hidden, ti.select(passed.max() <= NOTHING_LEFT, 1, 0))
            if hidden == 1:
                kept[k * width + Kept.WEIGHT] = vec(0.0)
            else:
                result = passed
                end = begin
                beyond = extent[Extent.COUNT * k + Extent.FARTHEST] + behind
                tolerance = extent[Extent.COUNT * k + Extent.TOLERANCE]
                z = kept[k * width + Kept.DEPTH]
                other = number
                while other < last:
                    j = order[other]
                    if extent[Extent.COUNT * j + Extent.NEAREST] > beyond:
                        other = last
                    elif other != at:
                        if extent[Extent.COUNT * j + Extent.FARTHEST] < ahead:
                            result = result * kept[j * width + Kept.GENERATOR]
                            if ti.static(width > Kept.FORWARD):
                                layers.pairs[end] = -1 - j
                        else:
                            difference = z - kept[j * width + Kept.DEPTH]
                            apart = greater(tolerance, extent[Extent.COUNT * j + Extent.TOLERANCE])
                            least = of.broadcast(apart)
                            tie = greater(difference, 0.0 - difference) <= least
                            u = ti.select(tie, vec(0.0), difference) * per_gamma
                            h, slope = order_of(u, arrays, width)
                            h = ti.select(tie, at_tie, h)
                            rest = passed_by(h * kept[j * width + Kept.COVERAGE], arrays)
                            result = result * rest
                            if ti.static(width > Kept.FORWARD):
                                layers.pairs[end] = j
                                p = OfPair.COUNT * end
                                layers.pair_kept[p + OfPair.U] = u
                                layers.pair_kept[p + OfPair.ORDER] = h
                                slope = ordering.slope_of(slope, tie, softness)
                                layers.pair_kept[p + OfPair.SLOPE] = slope
                                layers.pair_kept[p + OfPair.POSITION] = rest
                        end += 1
                    other += 1
                result = greater(result, vec(real(LEAST_PASSED)))
                kept[k * width + Kept.WEIGHT] = result * kept[k * width + Kept.COVERAGE]
                if ti.static(width > Kept.FORWARD):
                    visit(k, result, begin, end, state)

    @ti.func
    def unweigh(place, passed, begin, end, state: ti.template()):
        """Pass the gradient of the weight of a place on to coverages and depths of it and of its pairs.

        That by the logarithm of what a layer lets pass is kept as that of its generator is elsewhere.
        """
        worker, image, arrays, more, sizes, sums, gradients_out, shading, texels_out = ti.static(
            state
        )
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept, of_pair = ti.static((layers.kept, layers.pair_kept))
        k = place * Kept.BACKWARD
        up = kept[k + Kept.UPSTREAM]
        if ti.static(shading.shaded):
            weight = kept[k + Kept.WEIGHT]
            up = up + shade.pull(
                place, worker, image, weight, more.tiled, arrays, shading, texels_out
            )
        up = up * passed
        kept[k + Kept.BY_COVERAGE] = kept[k + Kept.BY_COVERAGE] + up
        by_log = 0.0 - up * kept[k + Kept.COVERAGE]
        by_log = ti.select(passed > real(LEAST_PASSED), by_log, vec(0.0))
        kept[k + Kept.BY_IN_FRONT] = by_log
        per_gamma = of.broadcast(1 / softness.gammas[image])
        by_depth = kept[k + Kept.BY_DEPTH]
        for pair in range(begin, end):
            other = layers.pairs[pair]
            if other < 0:
                j = (-1 - other) * Kept.BACKWARD
                kept[j + Kept.BY_GENERATOR] = kept[j + Kept.BY_GENERATOR] + by_log
            else:
                j = other * Kept.BACKWARD
                p = OfPair.COUNT * pair
                by_part = by_log / of_pair[p + OfPair.POSITION]
                h = of_pair[p + OfPair.ORDER]
                u = of_pair[p + OfPair.U]
                kept[j + Kept.BY_COVERAGE] = kept[j + Kept.BY_COVERAGE] + by_part * h
                by_h = by_part * kept[j + Kept.COVERAGE]
                by_u = by_h * of_pair[p + OfPair.SLOPE]
                by_tie = ti.select(u == 0.0, by_h, vec(0.0))
                sums.by_gamma = sums.by_gamma - by_u * u
                sums.by_tie = sums.by_tie + by_tie
                moved = by_u * per_gamma
                by_depth = by_depth + moved
                kept[j + Kept.BY_DEPTH] = kept[j + Kept.BY_DEPTH] - moved
                if ti.static(more.into_cells):
                    cell, t, _ = look.locate(u, softness.order)
                    row = worker * sizes[Sizes.TOTAL] + sizes[Sizes.ORDER]
                    look.scatter(gradients_out.cells, row, cell, t, by_h - by_tie)
        kept[k + Kept.BY_DEPTH] = by_depth

    return SimpleNamespace(is_taken=is_taken, weigh=weigh, unweigh=unweigh)
