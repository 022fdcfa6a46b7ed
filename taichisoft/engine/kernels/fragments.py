"""Kernels of the fragments of a render, the pairs of a face and a pixel within its reach: count, list."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.bundles import Raster
from taichisoft.engine.kernels.kernel import Floats, Ints, kernel
from taichisoft.engine.kernels.triangle import geometry_functions


@cache
def fragment_kernels(real):
    """Compile-on-first-use kernels for the float type `real`."""
    geo = geometry_functions(real)

    @kernel(real)
    def count_fragments(
        raster: Raster,
        numbers: Floats,  # of the curve
        num_faces: int,
        counts_out: Ints,  # (N) fragments of each face
    ):
        for face in range(num_faces):
            triangle = geo.triangle(raster.corners, face)
            bounds = geo.bounds(triangle, numbers[1], raster.width)
            count = 0
            for row in range(raster.rows[2 * face], raster.rows[2 * face + 1]):
                begin, end = geo.row_span(triangle, bounds, row + real(0.5))
                count += ti.max(end - begin, 0)
            counts_out[face] = count

    @kernel(real)
    def list_fragments(
        raster: Raster,
        numbers: Floats,  # of the curve
        starts: Ints,  # (N) first fragment of each face
        ends: Ints,  # (N) past its last one
        num_faces: int,
        face_out: Ints,  # (F)
        pixel_out: Ints,  # (F)
    ):
        for face in range(num_faces):
            triangle = geo.triangle(raster.corners, face)
            bounds = geo.bounds(triangle, numbers[1], raster.width)
            at = starts[face]
            for row in range(raster.rows[2 * face], raster.rows[2 * face + 1]):
                begin, end = geo.row_span(triangle, bounds, row + real(0.5))
                base = (raster.face_image[face] * raster.height + row) * raster.width
                for column in range(begin, end):
                    # The other kernel may have rounded a span otherwise: never write past the end.
                    if at < ends[face]:
                        face_out[at] = face
                        pixel_out[at] = base + column
                        at += 1

    return SimpleNamespace(count_fragments=count_fragments, list_fragments=list_fragments)
