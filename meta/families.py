"""The task families of a run, and how many of their problems make an outer step.

Training and evaluation both build them here, so that held-out problems differ from those learned from in
their meshes and seeds, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from meta.config import TrainSettings
from tasks import MeshSplit, PoseFamily, Shape3DFamily, TaskFamily, default_meshes, load_meshes


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
    counts = {"pose": settings.problems, "shape3d": settings.shape_problems}
    return {name: counts[name] for name in settings.families}


def _pose(settings: TrainSettings, meshes: MeshSplit) -> PoseFamily:
    size = (settings.image_size, settings.image_size)
    return PoseFamily(image_size=size, start_angle=settings.pose_start, meshes=meshes)


def _shape3d(settings: TrainSettings, meshes: MeshSplit) -> Shape3DFamily:
    return Shape3DFamily(
        image_size=(settings.image_size, settings.image_size),
        views=settings.shape_views,
        subdivisions=settings.shape_subdivisions,
        meshes=meshes,
    )


FAMILIES: dict[str, Callable[[TrainSettings, MeshSplit], TaskFamily]] = {
    "pose": _pose,
    "shape3d": _shape3d,
}
