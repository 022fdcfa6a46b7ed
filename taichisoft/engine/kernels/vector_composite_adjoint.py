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
from taichisoft.engine.kernels.vector_fragment import vector_fragment_functions
from taichisoft.engine.kernels.vector_fragment_adjoint import fragment_adjoint_functions
from taichisoft.engine.kernels.vector_gathering import gathering_functions
from taichisoft.engine.kernels.vector_layer_adjoint import layer_adjoint_functions
from taichisoft.engine.kernels.vector_layer_bundles import Kept, LayerArrays, Number
from taichisoft.engine.kernels.vector_layers import layer_functions
from taichisoft.engine.kernels.vector_planes import plane_functions
from taichisoft.engine.kernels.vector_products import product_functions
from taichisoft.engine.kernels.vector_shading import shading_functions
from taichisoft.engine.kernels.vector_table import FlexibleTable, Sizes
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
    arranged: Ints  # how the layers are: see `keep` of `vector_arrangement`


class CompositeGradients(NamedTuple):
    """What the adjoint finds."""

    corners: Floats  # (parts of the bands taken * 3 * 4) x, y, depth, inverse w
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
    gathering = gathering_functions(real)
    arrangement = arrangement_functions()
    shade = shading_functions(real)
    product = product_functions(real)
    planes_of = plane_functions(real)
    vec = of.vec
    width = Kept.BACKWARD
    weights = layer_adjoint_functions(real)
    fragments = fragment_adjoint_functions(real)

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
                first_band = sizes[Sizes.FIRST_BAND] + worker
                bands = sizes[Sizes.END_BAND] - first_band
                for turn in range((bands + workers - 1) // workers):
                    band = first_band + turn * workers
                    image = arrays.bands.rows[3 * band]
                    top = arrays.bands.rows[3 * band + 1]
                    blocks = (arrays.bands.rows[3 * band + 2] - top) * tiles.columns
                    sums = fragments.Numbers()
                    if ti.static(shading.shaded):
                        shade.begin(worker, shading)
                    visits, places = gathering.gather(worker, band, arrays, width, shading)
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
                            layer.weigh(worker, image, block, arrays, width, weights.unweigh, state)
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
                                by_s, by_opacity = fragments.by_distance(
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
                                fragments.geometry(
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
