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
from taichisoft.cameras.distortion import SIZES
from taichisoft.cameras.model import CameraModel
from taichisoft.geometry.rotations import from_axis_angle


class OpenCVCamera(NamedTuple):
    """What `Camera.from_opencv` takes: K (B, 3, 3), R (B, 3, 3) and t (B, 3)."""

    K: Tensor
    R: Tensor
    t: Tensor


class DistortedOpenCVCamera(NamedTuple):
    """What `Camera.from_opencv` takes of a camera with a distortion, which is (B, 4), (B, 5) or (B, 8)."""

    K: Tensor
    R: Tensor
    t: Tensor
    distortion: Tensor


def from_opencv(K: Tensor, R: Tensor, t: Tensor, pixel_center: float) -> Matrices:
    """Return the matrices of `Camera.from_opencv`."""
    intrinsics = as_batch(K, "K", 3, 3)
    rotation = _as_rotation(R)
    check_intrinsics(intrinsics)
    check_rotation(rotation, "R")
    intrinsics = intrinsics + _offset(intrinsics, 0.5 - check_number(pixel_center, "pixel_center"))
    return rotation, as_translation(t), intrinsics


def distortion_of(given: Tensor) -> Tensor:
    """Return coefficients as (B, n), from any of the shapes that OpenCV users have."""
    shapes = [shape for n in SIZES for shape in ((n,), ("B", n), (n, 1))]
    check_tensor(given, "distortion", *shapes)
    column = given.ndim == 2 and given.shape[1] == 1
    return given.mT if column else given.reshape(-1, given.shape[-1])


def to_opencv(camera: CameraModel, pixel_center: float) -> OpenCVCamera | DistortedOpenCVCamera:
    """Return the matrices of `Camera.to_opencv`."""
    if not camera.perspective:
        raise ValueError("OpenCV has no orthographic cameras, got perspective=False")
    check_rotation(camera.rotation, "rotation")
    intrinsics = completed(camera.intrinsics[:, :2])
    offset = _offset(intrinsics, check_number(pixel_center, "pixel_center") - 0.5)
    matrices = intrinsics + offset, camera.rotation, camera.translation
    if camera.distortion is None:
        return OpenCVCamera(*matrices)
    return DistortedOpenCVCamera(*matrices, camera.distortion)


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
