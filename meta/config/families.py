"""The task families of a run, and how many of their problems make an outer step.

Training and evaluation both build them here, so that held-out problems differ from those learned from in
their meshes and seeds, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from meta.config.training import TrainSettings
from tasks import (
    MeshSplit,
    OcclusionFamily,
    PoseFamily,
    Shaded,
    Shape2DFamily,
    Shape3DFamily,
    Silhouette,
    TaskFamily,
    default_meshes,
    load_meshes,
)


def build_families(settings: TrainSettings) -> list[TaskFamily]:
    """Return the families that the settings name, in that order.

    Raises
    ------
    FileNotFoundError, ValueError
        From `tasks.load_meshes`, if `settings.meshes` names files.
    """
    meshes = load_meshes(settings.meshes) if settings.meshes else default_meshes()
    return [FAMILIES[name](settings, meshes) for name in settings.families]


def problem_counts(settings: TrainSettings) -> dict[str, int]:
    """Return how many problems of each family an outer step solves, by family name."""
    return {name: getattr(settings, f"{name}_problems") for name in settings.families}


def _pose(settings: TrainSettings, meshes: MeshSplit) -> PoseFamily:
    return PoseFamily(
        image_size=_size(settings),
        start_angle=settings.pose_start,
        meshes=meshes,
        image=Shaded() if settings.pose_shaded else Silhouette(),
    )


def _shape3d(settings: TrainSettings, meshes: MeshSplit) -> Shape3DFamily:
    return Shape3DFamily(
        image_size=_size(settings),
        views=settings.shape3d_views,
        subdivisions=settings.shape3d_subdivisions,
        meshes=meshes,
    )


def _shape2d(settings: TrainSettings, meshes: MeshSplit) -> Shape2DFamily:
    return Shape2DFamily(
        image_size=_size(settings),
        triangles=settings.shape2d_triangles,
        displacement=settings.shape2d_displacement,
    )


def _occlusion(settings: TrainSettings, meshes: MeshSplit) -> OcclusionFamily:
    return OcclusionFamily(
        image_size=_size(settings),
        planes=settings.occlusion_planes,
        displacement=settings.occlusion_displacement,
    )


def _size(settings: TrainSettings) -> tuple[int, int]:
    return (settings.image_size, settings.image_size)


FAMILIES: dict[str, Callable[[TrainSettings, MeshSplit], TaskFamily]] = {
    "pose": _pose,
    "shape3d": _shape3d,
    "shape2d": _shape2d,
    "occlusion": _occlusion,
}
