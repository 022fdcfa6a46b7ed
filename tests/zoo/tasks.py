"""Small problems of every task family, shared by the tests of tasks."""

from __future__ import annotations

from taichisoft import FrontToBack, Gaussian, SoftRasterizer, shapes
from tasks import MeshSplit, OcclusionFamily, PoseFamily, Shaded, Shape2DFamily, Shape3DFamily

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
    "pose, shaded": PoseFamily(image_size=SIZE, meshes=SOME_MESHES, image=Shaded()),
    "occlusion": OcclusionFamily(image_size=SIZE, planes=3, displacement=(0.05, 0.1)),
    "shape2d": Shape2DFamily(image_size=SIZE, triangles=40),
    "shape3d": Shape3DFamily(image_size=SIZE, meshes=SOME_MESHES, views=4, subdivisions=1),
}


def soft() -> SoftRasterizer:
    # An order as wide as the gaps between planes, which is what their problem is about.
    return SoftRasterizer(Gaussian(0.5), occlusion=FrontToBack(gamma=0.5))
