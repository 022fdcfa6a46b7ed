"""Inverse-rendering problems to learn a softness from, and to test it on. No learning code."""

from types import MappingProxyType

from tasks.base import Split as Split
from tasks.base import Task as Task
from tasks.base import TaskFamily as TaskFamily
from tasks.base import Unknowns as Unknowns
from tasks.look_at_pose import LookAtPoseFamily as LookAtPoseFamily
from tasks.look_at_pose import LookAtPoseTask as LookAtPoseTask
from tasks.meshes import MeshSplit as MeshSplit
from tasks.meshes import default_meshes as default_meshes
from tasks.meshes import load_meshes as load_meshes
from tasks.occlusion import OcclusionFamily as OcclusionFamily
from tasks.occlusion import OcclusionTask as OcclusionTask
from tasks.pose import FAR_START as FAR_START
from tasks.pose import MIDDLE_START as MIDDLE_START
from tasks.pose import NEAR_START as NEAR_START
from tasks.pose import PoseFamily as PoseFamily
from tasks.pose import PoseTask as PoseTask
from tasks.pose_image import PoseImage as PoseImage
from tasks.pose_image import Shaded as Shaded
from tasks.pose_image import Silhouette as Silhouette
from tasks.shape2d import Shape2DFamily as Shape2DFamily
from tasks.shape2d import Shape2DTask as Shape2DTask
from tasks.shape3d import Shape3DFamily as Shape3DFamily
from tasks.shape3d import Shape3DTask as Shape3DTask

FAMILIES: MappingProxyType[str, type[TaskFamily]] = MappingProxyType(
    {
        family.name: family
        for family in (
            PoseFamily,
            Shape2DFamily,
            Shape3DFamily,
            OcclusionFamily,
        )
    }
)
"""The families by name. Called without arguments, each has its usual settings."""
