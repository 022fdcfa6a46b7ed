"""Matrices of OpenGL: x right, y up, the camera looks along -z; clip coordinates, row 0 at the bottom.

After the chapter on coordinate transformations of the OpenGL specification, with rows counted from the top:
``clip = P @ eye``, ``ndc = clip[:3] / clip[3]``, ``x_pixel = width (1 + ndc_x) / 2`` and
``y_pixel = height (1 - ndc_y) / 2``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from taichisoft.base.checks import check_number, check_rotation
from taichisoft.base.transforms import beneath
from taichisoft.cameras.construction import (
    Matrices,
    as_batch,
    check_row,
    check_undistorted,
    completed,
)
from taichisoft.cameras.model import CameraModel

# What a projection may differ from its form by: rounding of what was multiplied in float32.
_TOLERANCE = 1e-5


class OpenGLCamera(NamedTuple):
    """What `Camera.from_opengl` takes: view and projection matrices, (B, 4, 4) each."""

    view: Tensor
    projection: Tensor


def from_opengl(
    view: Tensor, projection: Tensor, image_size: tuple[int, int], near: float | None
) -> tuple[Matrices, bool, float]:
    """Return the matrices of `Camera.from_opengl`, whether they are perspective, and the near depth."""
    view, projection = as_batch(view, "view", 4, 4), as_batch(projection, "projection", 4, 4)
    height, width = image_size
    check_row(view[:, 3], (0.0, 0.0, 0.0, 1.0), "the last row of view", _TOLERANCE)
    check_rotation(view[:, :3, :3], "view[:3, :3]")
    perspective = bool(beneath(projection[:, 3, 2] != 0).any())
    _check_projection(projection, perspective)
    flip = view.new_tensor([1.0, -1.0, -1.0])
    # To the axes of this library, in which the depth is positive and y points down.
    plane = projection[:, :2, :3] * flip
    centre = plane[:, :, 2] if perspective else projection[:, :2, 3]
    to_pixels = view.new_tensor([width / 2, -height / 2])
    intrinsics = torch.cat(
        [plane[:, :, :2], centre[..., None] + view.new_tensor([[1.0], [-1.0]])], 2
    )
    intrinsics = completed(intrinsics * to_pixels[:, None])
    if near is None:
        near = _near_of(projection.detach(), perspective)
    rotation, translation = view[:, :3, :3] * flip[:, None], view[:, :3, 3] * flip
    return (rotation, translation, intrinsics), perspective, near


def to_opengl(camera: CameraModel, far: float) -> OpenGLCamera:
    """Return the matrices of `Camera.to_opengl`."""
    check_undistorted(camera.distortion, "OpenGL")
    check_rotation(camera.rotation, "rotation")
    near = camera.near
    if not (camera.perspective and far == math.inf):
        far = check_number(far, "far", above=0.0 if near == -math.inf else near)
    if near == -math.inf:
        # Nothing is cut: the depths are those on either side of the camera.
        near = -far
    height, width = camera.image_size
    flip = camera.rotation.new_tensor([1.0, -1.0, -1.0])
    intrinsics = completed(camera.intrinsics[:, :2])
    to_ndc = intrinsics.new_tensor([[2 / width], [-2 / height]])
    plane = intrinsics[:, :2] * to_ndc - intrinsics.new_tensor([[0, 0, 1.0], [0, 0, -1.0]])
    empty = torch.zeros_like(plane[..., :1])
    columns = [plane, empty] if camera.perspective else [plane[..., :2], empty, plane[..., 2:]]
    top = torch.cat(columns, 2) * intrinsics.new_tensor([1.0, -1.0, -1.0, 1.0])
    bottom = intrinsics.new_tensor(_depth_rows(camera.perspective, near, far))
    view = torch.cat([camera.rotation, camera.translation[..., None]], 2) * flip[:, None]
    projection = torch.cat([top, bottom.expand(len(camera), 2, 4)], 1)
    return OpenGLCamera(completed(view), projection)


def _check_projection(projection: Tensor, perspective: bool) -> None:
    last = (0.0, 0.0, -1.0, 0.0) if perspective else (0.0, 0.0, 0.0, 1.0)
    check_row(projection[:, 3], last, "the last row of projection", _TOLERANCE)
    unused = 3 if perspective else 2
    check_row(projection[:, :2, unused], (0.0, 0.0), f"projection[:2, {unused}]", _TOLERANCE)
    scales = beneath(projection.detach()[:, [0, 1], [0, 1]])
    if not bool((scales > 0).all()):
        raise ValueError(
            f"projection must not mirror: projection[0, 0] and [1, 1] must be positive, "
            f"got {scales.tolist()}"
        )


def _near_of(projection: Tensor, perspective: bool) -> float:
    """Return the depth that is mapped to -1."""
    slope, offset = projection[:, 2, 2], projection[:, 2, 3]
    nears = beneath(offset / (slope - 1) if perspective else (1 + offset) / slope)
    near = float(nears.flatten()[0])
    usable = math.isfinite(near) and (near > 0 or not perspective)
    if not usable or float((nears - near).abs().max()) > _TOLERANCE * abs(near):
        raise ValueError(
            f"near must be given if projection does not map one positive depth to -1 for the whole "
            f"batch, got a projection with near {nears.tolist()}"
        )
    return near


def _depth_rows(perspective: bool, near: float, far: float) -> list[list[float]]:
    """Return the last two rows of a projection."""
    if not perspective:
        slope = -2 / (far - near)
        return [[0, 0, slope, -(far + near) / (far - near)], [0, 0, 0, 1]]
    ratio = near / far
    return [[0, 0, -(1 + ratio) / (1 - ratio), -2 * near / (1 - ratio)], [0, 0, -1, 0]]
