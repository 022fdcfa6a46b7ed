"""Kernel of the second derivatives of compositing front to back on the CPU, in whole vectors.

All that the result is differentiable in moves at given rates. Beside every number
of the backward pass (`taichisoft.engine.kernels.vector_composite_adjoint`) its rate is computed: those of the
image are the gradient of ``<adjoint, rates>`` by the upstream gradient, and those of the gradients are its
gradients by the inputs, since second derivatives are symmetric. Names that end in ``_dot`` are rates.
"""

from functools import cache

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.faces import face_functions
from taichisoft.engine.kernels.kernel import ordered_vector_kernel
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.shading_bundles import UNSHADED
from taichisoft.engine.kernels.vector_arrangement import arrangement_functions
from taichisoft.engine.kernels.vector_fragment import vector_fragment_functions
from taichisoft.engine.kernels.vector_gathering import gathering_functions
from taichisoft.engine.kernels.vector_layer_bundles import Kept, LayerArrays, Number
from taichisoft.engine.kernels.vector_layers import layer_functions
from taichisoft.engine.kernels.vector_moving_fragment import moving_fragment_functions
from taichisoft.engine.kernels.vector_planes import plane_functions
from taichisoft.engine.kernels.vector_rate_gradients import rate_gradient_functions
from taichisoft.engine.kernels.vector_rate_pairs import rate_pair_functions
from taichisoft.engine.kernels.vector_rate_places import rate_place_functions
from taichisoft.engine.kernels.vector_rates import (
    Motion,
    OfBand,
    Rate,
    SecondArrays,
    SecondGradients,
)
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def composite_second_kernel(real):
    """Compile-on-first-use kernel for a float type."""
    of = vector_functions(real)
    frames = face_functions(real)
    fragment = vector_fragment_functions(real)
    moving = moving_fragment_functions(real)
    layer = layer_functions(real)
    gathering = gathering_functions(real)
    arrangement = arrangement_functions()
    planes_of = plane_functions(real)
    places = rate_place_functions(real)
    pairs = rate_pair_functions(real)
    gradients = rate_gradient_functions(real)
    vec = of.vec
    width = Rate.SECOND

    @ordered_vector_kernel(real)
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
                    sums = gradients.Numbers()
                    visits, end = gathering.gather(worker, band, arrays, width, UNSHADED)
                    arrangement.arrange(worker, blocks, end, arrays)
                    first = worker * layers.blocks * planes
                    planes_of.read_band(
                        more.upstream, tiles, image, top, blocks, planes, first, more.tiled
                    )
                    for at in range(first, first + blocks * planes):
                        more.image_sums[at] = vec(0.0)
                    places.move(worker, top, visits, arrays, more, motion)
                    places.receive(worker, visits, arrays, more, motion, planes)
                    for block in range(blocks):
                        at_block = worker * layers.blocks + worker + block
                        walk = pairs.Walk()
                        walk.at = layers.start[at_block]
                        walk.passed = layers.start[at_block]
                        state = ti.static(
                            (worker, image, arrays, more, motion, sums, walk, gradients_out)
                        )
                        layer.weigh(worker, image, block, arrays, width, pairs.unweigh, state)
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
                                gradients.finish(
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
                    at_slope = at_band + OfBand.TIE_SLOPE_DOT
                    gradients_out.numbers[at_slope] = sums.by_tie_slope_dot.sum()

    return second
