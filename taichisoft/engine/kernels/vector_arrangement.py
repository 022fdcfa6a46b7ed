"""Layers of a block from front to back: sorted, or as the forward pass has sorted them."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.vector_layer_bundles import Extent


@cache
def arrangement_functions():
    """Return the device functions."""

    @ti.func
    def arrange(worker, blocks, places, arrays: ti.template()):
        """List the places of each block, from front to back."""
        layers = ti.static(arrays.layers)
        base = worker * layers.capacity
        first_block = worker * layers.blocks + worker
        # Counts become starts, which then move on to their ends: those of the next blocks.
        layers.start[first_block] = base
        total = base
        for b in range(blocks):
            count = layers.start[first_block + b + 1]
            layers.start[first_block + b + 1] = total
            total += count
        for at in range(base, places):
            block = layers.block[at]
            if block >= 0:
                end = layers.start[first_block + block + 1]
                layers.order[end] = at
                layers.start[first_block + block + 1] = end + 1
        for b in range(blocks):
            sort(layers.start[first_block + b], layers.start[first_block + b + 1], layers)

    @ti.func
    def parts_of(arranged: ti.template(), band, arrays: ti.template()):
        """Return where in what is kept the starts and the order of a band begin.

        Before them are the first places of the bands, and the end, and how many places each band had.
        """
        bands = arrays.bands.count
        starts = 2 * bands + 1 + band * (arrays.layers.blocks + 1)
        order = 2 * bands + 1 + bands * (arrays.layers.blocks + 1) + arranged[band]
        return starts, order

    @ti.func
    def keep(worker, band, blocks, places, arrays: ti.template(), arranged_out: ti.template()):
        """Keep how the layers of a band are arranged, with places counted in the band."""
        layers = ti.static(arrays.layers)
        base = worker * layers.capacity
        first_block = worker * layers.blocks + worker
        start, order = parts_of(arranged_out, band, arrays)
        arranged_out[arrays.bands.count + 1 + band] = places - base
        for b in range(blocks + 1):
            arranged_out[start + b] = layers.start[first_block + b] - base
        for i in range(layers.start[first_block + blocks] - base):
            arranged_out[order + i] = layers.order[base + i] - base

    @ti.func
    def arrange_again(worker, band, blocks, places, arrays: ti.template(), arranged: ti.template()):
        """Arrange the layers of a band as `keep` has it."""
        layers = ti.static(arrays.layers)
        base = worker * layers.capacity
        first_block = worker * layers.blocks + worker
        start, order = parts_of(arranged, band, arrays)
        if arranged[arrays.bands.count + 1 + band] == places - base:
            for i in range(places - base):
                layers.block[base + i] = -1
            for b in range(blocks + 1):
                layers.start[first_block + b] = arranged[start + b] + base
            for b in range(blocks):
                for i in range(arranged[start + b], arranged[start + b + 1]):
                    place = arranged[order + i] + base
                    layers.order[base + i] = place
                    layers.block[place] = b
        else:
            # Whether a face just reaches a block is rounded, which compilers do in various ways.
            arrange(worker, blocks, places, arrays)

    @ti.func
    def sort(first, last, layers: ti.template()):
        """Sort places by their least depth, then by their number.

        By Shell's method, which is insertion for a few.
        """
        order, extent = ti.static((layers.order, layers.extent))
        gap = 1
        while gap < (last - first) // 8:
            gap = 3 * gap + 1
        while gap > 0:
            for at in range(first + gap, last):
                moving = order[at]
                z = extent[Extent.COUNT * moving + Extent.NEAREST]
                hole = at
                moves = 1
                while moves == 1:
                    moves = 0
                    if hole - gap >= first:
                        other = order[hole - gap]
                        other_z = extent[Extent.COUNT * other + Extent.NEAREST]
                        moves = ti.select(other_z > z, 1, 0)
                        if other_z == z:
                            moves = ti.select(other > moving, 1, 0)
                        if moves == 1:
                            order[hole] = other
                            hole -= gap
                if hole < at:
                    order[hole] = moving
            gap = gap // 3

    return SimpleNamespace(arrange=arrange, keep=keep, arrange_again=arrange_again)
