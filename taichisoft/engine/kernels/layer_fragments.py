"""Kernels of single fragments of compositing: their values, and the adjoint of these."""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.arithmetic import greater
from taichisoft.engine.kernels.blend_functions import blend_functions
from taichisoft.engine.kernels.kernel import Floats, kernel
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.layer_bundles import (
    ATTRIBUTES,
    COVERED,
    DEPTH,
    GENERATED,
    TOLERANCE,
    Band,
    CellSums,
    Chunks,
    LayerArrays,
    Layers,
)
from taichisoft.engine.kernels.layer_tables import (
    COVERAGE,
    COVERAGE_SLOPES,
    GENERATOR,
    GENERATOR_SLOPES,
    PART,
    table_functions,
)
from taichisoft.engine.kernels.triangle import geometry_functions


class FragmentGradients(NamedTuple):
    """What the adjoint finds, of each chunk."""

    corners: Floats  # (chunks * 3 * 4)
    attributes: Floats  # (chunks * 3 * C) starts at 0
    log_widths: Floats  # (chunks)
    cells: CellSums


@cache
def layer_fragments(real):
    """Compile-on-first-use kernels for the float type `real`."""
    geo = geometry_functions(real)
    fragment = blend_functions(real)
    table = table_functions(real)
    vec3 = ti.types.vector(3, real)

    @ti.func
    def centre(arrays: ti.template(), band: ti.template(), pixel):
        """Centre of a pixel of a band, in its image."""
        line = pixel // arrays.raster.width
        row = (band.first_row + line) % arrays.raster.height
        return pixel - line * arrays.raster.width + real(0.5), row + real(0.5)

    @ti.func
    def attribute(arrays: ti.template(), corners: ti.template(), share, c):
        """Attribute c of a fragment."""
        values, _, channels = ti.static(arrays.attributes)
        total = real(0.0)
        for e in ti.static(range(3)):
            total += share[e] * values[corners.rows[e] * channels + c]
        return total

    @kernel(real)
    def evaluate(
        arrays: LayerArrays,
        band: Band,
        chunks: Chunks,
        launch: Launch,
        layers: Layers,  # pixel and values are written
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                model, raster, channels = ti.static(
                    (arrays.model, arrays.raster, arrays.attributes.channels)
                )
                tables, values, planes = ti.static((model.tables, layers.values, layers.planes))
                inv_width = tables.numbers[tables.places[2 * COVERAGE + 1]]
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                for turn in range((chunks.count - worker + workers - 1) // workers):
                    chunk = worker + turn * workers
                    face = chunks.faces[chunk]
                    triangle = geo.triangle(raster.corners, face)
                    corners = fragment.corners_of(arrays, face, triangle)
                    size = ti.abs(corners.z)
                    tolerance = model.tie * greater(size[0], greater(size[1], size[2]))
                    coverage = table.begin(COVERAGE, tables)
                    generator = table.begin(GENERATOR, tables)
                    for f in range(chunks.starts[chunk], chunks.ends[chunk]):
                        px, py = centre(arrays, band, ti.max(layers.pixel[f], 0))
                        d, at, along, _, _ = geo.foot_point(px, py, triangle)
                        # Of equal maxima the first one counts, also of those that are nothing.
                        if ti.static(not model.takes_max):  # noqa: SIM102
                            if d < -arrays.reach:
                                layers.pixel[f] = -1
                        if layers.pixel[f] >= 0:
                            s = d * inv_width
                            covered, _, _, _ = table.look_up(s, coverage, tables)
                            b = fragment.barycentric(d, at, along, px, py, triangle, corners)
                            bq = b * corners.q
                            share = bq / bq.sum()
                            for c in range(channels):
                                at_plane = planes * f + ATTRIBUTES + c
                                values[at_plane] = attribute(arrays, corners, share, c)
                            generated = covered
                            if ti.static(model.opacity == 0):
                                generated, _, _, _ = table.look_up(s, generator, tables)
                            else:
                                covered *= attribute(arrays, corners, share, channels - 1)
                                generated = covered
                                if ti.static(model.takes_max == 0):
                                    part = table.begin(PART, tables)
                                    generated, _, _, _ = table.look_up(covered - 1, part, tables)
                            # Of a level face to the last bit, by which ties are found.
                            values[planes * f + DEPTH] = corners.z[0] + (
                                share[1] * (corners.z[1] - corners.z[0])
                                + share[2] * (corners.z[2] - corners.z[0])
                            )
                            values[planes * f + COVERED] = covered
                            values[planes * f + GENERATED] = generated
                            values[planes * f + TOLERANCE] = tolerance

    @ti.func
    def softness_adjoint(
        arrays: ti.template(),
        coverage: ti.template(),
        generator: ti.template(),
        cells: ti.template(),
        worker,
        s,
        opaque,
        by_covered,
        by_generated,
    ):
        """Gradients of the opacity, of log(width), and of s where slopes of their own are followed."""
        model, tables = ti.static((arrays.model, arrays.model.tables))
        size = tables.cells.shape[0]
        covered, slope, cell, t = table.look_up(s, coverage, tables)
        followed = slope
        if ti.static(model.straight):
            slopes = table.begin(COVERAGE_SLOPES, tables)
            followed, _, _, _ = table.look_up(s, slopes, tables)
        by_opacity = real(0.0)
        by_own = real(0.0)
        by_s = real(0.0)
        if ti.static(model.opacity == 0):
            _, own, g_cell, g_t = table.look_up(s, generator, tables)
            by_own = by_generated * own
            by_s = by_own
            if ti.static(model.straight):
                g_slopes = table.begin(GENERATOR_SLOPES, tables)
                followed_own, _, _, _ = table.look_up(s, g_slopes, tables)
                by_s = by_generated * followed_own
            if ti.static(cells.wanted):
                table.add_to_cell(cells.of_workers, worker, size, g_cell, g_t, by_generated)
        else:
            part_slope = real(1.0)
            if ti.static(model.takes_max == 0):
                part = table.begin(PART, tables)
                _, rate, p_cell, p_t = table.look_up(opaque * covered - 1, part, tables)
                part_slope = rate
                if ti.static(cells.wanted):
                    table.add_to_cell(cells.of_workers, worker, size, p_cell, p_t, by_generated)
            by_covered += by_generated * part_slope
            by_opacity = by_covered * covered
            by_covered *= opaque
        if ti.static(cells.wanted):
            table.add_to_cell(cells.of_workers, worker, size, cell, t, by_covered)
        by_own += by_covered * slope
        by_s += by_covered * followed
        return by_opacity, -by_own * s, by_s

    @kernel(real)
    def evaluate_adjoint(
        arrays: LayerArrays,
        band: Band,
        chunks: Chunks,
        launch: Launch,
        layers: Layers,
        by_values: Floats,  # (F * (4 + C)) gradients of the values
        gradients_out: FragmentGradients,
    ):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                model, raster = ti.static((arrays.model, arrays.raster))
                attributes, channels = ti.static((arrays.attributes, arrays.attributes.channels))
                tables, planes = ti.static((model.tables, layers.planes))
                corners_out, attributes_out, log_widths_out, cells = ti.static(gradients_out)
                inv_width = tables.numbers[tables.places[2 * COVERAGE + 1]]
                workers = launch.slots // launch.stride
                worker = slot // launch.stride
                for turn in range((chunks.count - worker + workers - 1) // workers):
                    chunk = worker + turn * workers
                    face = chunks.faces[chunk]
                    triangle = geo.triangle(raster.corners, face)
                    corners = fragment.corners_of(arrays, face, triangle)
                    sum_x = vec3(0.0)
                    sum_y = vec3(0.0)
                    sum_z = vec3(0.0)
                    sum_q = vec3(0.0)
                    log_width = real(0.0)
                    coverage = table.begin(COVERAGE, tables)
                    generator = table.begin(GENERATOR, tables)
                    for f in range(chunks.starts[chunk], chunks.ends[chunk]):
                        if layers.pixel[f] >= 0:
                            px, py = centre(arrays, band, layers.pixel[f])
                            d, at, along, gx, gy = geo.foot_point(px, py, triangle)
                            b = fragment.barycentric(d, at, along, px, py, triangle, corners)
                            bq = b * corners.q
                            by_total = 1 / bq.sum()
                            share = bq * by_total
                            opaque = real(1.0)
                            if ti.static(model.opacity == 1):
                                opaque = attribute(arrays, corners, share, channels - 1)
                            by_opacity, by_log_width, by_s = softness_adjoint(
                                arrays,
                                coverage,
                                generator,
                                cells,
                                worker,
                                d * inv_width,
                                opaque,
                                by_values[planes * f + COVERED],
                                by_values[planes * f + GENERATED],
                            )
                            log_width += by_log_width
                            by_depth = by_values[planes * f + DEPTH]
                            depth = share.dot(corners.z)
                            spread = by_depth * (corners.z - depth)
                            for c in range(channels):
                                up = by_opacity
                                if c < channels - model.opacity:
                                    up = by_values[planes * f + ATTRIBUTES + c]
                                mean = attribute(arrays, corners, share, c)
                                for e in ti.static(range(3)):
                                    value = attributes.values[corners.rows[e] * channels + c]
                                    spread[e] += up * (value - mean)
                                    k = (3 * chunk + e) * channels + c
                                    attributes_out[k] = attributes_out[k] + up * share[e]
                            spread *= by_total
                            foot = ti.static((d, at, along, gx, gy))
                            grad_x, grad_y = fragment.vertices_adjoint(
                                px,
                                py,
                                foot,
                                b,
                                corners.q * spread,
                                by_s * inv_width,
                                triangle,
                                corners,
                            )
                            sum_x += grad_x
                            sum_y += grad_y
                            sum_z += by_depth * share
                            sum_q += b * spread
                    for e in ti.static(range(3)):
                        corners_out[12 * chunk + 4 * e] = sum_x[e]
                        corners_out[12 * chunk + 4 * e + 1] = sum_y[e]
                        corners_out[12 * chunk + 4 * e + 2] = sum_z[e]
                        corners_out[12 * chunk + 4 * e + 3] = sum_q[e]
                    log_widths_out[chunk] = log_width

    return SimpleNamespace(evaluate=evaluate, evaluate_adjoint=evaluate_adjoint)
