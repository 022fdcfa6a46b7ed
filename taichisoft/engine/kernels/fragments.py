"""Kernels that list the fragments of a render: the pairs of a face and a pixel within its reach."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.direct import Direct
from taichisoft.engine.kernels.triangle import geometry_functions


@cache
def fragment_kernels(real):
    """Compile-on-first-use kernels for the float type `real`."""
    geo = geometry_functions(real)
    floats = ti.types.ndarray(real, 1)
    ints = ti.types.ndarray(ti.i32, 1)

    @ti.kernel
    def count_fragments(
        # in
        points: floats,  # (P * 4)
        faces: ints,  # (N * 3)
        rows: ints,  # (N * 2)
        curve: floats,
        num_faces: ti.i32,
        width: ti.i32,
        # out
        counts_out: ints,  # (N) fragments of each face
    ):
        for face in range(num_faces):
            v, left, right, _, normal, _, _, inverse = geo.triangle(points, faces, face)
            count = 0
            for row in range(rows[2 * face], rows[2 * face + 1]):
                begin, end = geo.row_span(
                    v, left, right, normal, inverse, row + real(0.5), curve[1], width
                )
                count += ti.max(end - begin, 0)
            counts_out[face] = count

    @ti.kernel
    def list_fragments(
        # in
        points: floats,  # (P * 4)
        faces: ints,  # (N * 3)
        face_image: ints,  # (N)
        rows: ints,  # (N * 2)
        curve: floats,
        starts: ints,  # (N) first fragment of each face
        ends: ints,  # (N) past its last one
        num_faces: ti.i32,
        height: ti.i32,
        width: ti.i32,
        # out
        face_out: ints,  # (F)
        pixel_out: ints,  # (F)
    ):
        for face in range(num_faces):
            v, left, right, _, normal, _, _, inverse = geo.triangle(points, faces, face)
            at = starts[face]
            for row in range(rows[2 * face], rows[2 * face + 1]):
                begin, end = geo.row_span(
                    v, left, right, normal, inverse, row + real(0.5), curve[1], width
                )
                base = (face_image[face] * height + row) * width
                for column in range(begin, end):
                    # The other kernel may have rounded a span otherwise: never write past the end.
                    if at < ends[face]:
                        face_out[at] = face
                        pixel_out[at] = base + column
                        at += 1

    return SimpleNamespace(
        count_fragments=Direct(count_fragments), list_fragments=Direct(list_fragments)
    )
