"""Inverse-rendering problems to learn a softness from, and to test it on. No learning of a softness."""

from types import MappingProxyType

from tasks import families
from tasks.base import Split as Split
from tasks.base import Task as Task
from tasks.base import TaskFamily as TaskFamily
from tasks.base import Unknowns as Unknowns
from tasks.families import *  # noqa: F403
from tasks.faults import Bar as Bar
from tasks.faults import Fault as Fault
from tasks.faults import FlippedPixels as FlippedPixels
from tasks.faults import Holes as Holes
from tasks.look_at_pose import LookAtPoseFamily as LookAtPoseFamily
from tasks.meshes import MeshSplit as MeshSplit
from tasks.meshes import default_meshes as default_meshes
from tasks.meshes import load_meshes as load_meshes
from tasks.pose import FAR_START as FAR_START
from tasks.pose import MIDDLE_START as MIDDLE_START
from tasks.pose import NEAR_START as NEAR_START
from tasks.pose_image import PoseImage as PoseImage
from tasks.pose_image import Shaded as Shaded
from tasks.pose_image import Silhouette as Silhouette

FAMILIES: MappingProxyType[str, type[TaskFamily]] = MappingProxyType(
    {kind.name: kind for kind in vars(families).values() if isinstance(kind, type)}
)
"""The families by name. Called without arguments, each has its usual settings."""
