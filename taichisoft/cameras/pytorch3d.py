"""Cameras of PyTorch3D: x left, y up, z forward; row vectors; NDC in halves of the shorter side.

After its notes on cameras: ``view = world @ R + T``; ``x = fx X / Z + px`` (orthographic: ``fx X + px``), and
with s the shorter side of the image, ``x_screen = width / 2 - s / 2 x_ndc``, likewise y with the height.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from taichisoft.base.checks import check_rotation, check_tensor, check_type
from taichisoft.cameras.construction import (
    Matrices,
    as_batch,
    axis_aligned_intrinsics,
    check_positive,
    check_undistorted,
    focal_and_centre,
)
from taichisoft.cameras.model import CameraModel

# Its view axes in those of this library, and the way back.
_FLIP = (-1.0, -1.0, 1.0)


class PyTorch3DCamera(NamedTuple):
    """What ``PerspectiveCameras`` and ``OrthographicCameras`` take.

    R (B, 3, 3) and T (B, 3) for row vectors, ``focal_length`` (B, 2) and ``principal_point`` (B, 2), (x, y).
    """

    R: Tensor
    T: Tensor
    focal_length: Tensor
    principal_point: Tensor


def from_pytorch3d(
    R: Tensor,
    T: Tensor,
    focal_length: Tensor,
    principal_point: Tensor,
    image_size: tuple[int, int],
    in_ndc: bool,
) -> Matrices:
    """Return the matrices of `Camera.from_pytorch3d`."""
    check_type(in_ndc, "in_ndc", bool)
    rotation = as_batch(R, "R", 3, 3)
    check_rotation(rotation, "R")
    check_tensor(focal_length, "focal_length", (), ("B",), ("B", 1), ("B", 2))
    check_positive(focal_length, "focal_length")
    per_axis = focal_length.ndim == 2
    focal = (focal_length if per_axis else focal_length.reshape(-1, 1)).expand(-1, 2)
    centre = as_batch(principal_point, "principal_point", 2)
    if in_ndc:
        unit, middle = _ndc(centre, image_size)
        focal, centre = focal * unit, middle - centre * unit
    flip = rotation.new_tensor(_FLIP)
    translation = as_batch(T, "T", 3) * flip
    return rotation.mT * flip[:, None], translation, axis_aligned_intrinsics(focal, centre)


def to_pytorch3d(camera: CameraModel, in_ndc: bool) -> PyTorch3DCamera:
    """Return the parameters of `Camera.to_pytorch3d`."""
    check_undistorted(camera.distortion, "PyTorch3D")
    check_type(in_ndc, "in_ndc", bool)
    check_rotation(camera.rotation, "rotation")
    focal, centre = focal_and_centre(camera.intrinsics, "PyTorch3D")
    if in_ndc:
        unit, middle = _ndc(centre, camera.image_size)
        focal, centre = focal / unit, (middle - centre) / unit
    flip = camera.rotation.new_tensor(_FLIP)
    return PyTorch3DCamera(
        (camera.rotation * flip[:, None]).mT, camera.translation * flip, focal, centre
    )


def _ndc(like: Tensor, image_size: tuple[int, int]) -> tuple[float, Tensor]:
    """Return the unit of NDC in pixels, and the middle of the image, (2,)."""
    height, width = image_size
    return min(height, width) / 2, like.new_tensor([width / 2, height / 2])
