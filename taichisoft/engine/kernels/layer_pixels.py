"""Kernels that composite the fragments of each pixel front to back, and the adjoint of that."""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.arithmetic import greater
from taichisoft.engine.kernels.kernel import Floats, Ints, kernel
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.layer_bundles import (
    ATTRIBUTES,
    BEHIND,
    COVERED,
    DEPTH,
    GENERATED,
    CellSums,
    Layers,
    Model,
)
from taichisoft.engine.kernels.layer_functions import layer_functions
from taichisoft.engine.kernels.layer_tables import INVERSE, table_functions

# Above the number of any fragment.
NONE = 2**31 - 1


class Pixels(NamedTuple):
    """The pixels of a band."""

    count: int  # P
    first: int  # the first of them among the pixels of all images
    of_image: int  # pixels of an image
    starts: Ints  # (P + 1) first fragment of each in the order, and the end
    channels: int  # colours


class PixelGradients(NamedTuple):
    """What the adjoint finds."""

    values: Floats  # (F * (4 + C)) of the fragments
    widths: Floats  # (P * 2) of gamma, and of the order of equal depths
    cells: CellSums


@cache
def layer_pixels(real):
    """Compile-on-first-use kernels for the float type `real`."""
    layer = layer_functions(real)
    table = table_functions(real)

    @ti.func
    def weight_of(model: ti.template(), inverse: ti.template(), generated, total):
        """Return what a fragment adds to alpha; its slopes by its generator and by what is in front of it."""
        weight = greater(generated - total, real(0.0))
        by_generated = ti.select(generated > total, real(1.0), real(0.0))
        by_total = -by_generated
        if ti.static(model.takes_max == 0):
            upper, upper_slope, above, _ = table.look_up(total + generated, inverse, model.tables)
            lower, lower_slope, below, _ = table.look_up(total, inverse, model.tables)
            crosses = ti.select(below < model.first_above, real(1.0), real(0.0))
            crosses = ti.select(above < model.first_above, real(0.0), crosses)
            weight = upper - lower + crosses
            by_generated = upper_slope
            by_total = upper_slope - lower_slope
        return weight, by_generated, by_total

    @ti.func
    def least_numbers(layers: ti.template(), first, last):
        """Return the two smallest numbers of the fragments of a pixel; -1 where there is no second."""
        least = NONE
        next_one = NONE
        for k in range(first, last):
            f = layers.order[k]
            if f < least:
                next_one = least
                least = f
            elif f < next_one:
                next_one = f
        return least, ti.select(next_one == NONE, -1, next_one)

    @kernel(real)
    def composite(
        pixels: Pixels,
        model: Model,
        launch: Launch,
        layers: Layers,  # order is sorted; place and in_front are written
        sums_out: Floats,  # (P * (3 + C)) starts at 0: total of the generator, sums of w, w z, w c
        weights_out: Floats,  # (F) starts at 0, or one element if they are not asked for
        keeps_weights: int,
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                values, planes = ti.static((layers.values, layers.planes))
                inverse = table.begin(INVERSE, model.tables)
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                for turn in range((pixels.count - worker + workers - 1) // workers):
                    pixel = worker + turn * workers
                    first = pixels.starts[pixel]
                    last = pixels.starts[pixel + 1]
                    image = (pixels.first + pixel) // pixels.of_image
                    layer.sort(layers, first, last)
                    shared = layer.setting(layers, model, image, first, last)
                    front = layer.start(first)
                    at = pixel * (3 + pixels.channels)
                    total = real(0.0)
                    weights = real(0.0)
                    depths = real(0.0)
                    least = -1
                    next_one = -1
                    if ti.static(model.takes_max):
                        least, next_one = least_numbers(layers, first, last)
                    for k in range(first, last):
                        f = layers.order[k]
                        seen = layer.view(layers, f)
                        layer.look(layers, model, shared, seen, last, k, front)
                        generated = values[planes * f + GENERATED]
                        layers.in_front[k] = front.total
                        if ti.static(model.takes_max):
                            total = greater(total, generated)
                            # Of equal ones the first, and if they are nothing, of all there are.
                            if front.total == 0:
                                front.winner = ti.select(least == f, next_one, least)
                            layers.place[k] = front.winner
                        else:
                            total += generated
                            layers.place[k] = front.first
                        weight, _, _ = weight_of(model, inverse, generated, front.total)
                        weights += weight
                        depths += weight * values[planes * f + DEPTH]
                        for c in range(pixels.channels):
                            color = values[planes * f + ATTRIBUTES + c]
                            sums_out[at + 3 + c] = sums_out[at + 3 + c] + weight * color
                        if keeps_weights == 1:
                            weights_out[f] = weight
                    if first < last:
                        sums_out[at] = total
                        sums_out[at + 1] = weights
                        sums_out[at + 2] = depths

    @ti.func
    def pair_adjoint(
        layers: ti.template(),
        model: ti.template(),
        shared: ti.template(),
        seen: ti.template(),
        gradients: ti.template(),
        worker,
        other,
        by_amount,
    ):
        """Pass on the gradient of an amount in front; return those of depth, gamma and the order of ties."""
        by, cells = ti.static((gradients.values, gradients.cells))
        size = model.tables.cells.shape[0]
        found = layer.pair(layers, model, shared, seen, other)
        by_part = by_amount * found.part_slope
        by_share = by_part * found.cover
        by_depth = by_share * found.share_slope / shared.gamma
        by_tie = found.tie * by_share
        if ti.static(cells.wanted):  # noqa: SIM102
            if found.wholly == 0:
                if ti.static(not model.takes_max):
                    cell, t = ti.static((found.part_cell, found.part_t))
                    table.add_to_cell(cells.of_workers, worker, size, cell, t, by_amount)
                cell, t = ti.static((found.order_cell, found.order_t))
                in_order = by_share - by_tie
                table.add_to_cell(cells.of_workers, worker, size, cell, t, in_order)
        at = layers.planes * other
        own = at + ti.select(found.wholly == 1, GENERATED, COVERED)
        by[own] = by[own] + ti.select(found.wholly == 1, by_amount, by_part * found.share)
        by_depth = ti.select(found.wholly == 1, real(0.0), by_depth)
        by[at + DEPTH] = by[at + DEPTH] - by_depth
        by_tie = ti.select(found.wholly == 1, real(0.0), by_tie)
        if ti.static(model.by_index):
            by_tie = real(0.0)
        return by_depth, -by_depth * found.u, by_tie

    @ti.func
    def inverse_adjoint(
        model: ti.template(),
        inverse: ti.template(),
        cells: ti.template(),
        worker,
        generated,
        total,
        by_weight,
    ):
        """Add the gradient of the cells of the inverse."""
        if ti.static(cells.wanted > model.takes_max):
            size = model.tables.cells.shape[0]
            _, _, cell, t = table.look_up(total + generated, inverse, model.tables)
            table.add_to_cell(cells.of_workers, worker, size, cell, t, by_weight)
            _, _, cell_below, t_below = table.look_up(total, inverse, model.tables)
            table.add_to_cell(cells.of_workers, worker, size, cell_below, t_below, -by_weight)

    @ti.func
    def add_up_behind(layers: ti.template(), by: ti.template(), first, last):
        """Give each fragment what all those have noted that it is wholly in front of."""
        planes = layers.planes
        behind = real(0.0)
        for back in range(last - first):
            f = layers.order[last - 1 - back]
            behind += by[planes * f + BEHIND]
            by[planes * f + GENERATED] = by[planes * f + GENERATED] + behind

    @kernel(real)
    def composite_adjoint(
        pixels: Pixels,
        model: Model,
        launch: Launch,
        layers: Layers,  # as `composite` leaves them
        upstream: Floats,  # (P * (3 + C)) of the sums, or (F) of the weights
        of_weights: int,  # which of the two
        gradients_out: PixelGradients,
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                values, planes = ti.static((layers.values, layers.planes))
                by, widths_out, cells = ti.static(gradients_out)
                inverse = table.begin(INVERSE, model.tables)
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                for turn in range((pixels.count - worker + workers - 1) // workers):
                    pixel = worker + turn * workers
                    first = pixels.starts[pixel]
                    last = pixels.starts[pixel + 1]
                    image = (pixels.first + pixel) // pixels.of_image
                    shared = layer.setting(layers, model, image, first, last)
                    at = pixel * (3 + pixels.channels)
                    by_gamma = real(0.0)
                    by_tie = real(0.0)
                    for k in range(first, last):
                        f = layers.order[k]
                        for plane in ti.static(range(ATTRIBUTES)):
                            by[planes * f + plane] = 0
                    top = real(-1.0)
                    top_one = -1
                    for k in range(first, last):
                        f = layers.order[k]
                        seen = layer.view(layers, f)
                        in_front = layers.in_front[k]
                        generated = values[planes * f + GENERATED]
                        weight, by_generated, by_total = weight_of(
                            model, inverse, generated, in_front
                        )
                        by_weight = real(0.0)
                        by_depth = real(0.0)
                        if of_weights == 1:
                            by_weight = upstream[f]
                        else:
                            depth = values[planes * f + DEPTH]
                            by_weight = upstream[at + 1] + upstream[at + 2] * depth
                            for c in range(pixels.channels):
                                color = planes * f + ATTRIBUTES + c
                                up = upstream[at + 3 + c]
                                by_weight += up * values[color]
                                by[color] = up * weight
                            by_depth = upstream[at + 2] * weight
                        own = by_weight * by_generated
                        if ti.static(model.takes_max == 0):
                            if of_weights == 0:
                                own += upstream[at]
                        elif layer.takes_lead(generated, f, top, top_one) == 1:
                            top = generated
                            top_one = f
                        by[planes * f + GENERATED] = by[planes * f + GENERATED] + own
                        inverse_adjoint(
                            model, inverse, cells, worker, generated, in_front, by_weight
                        )
                        by_amounts = by_weight * by_total
                        found = layers.place[k]
                        j = found
                        end = last
                        if ti.static(model.takes_max):
                            # Only what has the maximum.
                            j = first
                            end = ti.select(found < 0, first, first + 1)
                        elif j > first:
                            noted = planes * layers.order[j - 1] + BEHIND
                            by[noted] = by[noted] + by_amounts
                        if by_amounts == 0:
                            end = j
                        while j < end:
                            other = found
                            visited = 1
                            if ti.static(model.takes_max == 0):
                                other = layers.order[j]
                                if j == k:
                                    visited = 0
                                elif layer.in_reach(layers, model, shared, seen, other) == 0:
                                    visited = 0
                                    j = end
                            if visited == 1:
                                more_depth, more_gamma, more_tie = pair_adjoint(
                                    layers,
                                    model,
                                    shared,
                                    seen,
                                    gradients_out,
                                    worker,
                                    other,
                                    by_amounts,
                                )
                                by_depth += more_depth
                                by_gamma += more_gamma
                                by_tie += more_tie
                            j += 1
                        by[planes * f + DEPTH] = by[planes * f + DEPTH] + by_depth
                    if top_one >= 0:  # noqa: SIM102
                        if of_weights == 0:
                            winning = planes * top_one + GENERATED
                            by[winning] = by[winning] + upstream[at]
                    add_up_behind(layers, by, first, last)
                    widths_out[2 * pixel] = by_gamma
                    widths_out[2 * pixel + 1] = by_tie

    return SimpleNamespace(composite=composite, composite_adjoint=composite_adjoint)
