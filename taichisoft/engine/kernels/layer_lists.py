"""Kernels that list the fragments of a band of rows by face and by pixel, and that add tables up."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.bundles import Raster
from taichisoft.engine.kernels.kernel import Floats, Ints, kernel
from taichisoft.engine.kernels.layer_bundles import Band, Layers
from taichisoft.engine.kernels.triangle import geometry_functions


@cache
def layer_lists(real):
    """Compile-on-first-use kernels for the float type `real`."""
    geo = geometry_functions(real)

    @ti.func
    def rows_of(raster: ti.template(), band: ti.template(), face):
        """First row of an image among all rows, and first and past-last row of a face in a band."""
        top = raster.face_image[face] * raster.height
        first = ti.max(raster.rows[2 * face], band.first_row - top)
        last = ti.min(raster.rows[2 * face + 1], band.last_row - top)
        return top, first, last

    @kernel(real)
    def count_layers(
        raster: Raster,
        numbers: Floats,  # of coverage
        band: Band,
        faces_out: Ints,  # (num_faces) fragments of each face
        rows_out: Floats,  # (B * H) of each row, rounded; starts at 0
    ):
        for item in range(band.num_faces):
            face = band.first_face + item
            triangle = geo.triangle(raster.corners, face)
            bounds = geo.bounds(triangle, numbers[1], raster.width)
            top, first, last = rows_of(raster, band, face)
            count = 0
            for row in range(first, last):
                begin, end = geo.row_span(triangle, bounds, row + real(0.5))
                size = ti.max(end - begin, 0)
                count += size
                # In floating point: on Vulkan an atomic of integers ends the loop that it stands in.
                ti.atomic_add(rows_out[top + row], ti.cast(size, real))
            faces_out[item] = count

    @kernel(real)
    def list_layers(
        raster: Raster,
        numbers: Floats,  # of coverage
        band: Band,
        starts: Ints,  # (num_faces) first fragment of each face
        ends: Ints,  # (num_faces) past its last one
        pixel_out: Ints,  # (F) in the band
    ):
        for item in range(band.num_faces):
            face = band.first_face + item
            triangle = geo.triangle(raster.corners, face)
            bounds = geo.bounds(triangle, numbers[1], raster.width)
            top, first, last = rows_of(raster, band, face)
            at = starts[item]
            for row in range(first, last):
                begin, end = geo.row_span(triangle, bounds, row + real(0.5))
                base = (top + row - band.first_row) * raster.width
                for column in range(begin, end):
                    # The other kernel may have rounded a span otherwise: never write past the end.
                    if at < ends[item]:
                        pixel_out[at] = base + column
                        at += 1
            for left in range(at, ends[item]):
                pixel_out[left] = -1

    @kernel(real)
    def number_layers(
        count: int,  # F
        layers: Layers,  # place is written
        counts_out: Ints,  # (P) fragments of each pixel; starts at 0
    ):
        # Not in the kernel that evaluates them, whose loops an atomic of integers would end on Vulkan.
        for f in range(count):
            if layers.pixel[f] >= 0:
                layers.place[f] = ti.atomic_add(counts_out[layers.pixel[f]], 1)

    @kernel(real)
    def group_layers(
        count: int,  # F
        starts: Ints,  # (P + 1) first fragment of each pixel in the order
        layers: Layers,  # order is written
    ):
        for f in range(count):
            if layers.pixel[f] >= 0:
                layers.order[starts[layers.pixel[f]] + layers.place[f]] = f

    @kernel(real)
    def clear(
        size: int,
        out: Floats,  # (size)
    ):
        for k in range(size):
            out[k] = 0

    @kernel(real)
    def add_tables(
        workers: int,
        tables: Floats,  # (workers * K)
        total_out: Floats,  # (K) added to
    ):
        for k in range(total_out.shape[0]):
            total = total_out[k]
            for worker in range(workers):
                total += tables[worker * total_out.shape[0] + k]
            total_out[k] = total

    return SimpleNamespace(
        count_layers=count_layers,
        list_layers=list_layers,
        number_layers=number_layers,
        group_layers=group_layers,
        clear=clear,
        add_tables=add_tables,
    )
