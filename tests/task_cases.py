"""Small problems of every task family, shared by the tests of tasks."""

from __future__ import annotations

from taichisoft import Gaussian, SoftRasterizer, shapes
from tasks import MeshSplit, PoseFamily, Shape3DFamily

SIZE = (24, 32)
SOME_MESHES = MeshSplit(
    train={"chair": shapes.chair(), "bracket": shapes.bracket()},
    held_out={"key": shapes.key(), "hammer": shapes.hammer()},
)
CASES = {
    "pose": PoseFamily(image_size=SIZE, meshes=SOME_MESHES),
    "pose, known camera": PoseFamily(
        image_size=SIZE, meshes=SOME_MESHES, unknown_distance=False, unknown_fov=False
    ),
    "pose, far": PoseFamily(image_size=SIZE, meshes=SOME_MESHES, start_angle=(55.0, 75.0)),
    "shape3d": Shape3DFamily(image_size=SIZE, meshes=SOME_MESHES, views=4, subdivisions=1),
}


def soft() -> SoftRasterizer:
    return SoftRasterizer(Gaussian(0.5))
