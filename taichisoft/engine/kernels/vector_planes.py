"""Device functions that read blocks of pixels of an image, or of its planes, and write them."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.blocks import COLUMNS, block_functions
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def plane_functions(real):
    """Return the device functions for the float type `real`."""
    vec = vector_functions(real).vec
    rows = block_functions(real).rows

    @ti.func
    def read(pixels: ti.template(), tiles: ti.template(), image, row, column):
        """Return a block of an image, given its row and column; 0 outside of the image."""
        result = vec(0.0)
        x = column * COLUMNS
        for line in ti.static(range(rows)):
            y = row * rows + line
            if y < tiles.height:
                pixel = (image * tiles.height + y) * tiles.width + x
                result[COLUMNS * line] = pixels[pixel]
                if x + 1 < tiles.width:
                    result[COLUMNS * line + 1] = pixels[pixel + 1]
        return result

    @ti.func
    def write(pixels_out: ti.template(), tiles: ti.template(), image, row, column, v):
        """Write what of a block is in an image."""
        x = column * COLUMNS
        for line in ti.static(range(rows)):
            y = row * rows + line
            if y < tiles.height:
                pixel = (image * tiles.height + y) * tiles.width + x
                pixels_out[pixel] = v[COLUMNS * line]
                if x + 1 < tiles.width:
                    pixels_out[pixel + 1] = v[COLUMNS * line + 1]

    @ti.func
    def read_band(
        pixels: ti.template(),
        tiles: ti.template(),
        image,
        top,
        blocks,
        planes,
        first,
        tiled_out: ti.template(),
    ):
        """Cut the planes of a band, from the row of blocks `top` on, into vectors from `first` on."""
        for block in range(blocks):
            row = block // tiles.columns
            column = block - row * tiles.columns
            for plane in range(planes):
                of_plane = plane * tiles.images + image
                block_of_plane = read(pixels, tiles, of_plane, top + row, column)
                tiled_out[first + block * planes + plane] = block_of_plane

    return SimpleNamespace(read=read, write=write, read_band=read_band)
