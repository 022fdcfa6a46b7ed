"""Cameras of OpenCV: x right, y down, z forward as here; K in pixels, with the first pixel's centre at 0."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from taichisoft.base.checks import check_number, check_rotation, check_tensor
from taichisoft.cameras.construction import (
    Matrices,
    as_batch,
    as_translation,
    check_intrinsics,
    completed,
)
from taichisoft.cameras.model import CameraModel
from taichisoft.geometry.rotations import from_axis_angle


class OpenCVCamera(NamedTuple):
    """What `Camera.from_opencv` takes: K (B, 3, 3), R (B, 3, 3) and t (B, 3)."""

    K: Tensor
    R: Tensor
    t: Tensor


def from_opencv(K: Tensor, R: Tensor, t: Tensor, pixel_center: float) -> Matrices:
    """Return the matrices of `Camera.from_opencv`."""
    intrinsics = as_batch(K, "K", 3, 3)
    rotation = _as_rotation(R)
    check_intrinsics(intrinsics)
    check_rotation(rotation, "R")
    intrinsics = intrinsics + _offset(intrinsics, 0.5 - check_number(pixel_center, "pixel_center"))
    return rotation, as_translation(t), intrinsics


def to_opencv(camera: CameraModel, pixel_center: float) -> OpenCVCamera:
    """Return the matrices of `Camera.to_opencv`."""
    if not camera.perspective:
        raise ValueError("OpenCV has no orthographic cameras, got perspective=False")
    check_rotation(camera.rotation, "rotation")
    intrinsics = completed(camera.intrinsics[:, :2])
    offset = _offset(intrinsics, check_number(pixel_center, "pixel_center") - 0.5)
    return OpenCVCamera(intrinsics + offset, camera.rotation, camera.translation)


def _as_rotation(R: Tensor) -> Tensor:
    """Return rotations (B, 3, 3) from matrices or from Rodrigues vectors in the shapes of OpenCV."""
    check_tensor(R, "R", (3, 3), ("B", 3, 3), (3,), (3, 1), ("B", 3, 1))
    if R.shape[-2:] == (3, 3):
        return as_batch(R, "R", 3, 3)
    return from_axis_angle(R.reshape(-1, 3))


def _offset(intrinsics: Tensor, amount: float) -> Tensor:
    """Return a (3, 3) matrix that moves the principal point when it is added to K."""
    offset = intrinsics.new_zeros(3, 3)
    offset[:2, 2] = amount
    return offset
