"""Device functions that gather the fragments of a band in places: depth, shares of the corners, coverage."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blocks import COLUMNS, block_functions
from taichisoft.engine.kernels.faces import face_functions
from taichisoft.engine.kernels.vector_curve import CellsAt
from taichisoft.engine.kernels.vector_fragment import vector_fragment_functions
from taichisoft.engine.kernels.vector_layer_bundles import Extent, Kept, Number
from taichisoft.engine.kernels.vector_shading import shading_functions
from taichisoft.engine.kernels.vector_table import flexible_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def gathering_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    geo = block_functions(real)
    frames = face_functions(real)
    fragment = vector_fragment_functions(real)
    shade = shading_functions(real)
    look = flexible_lookup_functions(real)
    vec, lanes = of.vec, of.lanes
    greater = of.greater
    far = 1e30

    @ti.func
    def gather(worker, band, arrays: ti.template(), width: ti.template(), shading: ti.template()):
        """Evaluate all fragments of a band, `width` vectors each; return the ends of visits and places.

        `shading` is a `taichisoft.engine.kernels.shading_bundles.Shading`.
        """
        softness, faces, tiles, layers = ti.static(
            (arrays.softness, arrays.faces, arrays.tiles, arrays.layers)
        )
        kept = ti.static(layers.kept)
        image = arrays.bands.rows[3 * band]
        top = arrays.bands.rows[3 * band + 1]
        bottom = arrays.bands.rows[3 * band + 2]
        base = worker * layers.capacity
        first_block = worker * layers.blocks
        for b in range((bottom - top) * tiles.columns):
            layers.start[first_block + worker + b + 1] = 0
            layers.totals[first_block + b] = vec(0.0)
        reach = softness.coverage.layout[1]
        inverse_width = softness.coverage.layout[0]
        dx, dy = geo.offsets()
        place = base
        visit = 2 * (base + worker)
        for index in range(faces.start[image], faces.start[image + 1]):
            first = ti.max(top, faces.rows[2 * index])
            last = ti.min(bottom, faces.rows[2 * index + 1])
            if first < last:
                face, bounds = frames.read(faces.frames, index)
                depths = fragment.read(arrays.depths, face, index)
                layers.visits[visit] = index
                layers.visits[visit + 1] = place
                begun = place
                for group in range((last - first + lanes - 1) // lanes):
                    above = first + group * lanes
                    begins, ends = geo.row_spans(face, bounds, reach, above, tiles.width)
                    start = place
                    for line in range(ti.min(lanes, last - above)):
                        begin = begins[line]
                        end = ends[line]
                        row = above + line
                        forms = geo.row_forms_of(face, dx, dy, begin, row)
                        for column in range(begin, end):
                            x = of.broadcast(ti.cast((column - begin) * COLUMNS, real))
                            found = fragment.at(face, depths, forms, x)
                            s = found.d * inverse_width
                            cell, t, rate = look.locate(s, softness.coverage)
                            layers.block[place] = (row - top) * tiles.columns + column
                            layers.cells[place] = cell
                            k = place * width
                            kept[k + Kept.DEPTH] = found.z
                            kept[k + Kept.SHARE0] = found.share0
                            kept[k + Kept.SHARE1] = found.share1
                            kept[k + Kept.SHARE2] = found.share2
                            kept[k + Kept.POSITION] = t
                            kept[k + Kept.WEIGHT] = s
                            if ti.static(width > Kept.FORWARD):
                                kept[k + Kept.S] = s
                                kept[k + Kept.RATE] = rate
                                kept[k + Kept.NORMAL] = found.normal
                                kept[k + Kept.TANGENT] = found.tangent
                                kept[k + Kept.ALONG] = found.along
                                kept[k + Kept.EDGE] = found.edge
                                kept[k + Kept.INVERSE_SUM] = found.inverse_sum
                            place += 1
                    for at in range(start, place):
                        cover(at, index, depths, arrays, width, first_block, worker, image, shading)
                if place > begun:
                    visit += 2
        layers.visits[visit + 1] = place
        return visit, place

    @ti.func
    def cover(
        at,
        index,
        depths: ti.template(),
        arrays: ti.template(),
        width: ti.template(),
        first_block,
        worker,
        image,
        shading: ti.template(),
    ):
        """Look coverage and its generator up at a place."""
        softness, layers = ti.static((arrays.softness, arrays.layers))
        kept = ti.static(layers.kept)
        k = at * width
        t = kept[k + Kept.POSITION]
        cells = ti.static(CellsAt(layers.cell_numbers, at * lanes))
        cubic = look.cubic(softness.coverage, cells)
        coverage = look.value(cubic, t)
        z = kept[k + Kept.DEPTH]
        covered = coverage > 0.0
        # In the backward pass it is known from the forward pass what is covered.
        if coverage.sum() > 0 or ti.static(width == Kept.BACKWARD):
            generator = coverage
            if softness.numbers[Number.OPACITY] > 0:
                share0 = kept[k + Kept.SHARE0]
                share1 = kept[k + Kept.SHARE1]
                share2 = kept[k + Kept.SHARE2]
                c = arrays.channels - 1
                opacity = vec(1.0)
                if ti.static(shading.shaded):
                    opacity = shade.opacity(image, index, share0, share1, share2, arrays, shading)
                else:
                    opacity = shade.attribute(arrays, index, c, share0, share1, share2)
                if ti.static(width > Kept.FORWARD):
                    kept[k + Kept.OPACITY] = opacity
                    kept[k + Kept.OPAQUE] = coverage
                coverage = coverage * opacity
                generator = coverage
                if ti.static(not softness.take_max):
                    generator = value_of(coverage - 1.0, softness.part)
            elif ti.static(not softness.take_max):
                if softness.numbers[Number.TOTAL] == 0:
                    generator = vec(0.0)
                elif softness.numbers[Number.SAME] > 0:
                    generator = look.value(look.cubic(softness.generator, cells), t)
                else:
                    generator = value_of(kept[k + Kept.WEIGHT], softness.generator)
            kept[k + Kept.GENERATOR] = generator
            kept[k + Kept.COVERAGE] = coverage
            if softness.numbers[Number.PRODUCT] > 0:
                least = of.broadcast(softness.numbers[Number.LEAST])
                kept[k + Kept.GENERATOR] = greater(1.0 - coverage, least)
            layers.extent[Extent.COUNT * at + Extent.NEAREST] = ti.select(
                covered, z, vec(far)
            ).min()
            layers.extent[Extent.COUNT * at + Extent.FARTHEST] = ti.select(
                covered, z, vec(-far)
            ).max()
            layers.extent[Extent.COUNT * at + Extent.TOLERANCE] = depths.tolerance
            layers.extent[Extent.COUNT * at + Extent.LARGEST] = coverage.max()
            block = layers.block[at]
            # Not `+=`, which is an atomic addition.
            count = first_block + worker + block + 1
            layers.start[count] = layers.start[count] + 1
            total = layers.totals[first_block + block]
            if ti.static(softness.take_max):
                layers.totals[first_block + block] = greater(total, generator)
            else:
                layers.totals[first_block + block] = total + generator
        else:
            layers.block[at] = -1

    @ti.func
    def value_of(s, table: ti.template()):
        """Return the value of a curve."""
        cell, t, _ = look.locate(s, table)
        return look.value(look.cubic(table, cell), t)

    return SimpleNamespace(gather=gather)
