"""Device functions that find at which rates the fragments of a place move, and their upstream gradients."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blocks import block_functions
from taichisoft.engine.kernels.faces import face_functions
from taichisoft.engine.kernels.vector_fragment import vector_fragment_functions
from taichisoft.engine.kernels.vector_layer_bundles import Kept, Number
from taichisoft.engine.kernels.vector_moving_fragment import moving_fragment_functions
from taichisoft.engine.kernels.vector_rate_tables import rate_table_functions
from taichisoft.engine.kernels.vector_rates import Moving, Rate, RowsOf
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def rate_place_functions(real):
    """Compile-on-first-use device functions for a float type."""
    of = vector_functions(real)
    geo = block_functions(real)
    frames = face_functions(real)
    fragment = vector_fragment_functions(real)
    moving = moving_fragment_functions(real)
    tables = rate_table_functions(real)
    vec, lanes = of.vec, of.lanes
    width = Rate.SECOND

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
        s_dot = s_dot - s * of.broadcast(motion.numbers[Moving.WIDTH])
        kept[k + Rate.S] = s_dot
        rate = tables.steady(kept[k + Kept.RATE], s)
        kept[k + Kept.RATE] = rate
        cells = tables.cells_at(layers.cell_numbers, at * lanes)
        t = kept[k + Kept.POSITION]
        own = tables.looked_up_at(cells, t, rate, softness.coverage, RowsOf.COVERAGE, more, motion)
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
            part = tables.looked_up(x, softness.part, RowsOf.PART, more, motion)
            generator_dot = part.slope * coverage_dot + part.moved
        elif softness.numbers[Number.SAME] > 0:
            same = tables.looked_up_at(cells, t, rate, softness.generator, 0, more, motion)
            generator_dot = same.slope * s_dot + same.moved
        else:
            generator = tables.looked_up(s, softness.generator, 0, more, motion)
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

    return SimpleNamespace(
        fragment_at=fragment_at,
        rates_at=rates_at,
        move=move,
        attribute_rate=attribute_rate,
        receive=receive,
    )
