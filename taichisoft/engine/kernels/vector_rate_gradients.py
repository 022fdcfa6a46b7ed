"""Device functions that add the rates of a place to the image and to the gradients of its face."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.vector_layer_bundles import Kept, Number
from taichisoft.engine.kernels.vector_moving_fragment import moving_fragment_functions
from taichisoft.engine.kernels.vector_rate_places import rate_place_functions
from taichisoft.engine.kernels.vector_rate_tables import rate_table_functions
from taichisoft.engine.kernels.vector_rates import Moving, Rate, RowsOf
from taichisoft.engine.kernels.vector_shading import shading_functions
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def rate_gradient_functions(real):
    """Compile-on-first-use device functions for a float type."""
    of = vector_functions(real)
    moving = moving_fragment_functions(real)
    shade = shading_functions(real)
    tables = rate_table_functions(real)
    places = rate_place_functions(real)
    vec, lanes = of.vec, of.lanes
    width = Rate.SECOND
    # As in `OfBand`.
    Numbers = ti.types.struct(
        by_width=vec,
        by_gamma=vec,
        by_width_dot=vec,
        by_gamma_dot=vec,
        by_tie_dot=vec,
        by_tie_slope_dot=vec,
    )

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
        cells = tables.cells_at(layers.cell_numbers, at * lanes)
        if softness.numbers[Number.OPACITY] > 0:
            x_dot = kept[k + Rate.COVERAGE]
            x = kept[k + Kept.COVERAGE] - 1.0
            part = tables.looked_up(x, softness.part, RowsOf.PART, more, motion)
            tables.add_looked_up(
                RowsOf.PART, part, x_dot, by_generator, by_generator_dot, worker, more, out
            )
            by_coverage = by_coverage + by_generator * part.slope
            by_coverage_dot = by_coverage_dot + by_generator_dot * part.slope
            by_coverage_dot = by_coverage_dot + by_generator * tables.slope_rate(part, x_dot)
            opaque = kept[k + Kept.OPAQUE]
            opacity = kept[k + Kept.OPACITY]
            by_opacity = by_coverage * opaque
            by_opacity_dot = by_coverage_dot * opaque + by_coverage * kept[k + Rate.OPAQUE]
            by_coverage_dot = by_coverage_dot * opacity + by_coverage * kept[k + Rate.OPACITY]
            by_coverage = by_coverage * opacity
        elif softness.numbers[Number.SAME] > 0:
            same = tables.looked_up_at(cells, t, rate, softness.generator, 0, more, motion)
            by_s = by_generator * same.slope
            by_s_dot = by_generator_dot * same.slope
            by_s_dot = by_s_dot + by_generator * tables.slope_rate(same, s_dot)
            tables.add_looked_up(0, same, s_dot, by_generator, by_generator_dot, worker, more, out)
        else:
            generator = tables.looked_up(s, softness.generator, 0, more, motion)
            by_s = by_generator * generator.slope
            by_s_dot = by_generator_dot * generator.slope
            by_s_dot = by_s_dot + by_generator * tables.slope_rate(generator, s_dot)
            tables.add_looked_up(
                0, generator, s_dot, by_generator, by_generator_dot, worker, more, out
            )
        own = tables.looked_up_at(cells, t, rate, softness.coverage, RowsOf.COVERAGE, more, motion)
        by_s = by_s + by_coverage * own.slope
        by_s_dot = by_s_dot + by_coverage_dot * own.slope
        by_s_dot = by_s_dot + by_coverage * tables.slope_rate(own, s_dot)
        tables.add_looked_up(
            RowsOf.COVERAGE, own, s_dot, by_coverage, by_coverage_dot, worker, more, out
        )
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
            color = shade.attribute(arrays, index, c, share0, share1, share2)
            color_dot = places.attribute_rate(at, index, c, arrays, motion)
            image[p + 3 + c] = image[p + 3 + c] + weight_dot * color + weight * color_dot
            add_attribute(at, worker, c, weight * up, weight_dot * up, arrays, more)
        by = moving.Upstream()
        inverse_width = softness.coverage.layout[0]
        by.d = by_s * inverse_width
        by.d_dot = (by_s_dot - by_s * motion.numbers[Moving.WIDTH]) * inverse_width
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
        found = places.fragment_at(at, arrays)
        rates = places.rates_at(at, arrays)
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

    return SimpleNamespace(Numbers=Numbers, finish=finish)
