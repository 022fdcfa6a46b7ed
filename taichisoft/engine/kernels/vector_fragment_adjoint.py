"""Device functions that pass the gradients of fragments on to the softness and to the corners of a face."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.vector_curve import CellsAt
from taichisoft.engine.kernels.vector_fragment import vector_fragment_functions
from taichisoft.engine.kernels.vector_layer_bundles import Kept, Number
from taichisoft.engine.kernels.vector_shading import shading_functions
from taichisoft.engine.kernels.vector_table import Sizes, flexible_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def fragment_adjoint_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    fragment = vector_fragment_functions(real)
    shade = shading_functions(real)
    look = flexible_lookup_functions(real)
    vec, lanes = of.vec, of.lanes
    width = Kept.BACKWARD
    # Of the logarithms of the width and of gamma, and of h at ties.
    Numbers = ti.types.struct(by_width=vec, by_gamma=vec, by_tie=vec)

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

    return SimpleNamespace(Numbers=Numbers, by_distance=by_distance, geometry=geometry)
