"""Inverse-rendering problems to learn a softness from, and to test it on. No learning code."""

from types import MappingProxyType

from tasks.base import Split, Task, TaskFamily, Unknowns
from tasks.meshes import MeshSplit, default_meshes, load_meshes
from tasks.pose import FAR_START, MIDDLE_START, NEAR_START, PoseFamily, PoseTask
from tasks.shape3d import Shape3DFamily, Shape3DTask

FAMILIES: MappingProxyType[str, type[TaskFamily]] = MappingProxyType(
    {"pose": PoseFamily, "shape3d": Shape3DFamily}
)
"""The families by name. Called without arguments, each has its usual settings."""

__all__ = [
    "FAMILIES",
    "FAR_START",
    "MIDDLE_START",
    "NEAR_START",
    "MeshSplit",
    "PoseFamily",
    "PoseTask",
    "Shape3DFamily",
    "Shape3DTask",
    "Split",
    "Task",
    "TaskFamily",
    "Unknowns",
    "default_meshes",
    "load_meshes",
]
