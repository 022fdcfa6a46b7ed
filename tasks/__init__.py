"""Inverse-rendering problems to learn a softness from, and to test it on. No learning code."""

from types import MappingProxyType

from tasks.base import Split, Task, TaskFamily, Unknowns
from tasks.look_at_pose import LookAtPoseFamily, LookAtPoseTask
from tasks.meshes import MeshSplit, default_meshes, load_meshes
from tasks.occlusion import OcclusionFamily, OcclusionTask
from tasks.pose import FAR_START, MIDDLE_START, NEAR_START, PoseFamily, PoseTask
from tasks.pose_image import PoseImage, Shaded, Silhouette
from tasks.shape2d import Shape2DFamily, Shape2DTask
from tasks.shape3d import Shape3DFamily, Shape3DTask

FAMILIES: MappingProxyType[str, type[TaskFamily]] = MappingProxyType(
    {
        "pose": PoseFamily,
        "shape2d": Shape2DFamily,
        "shape3d": Shape3DFamily,
        "occlusion": OcclusionFamily,
    }
)
"""The families by name. Called without arguments, each has its usual settings."""

__all__ = [
    "FAMILIES",
    "FAR_START",
    "MIDDLE_START",
    "NEAR_START",
    "LookAtPoseFamily",
    "LookAtPoseTask",
    "MeshSplit",
    "OcclusionFamily",
    "OcclusionTask",
    "PoseFamily",
    "PoseImage",
    "PoseTask",
    "Shaded",
    "Shape2DFamily",
    "Shape2DTask",
    "Shape3DFamily",
    "Shape3DTask",
    "Silhouette",
    "Split",
    "Task",
    "TaskFamily",
    "Unknowns",
    "default_meshes",
    "load_meshes",
]
