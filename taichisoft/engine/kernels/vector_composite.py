"""Kernels of compositing front to back on the CPU, in whole vectors: set-up and images."""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blocks import block_functions
from taichisoft.engine.kernels.bundles import Corners
from taichisoft.engine.kernels.faces import FRAME, face_functions
from taichisoft.engine.kernels.kernel import Floats, Ints, Vectors, large_vector_kernel
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.shading_bundles import Plan, Shading
from taichisoft.engine.kernels.vector_arrangement import arrangement_functions
from taichisoft.engine.kernels.vector_bundles import Faces, Tiles
from taichisoft.engine.kernels.vector_fragment import vector_fragment_functions
from taichisoft.engine.kernels.vector_gathering import gathering_functions
from taichisoft.engine.kernels.vector_layer_bundles import Kept, LayerArrays, Number
from taichisoft.engine.kernels.vector_layers import layer_functions
from taichisoft.engine.kernels.vector_planes import plane_functions
from taichisoft.engine.kernels.vector_products import product_functions
from taichisoft.engine.kernels.vector_shading import shading_functions
from taichisoft.engine.kernels.vectors import vector_functions


class CompositeImage(NamedTuple):
    """What is written."""

    sums: Vectors  # (workers * blocks * (2 + C)) of the blocks of a band
    image_out: (
        Floats  # ((3 + C) * B * H * W) planes: total, sums of w, w z, and w times the colours
    )
    arranged: Ints  # how the layers are: see `keep` of `vector_arrangement`


@cache
def composite_kernels(real):
    """Compile-on-first-use kernels for a float type."""
    of = vector_functions(real)
    geo = block_functions(real)
    frames = face_functions(real)
    fragment = vector_fragment_functions(real)
    layer = layer_functions(real)
    gathering = gathering_functions(real)
    arrangement = arrangement_functions()
    shade = shading_functions(real)
    product = product_functions(real)
    planes_of = plane_functions(real)
    vec, lanes = of.vec, of.lanes

    @large_vector_kernel(real)
    def set_up(
        corners: Corners,
        near: float,  # scene units
        reach: float,  # pixels
        tiles: Tiles,
        over_faces: Launch,
        over_rows: Launch,  # of blocks, as many together as there are lanes
        faces_out: Faces,
        depths_out: Floats,  # (N * DEPTHS)
        counts_out: Ints,  # (B * rows of blocks) pairs of a face and a block in reach
    ):
        for slot in range(over_faces.slots):
            if slot % over_faces.stride == 0:
                worker = slot // over_faces.stride
                workers = over_faces.slots // over_faces.stride
                groups = (faces_out.count + lanes - 1) // lanes
                for group in range(groups * worker // workers, groups * (worker + 1) // workers):
                    frames.set_up(corners, group * lanes, reach, near, tiles, faces_out)
                    end = ti.min((group + 1) * lanes, faces_out.count)
                    for face in range(group * lanes, end):
                        fragment.set_up(corners, face, faces_out.frames, FRAME * face, depths_out)
        for slot in range(over_rows.slots):
            if slot % over_rows.stride == 0:
                worker = slot // over_rows.stride
                workers = over_rows.slots // over_rows.stride
                parts = (tiles.rows + lanes - 1) // lanes
                items = tiles.images * parts
                for turn in range((items - worker + workers - 1) // workers):
                    item = worker + turn * workers
                    image = item // parts
                    top = (item - image * parts) * lanes
                    bottom = ti.min(tiles.rows, top + lanes)
                    origin = image * tiles.rows
                    for row in range(top, bottom):
                        counts_out[origin + row] = 0
                    for index in range(faces_out.start[image], faces_out.start[image + 1]):
                        first = ti.max(top, faces_out.rows[2 * index])
                        last = ti.min(bottom, faces_out.rows[2 * index + 1])
                        if first < last:
                            face, bounds = frames.read(faces_out.frames, index)
                            begins, ends = geo.row_spans(face, bounds, reach, first, tiles.width)
                            for line in range(last - first):
                                row = origin + first + line
                                counts_out[row] = counts_out[row] + ends[line] - begins[line]

    @ti.func
    def add_up(
        worker,
        image,
        visits,
        colors,
        arrays: ti.template(),
        shading: ti.template(),
        sums: ti.template(),
    ):
        """Add the layers of a band to its blocks, face after face."""
        layers = ti.static(arrays.layers)
        kept = ti.static(layers.kept)
        columns = ti.static(Kept.FORWARD)
        first_block = worker * layers.blocks
        first_visit = 2 * worker * (layers.capacity + 1)
        for number in range((visits - first_visit) // 2):
            visit = first_visit + 2 * number
            index = layers.visits[visit]
            for at in range(layers.visits[visit + 1], layers.visits[visit + 3]):
                block = layers.block[at]
                k = at * columns
                if block >= 0:
                    weight = kept[k + Kept.WEIGHT]
                    p = (first_block + block) * (2 + colors)
                    sums[p] = sums[p] + weight
                    sums[p + 1] = sums[p + 1] + weight * kept[k + Kept.DEPTH]
                    share0 = kept[k + Kept.SHARE0]
                    share1 = kept[k + Kept.SHARE1]
                    share2 = kept[k + Kept.SHARE2]
                    if ti.static(shading.shaded):
                        # Where nothing is seen, nothing is looked up.
                        if of.greater(weight, 0.0 - weight).max() > 0:
                            seen = shade.evaluate(
                                worker, image, index, share0, share1, share2, arrays, shading
                            )
                            for c in range(colors):
                                color = shading.room[seen + c]
                                sums[p + 2 + c] = sums[p + 2 + c] + weight * color
                    else:
                        for c in range(colors):
                            color = shade.attribute(arrays, index, c, share0, share1, share2)
                            sums[p + 2 + c] = sums[p + 2 + c] + weight * color

    @large_vector_kernel(real)
    def render(arrays: LayerArrays, shading: Shading, launch: Launch, out: CompositeImage):
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                worker = slot // launch.stride
                workers = launch.slots // launch.stride
                tiles, layers = ti.static((arrays.tiles, arrays.layers))
                colors = arrays.channels - ti.cast(arrays.softness.numbers[Number.OPACITY], ti.i32)
                if ti.static(shading.shaded):
                    colors = shading.plan[Plan.OUTPUTS]
                first_block = worker * layers.blocks
                for turn in range((arrays.bands.count - worker + workers - 1) // workers):
                    band = worker + turn * workers
                    image = arrays.bands.rows[3 * band]
                    top = arrays.bands.rows[3 * band + 1]
                    bottom = arrays.bands.rows[3 * band + 2]
                    blocks = (bottom - top) * tiles.columns
                    visits, places = gathering.gather(worker, band, arrays, Kept.FORWARD, shading)
                    arrangement.arrange(worker, blocks, places, arrays)
                    arrangement.keep(worker, band, blocks, places, arrays, out.arranged)
                    for block in range(blocks):
                        if product.is_taken(arrays) == 1:
                            product.weigh(worker, image, block, arrays, Kept.FORWARD, 0, 0)
                        else:
                            layer.weigh(worker, image, block, arrays, Kept.FORWARD, 0, 0)
                    for at in range(
                        first_block * (2 + colors), (first_block + blocks) * (2 + colors)
                    ):
                        out.sums[at] = vec(0.0)
                    add_up(worker, image, visits, colors, arrays, shading, out.sums)
                    for block in range(blocks):
                        row = block // tiles.columns
                        column = block - row * tiles.columns
                        total = layers.totals[first_block + block]
                        planes_of.write(out.image_out, tiles, image, top + row, column, total)
                        for c in range(2 + colors):
                            v = out.sums[(first_block + block) * (2 + colors) + c]
                            plane = (1 + c) * tiles.images + image
                            planes_of.write(out.image_out, tiles, plane, top + row, column, v)

    return SimpleNamespace(set_up=set_up, render=render)
