"""Kernels of a whole silhouette on the CPU: from vertices and cameras to an image, and back.

One launch has several loops, one after the other. Between launches torch would run a dozen small operations,
which take longer than the loops of a small scene.
"""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.bundles import Corners
from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, vector_kernel
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.vector_accumulate import Accumulation, accumulate_functions
from taichisoft.engine.kernels.vector_adjoint import (
    AdjointArrays,
    FoundGradients,
    adjoint_functions,
)


class Views(NamedTuple):
    """Vertices, and the cameras that they are seen by."""

    perspective: Constant
    vertices: Floats  # (V * 3), or (B * V * 3)
    rotation: Floats  # (9), or (B * 9)
    translation: Floats  # (3), or (B * 3)
    intrinsics: Floats  # (9), or (B * 9)
    near: float
    images: int  # B
    count: int  # V
    own_vertices: int  # 1 if each image has its own, else 0
    own_camera: int  # 1 if each image has its own, else 0


class Fans(NamedTuple):
    """The corners of faces that meet at each point; the same in groups of points and faces."""

    start: Ints  # (points of a group + 1)
    corners: Ints  # (faces of a group * 3) three times the face, plus the number of its corner
    points: int  # of a group
    faces: int  # of a group


class Launches(NamedTuple):
    """How the loops over points, rows of blocks or groups of faces, and bands or faces are shared."""

    points: Launch
    first: Launch
    second: Launch


class StepGradients(NamedTuple):
    """What the way back finds besides."""

    by_pixels: Floats  # (B * V * 2) gradient of x and y of the projected points
    by_view: Floats  # (B * V * 3) gradient of the points in camera coordinates
    by_vertices: Floats  # of the shape of the vertices


@cache
def silhouette_kernels(real):
    """Compile-on-first-use kernels for a float type."""
    forward = accumulate_functions(real)
    backward = adjoint_functions(real)
    vec3 = ti.types.vector(3, real)
    integer, without_sign = (ti.i32, 2**31 - 1) if real is ti.f32 else (ti.i64, 2**63 - 1)

    @ti.func
    def size(x):
        """Return an integer that grows with the absolute value; those of infinity and NaN are the largest.

        Kernels are compiled as if there were no NaN: comparisons of them tell nothing.
        """
        return ti.bit_cast(x, integer) & integer(without_sign)

    @ti.func
    def in_view(views: ti.template(), at):
        """Return a point in camera coordinates, and the number of its camera."""
        image = at // views.count
        camera = views.own_camera * image
        v = 3 * (at - image * views.count + views.own_vertices * image * views.count)
        x = views.vertices[v]
        y = views.vertices[v + 1]
        z = views.vertices[v + 2]
        result = vec3(0.0)
        for c in ti.static(range(3)):
            r = 9 * camera + 3 * c
            rotated = views.rotation[r] * x + views.rotation[r + 1] * y + views.rotation[r + 2] * z
            result[c] = rotated + views.translation[3 * camera + c]
        return result, camera

    @ti.func
    def inverse_w(views: ti.template(), depth):
        result = real(1.0)
        if ti.static(views.perspective):
            result = 1 / ti.max(depth, views.near)
        return result

    @ti.func
    def project(
        views: ti.template(), at, limit, points_out: ti.template(), flag_out: ti.template()
    ):
        """Project a point; say so if it is not finite, beyond the limit or before the near plane."""
        point, camera = in_view(views, at)
        w = inverse_w(views, point[2])
        u = point[0] * w
        v = point[1] * w
        k = 9 * camera
        matrix = ti.static(views.intrinsics)
        px = matrix[k] * u + matrix[k + 1] * v + matrix[k + 2]
        py = matrix[k + 3] * u + matrix[k + 4] * v + matrix[k + 5]
        # Not so for a NaN.
        largest = ti.max(size(px), size(py), size(point[2]))
        if largest > size(limit) or point[2] < views.near:
            flag_out[0] = 1
        points_out[4 * at] = px
        points_out[4 * at + 1] = py
        points_out[4 * at + 2] = point[2]
        points_out[4 * at + 3] = w

    @vector_kernel(real)
    def render(
        serial: Constant,
        views: Views,
        limit: float,  # of what is drawn, in pixels and scene units
        corners: Corners,  # the points are written
        launches: Launches,  # over groups of faces, and over bands
        arrays: Accumulation,
        flag_out: Ints,  # (1) 1 if nothing was drawn, since a point is out of bounds; starts at 0
    ):
        over_points, over_faces, over_bands = ti.static(launches)
        if ti.static(serial):
            ti.loop_config(serialize=True)
        for slot in range(over_points.slots):
            if slot % over_points.stride == 0:
                worker = slot // over_points.stride
                workers = over_points.slots // over_points.stride
                points = views.images * views.count
                for at in range(points * worker // workers, points * (worker + 1) // workers):
                    project(views, at, limit, corners.points, flag_out)
        if ti.static(serial):
            ti.loop_config(serialize=True)
        for slot in range(over_faces.slots):
            if slot % over_faces.stride == 0 and flag_out[0] == 0:
                forward.set_up(
                    slot // over_faces.stride,
                    over_faces.slots // over_faces.stride,
                    corners,
                    arrays.curve.numbers[1],
                    views.near,
                    arrays.tiles,
                    arrays.faces,
                )
        if ti.static(serial):
            ti.loop_config(serialize=True)
        for slot in range(over_bands.slots):
            if slot % over_bands.stride == 0 and flag_out[0] == 0:
                worker = slot // over_bands.stride
                forward.accumulate(worker, over_bands.slots // over_bands.stride, arrays)

    @ti.func
    def gather(
        views: ti.template(),
        at,
        fans: ti.template(),
        slices,
        corners: ti.template(),
        gradients: ti.template(),
    ):
        """Add up the gradients of the corners at a point, and carry them into camera coordinates."""
        group = at // fans.points
        point = at - group * fans.points
        gx = real(0.0)
        gy = real(0.0)
        for j in range(fans.start[point], fans.start[point + 1]):
            corner = fans.corners[j]
            face = corner // 3
            first = 6 * (group * fans.faces + face) * slices + 2 * (corner - 3 * face)
            for part in range(slices):
                gx += corners[first + 6 * part]
                gy += corners[first + 6 * part + 1]
        gradients.by_pixels[2 * at] = gx
        gradients.by_pixels[2 * at + 1] = gy
        seen, camera = in_view(views, at)
        w = inverse_w(views, seen[2])
        k = 9 * camera
        matrix = ti.static(views.intrinsics)
        gu = (matrix[k] * gx + matrix[k + 3] * gy) * w
        gv = (matrix[k + 1] * gx + matrix[k + 4] * gy) * w
        gz = real(0.0)
        if ti.static(views.perspective):
            gz = -(gu * seen[0] + gv * seen[1]) * w
        gradients.by_view[3 * at] = gu
        gradients.by_view[3 * at + 1] = gv
        gradients.by_view[3 * at + 2] = gz

    @ti.func
    def into_vertex(views: ti.template(), at, gradients: ti.template()):
        """Add up the gradients of a vertex in all images that show it."""
        own = at // views.count
        v = at - own * views.count
        first = own
        last = own + 1
        if views.own_vertices == 0:
            first = 0
            last = views.images
        total = vec3(0.0)
        for image in range(first, last):
            g = 3 * (image * views.count + v)
            r = 9 * views.own_camera * image
            for row in ti.static(range(3)):
                for c in ti.static(range(3)):
                    total[c] += views.rotation[r + 3 * row + c] * gradients.by_view[g + row]
        for c in ti.static(range(3)):
            gradients.by_vertices[3 * at + c] = total[c]

    @vector_kernel(real)
    def pull_back(
        serial: Constant,
        views: Views,
        fans: Fans,
        launches: Launches,  # over rows of blocks, and over faces
        arrays: AdjointArrays,
        found_out: FoundGradients,
        gradients_out: StepGradients,
    ):
        over_points, over_rows, over_faces = ti.static(launches)
        if ti.static(serial):
            ti.loop_config(serialize=True)
        for slot in range(over_rows.slots):
            if slot % over_rows.stride == 0:
                worker = slot // over_rows.stride
                workers = over_rows.slots // over_rows.stride
                rows = arrays.tiles.images * arrays.tiles.rows
                for row in range(rows * worker // workers, rows * (worker + 1) // workers):
                    backward.tile(row, arrays)
        if ti.static(serial):
            ti.loop_config(serialize=True)
        for slot in range(over_faces.slots):
            if slot % over_faces.stride == 0:
                worker = slot // over_faces.stride
                workers = over_faces.slots // over_faces.stride
                backward.pull_back(worker, workers, arrays, found_out)
        if ti.static(serial):
            ti.loop_config(serialize=True)
        for slot in range(over_points.slots):
            if slot % over_points.stride == 0:
                worker = slot // over_points.stride
                workers = over_points.slots // over_points.stride
                points = views.images * views.count
                for at in range(points * worker // workers, points * (worker + 1) // workers):
                    gather(views, at, fans, arrays.faces.slices, found_out.corners, gradients_out)
        if ti.static(serial):
            ti.loop_config(serialize=True)
        for slot in range(over_points.slots):
            if slot % over_points.stride == 0:
                worker = slot // over_points.stride
                workers = over_points.slots // over_points.stride
                count = views.count * ti.select(views.own_vertices > 0, views.images, 1)
                for at in range(count * worker // workers, count * (worker + 1) // workers):
                    into_vertex(views, at, gradients_out)

    return SimpleNamespace(render=render, pull_back=pull_back)
