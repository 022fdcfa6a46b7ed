"""PyTorch3D: x left, y up, z forward; row vectors; NDC whose unit is half the shorter side of the image.

After its notes on cameras: ``view = world @ R + T``; ``x = fx X / Z + px`` (orthographic: ``fx X + px``), and
with s the shorter side of the image, ``x_screen = width / 2 - s / 2 x_ndc``, likewise y with the height.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from taichisoft.base.checks import check_image_size, check_tensor, check_type
from taichisoft.cameras.construction import (
    Values,
    as_batch,
    as_tensors,
    broadcast,
    check_positive,
    check_rotation,
)
from taichisoft.cameras.conventions import axis_aligned_intrinsics, focal_and_centre

if TYPE_CHECKING:
    from taichisoft.cameras.camera import Camera

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
    cls: type[Camera],
    R: Values,
    T: Values,
    focal_length: Values = 1.0,
    principal_point: Values = (0.0, 0.0),
    *,
    image_size: tuple[int, int],
    in_ndc: bool = True,
    perspective: bool = True,
    near: float = 0.01,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Camera:
    """Cameras from the parameters of PyTorch3D's ``PerspectiveCameras`` or ``OrthographicCameras``.

    Parameters
    ----------
    R : (3, 3) or (B, 3, 3)
        Rotation, world to view, for row vectors: ``view = world @ R + T``.
    T : (3,) or (B, 3)
        Translation, world to view.
    focal_length : scalar, (B,), (B, 1) or (B, 2)
        One for both axes, or those of x and y; positive. Those of ``FoVPerspectiveCameras`` are
        ``(1 / (aspect_ratio tan(fov / 2)), 1 / tan(fov / 2))`` in NDC.
    principal_point : (2,) or (B, 2)
        (x, y). In NDC x grows to the left, y upwards, and 0 is the middle of the image; on the screen it
        is in pixels from the top left corner, and the default of PyTorch3D is that corner.
    image_size : (int, int)
        Height and width in pixels.
    in_ndc : bool
        Whether focal lengths and principal point are in NDC or in pixels, as in PyTorch3D.
    perspective : bool
        Whether they are those of ``PerspectiveCameras``, or of ``OrthographicCameras``.
    near : float
        Depth in front of which nothing is drawn; positive if perspective.
    dtype, device : optional
        As for `look_at`.

    Notes
    -----
    Differentiable in R, T, focal_length and principal_point. Batch sizes must be equal or 1.

    Raises
    ------
    TypeError, ValueError
        A bad argument, such as an R that is no rotation (to within 1e-3) or mirrors.
    """
    values = {"R": R, "T": T, "focal_length": focal_length, "principal_point": principal_point}
    tensors = as_tensors(values, dtype, device)
    size = check_image_size(image_size)
    check_type(in_ndc, "in_ndc", bool)
    rotation = as_batch(tensors["R"], "R", 3, 3)
    check_rotation(rotation, "R")
    focal = tensors["focal_length"]
    check_tensor(focal, "focal_length", (), ("B",), ("B", 1), ("B", 2))
    check_positive(focal, "focal_length")
    focal = (focal if focal.ndim == 2 else focal.reshape(-1, 1)).expand(-1, 2)
    centre = as_batch(tensors["principal_point"], "principal_point", 2)
    if in_ndc:
        unit, middle = _ndc(centre, size)
        focal, centre = focal * unit, middle - centre * unit
    flip = rotation.new_tensor(_FLIP)
    translation = as_batch(tensors["T"], "T", 3) * flip
    intrinsics = axis_aligned_intrinsics(focal, centre)
    return broadcast(
        cls, rotation.mT * flip[:, None], translation, intrinsics, size, perspective, near
    )


def to_pytorch3d(self: Camera, *, in_ndc: bool = True) -> PyTorch3DCamera:
    """Return the parameters of PyTorch3D's cameras, the way back from `from_pytorch3d`. Differentiable.

    They are those of ``PerspectiveCameras``, or of ``OrthographicCameras`` if `perspective` is False.

    Parameters
    ----------
    in_ndc : bool
        Whether focal lengths and principal point are to be in NDC or in pixels.

    Raises
    ------
    ValueError
        A camera with skew, or whose ``rotation`` is none.
    """
    check_type(in_ndc, "in_ndc", bool)
    check_rotation(self.rotation, "rotation")
    focal, centre = focal_and_centre(self, "PyTorch3D")
    if in_ndc:
        unit, middle = _ndc(centre, self.image_size)
        focal, centre = focal / unit, (middle - centre) / unit
    flip = self.rotation.new_tensor(_FLIP)
    return PyTorch3DCamera(
        (self.rotation * flip[:, None]).mT, self.translation * flip, focal, centre
    )


def _ndc(like: Tensor, image_size: tuple[int, int]) -> tuple[float, Tensor]:
    """Return the unit of NDC in pixels, and the middle of the image, (2,)."""
    height, width = image_size
    return min(height, width) / 2, like.new_tensor([width / 2, height / 2])
