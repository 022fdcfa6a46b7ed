"""OpenCV: x right, y down, z forward as here; K in pixels, with the first pixel's centre at 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from taichisoft.base.checks import check_number
from taichisoft.cameras.construction import (
    Values,
    as_batch,
    as_tensors,
    as_translation,
    broadcast,
    check_intrinsics,
    check_rotation,
)
from taichisoft.cameras.conventions import check_perspective, own_intrinsics

if TYPE_CHECKING:
    from taichisoft.cameras.camera import Camera


class OpenCVCamera(NamedTuple):
    """What `Camera.from_opencv` takes: K (B, 3, 3), R (B, 3, 3) and t (B, 3)."""

    K: Tensor
    R: Tensor
    t: Tensor


def from_opencv(
    cls: type[Camera],
    K: Values,
    R: Values,
    t: Values,
    image_size: tuple[int, int],
    near: float = 0.01,
    *,
    pixel_center: float = 0.5,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Camera:
    """Perspective cameras from the matrices of OpenCV.

    Parameters
    ----------
    K : (3, 3) or (B, 3, 3)
        Intrinsics in pixels, ``[[fx, skew, cx], [0, fy, cy], [0, 0, 1]]``, with positive
        fx and fy. Lens distortion is not modelled: undistort the images first.
    R : (3, 3) or (B, 3, 3)
        Rotation, world to camera (a Rodrigues vector goes through ``cv2.Rodrigues``).
    t : (3,), (3, 1), (B, 3) or (B, 3, 1)
        Translation, world to camera.
    image_size : (int, int)
        Height and width in pixels.
    near : float
        Depth in front of which nothing is drawn, positive.
    pixel_center : float
        The coordinate that K gives to the centre of the first pixel, 0.5 as in this library
        by default. OpenCV itself, hence ``cv2.calibrateCamera``, puts it at 0: pass 0.0 for
        such a K, and the principal point is moved by ``0.5 - pixel_center``.
    dtype, device : optional
        As for `look_at`.

    Notes
    -----
    Differentiable in K, R and t. Batch sizes must be equal or 1.

    Raises
    ------
    TypeError, ValueError
        A bad argument, such as an R that is no rotation (to within 1e-3) or mirrors.
    """
    tensors = as_tensors({"K": K, "R": R, "t": t}, dtype, device)
    intrinsics = as_batch(tensors["K"], "K", 3, 3)
    rotation = as_batch(tensors["R"], "R", 3, 3)
    check_intrinsics(intrinsics)
    check_rotation(rotation, "R")
    intrinsics = intrinsics + _offset(intrinsics, 0.5 - check_number(pixel_center, "pixel_center"))
    translation = as_translation(tensors["t"])
    return broadcast(cls, rotation, translation, intrinsics, image_size, True, near)


def to_opencv(self: Camera, *, pixel_center: float = 0.5) -> OpenCVCamera:
    """Return K, R and t as OpenCV has them, the way back from `from_opencv`. Differentiable.

    Parameters
    ----------
    pixel_center : float
        The coordinate that K is to give to the centre of the first pixel; 0.0 for ``cv2.projectPoints``.

    Raises
    ------
    ValueError
        An orthographic camera, or one whose ``rotation`` is none.
    """
    check_perspective(self, "OpenCV")
    check_rotation(self.rotation, "rotation")
    intrinsics = own_intrinsics(self)
    offset = _offset(intrinsics, check_number(pixel_center, "pixel_center") - 0.5)
    return OpenCVCamera(intrinsics + offset, self.rotation, self.translation)


def _offset(intrinsics: Tensor, amount: float) -> Tensor:
    """Return a (3, 3) matrix that moves the principal point when it is added to K."""
    offset = intrinsics.new_zeros(3, 3)
    offset[:2, 2] = amount
    return offset
