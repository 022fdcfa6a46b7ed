"""Families of tasks that can be named, one line each."""

from tasks.occlusion import OcclusionFamily as OcclusionFamily
from tasks.pose import PoseFamily as PoseFamily
from tasks.shape2d import Shape2DFamily as Shape2DFamily
from tasks.shape3d import Shape3DFamily as Shape3DFamily
