"""OpenGL: x right, y up, the camera looks along -z; clip coordinates, the viewport's row 0 at the bottom.

After the chapter on coordinate transformations of the OpenGL specification, with rows counted from the top:
``clip = P @ eye``, ``ndc = clip[:3] / clip[3]``, ``x_pixel = width (1 + ndc_x) / 2`` and
``y_pixel = height (1 - ndc_y) / 2``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from taichisoft.base.checks import check_image_size, check_number
from taichisoft.cameras.construction import Values, as_batch, as_tensors, broadcast, check_rotation
from taichisoft.cameras.conventions import check_row, own_intrinsics

if TYPE_CHECKING:
    from taichisoft.cameras.camera import Camera

# What a projection may differ from its form by: rounding of what was multiplied in float32.
_TOLERANCE = 1e-5


class OpenGLCamera(NamedTuple):
    """What `Camera.from_opengl` takes: view and projection matrices, (B, 4, 4) each."""

    view: Tensor
    projection: Tensor


def from_opengl(
    cls: type[Camera],
    view: Values,
    projection: Values,
    image_size: tuple[int, int],
    near: float | None = None,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Camera:
    """Cameras from the matrices of OpenGL: those of ``glFrustum``, ``glOrtho``, ``gluPerspective``, glm, ...

    Parameters
    ----------
    view : (4, 4) or (B, 4, 4)
        World to eye, for column vectors (``eye = view @ world``); a rotation and a translation. The
        camera looks along -z, y is up. The inverse of a camera's pose, as trimesh and glTF have it.
    projection : (4, 4) or (B, 4, 4)
        Eye to clip coordinates, perspective (last row ``(0, 0, -1, 0)``) or orthographic (last row
        ``(0, 0, 0, 1)``). Frusta may be asymmetric, pixels oblong or sheared.
    image_size : (int, int)
        Height and width of the viewport in pixels.
    near : float, optional
        Depth in front of which nothing is drawn. By default that of the projection, if it maps near and far
        to -1 and 1 as OpenGL does; for other ranges (0 to 1, reversed) it must be given. The far plane is
        not used: nothing is too far to be drawn.
    dtype, device : optional
        As for `look_at`.

    Notes
    -----
    Differentiable in view and projection, but for `near`. Batch sizes must be equal or 1.

    Raises
    ------
    TypeError, ValueError
        A bad argument, such as a view that scales or mirrors, or a projection that mirrors, is neither
        perspective nor orthographic, or is not so in the same way for the whole batch.
    """
    tensors = as_tensors({"view": view, "projection": projection}, dtype, device)
    view, projection = (as_batch(tensors[name], name, 4, 4) for name in tensors)
    height, width = check_image_size(image_size)
    check_row(view[:, 3], (0.0, 0.0, 0.0, 1.0), "the last row of view", _TOLERANCE)
    check_rotation(view[:, :3, :3], "view[:3, :3]")
    perspective = bool((projection[:, 3, 2] != 0).any())
    _check_projection(projection, perspective)
    flip = view.new_tensor([1.0, -1.0, -1.0])
    # To the axes of this library, in which the depth is positive and y points down.
    plane = projection[:, :2, :3] * flip
    centre = plane[:, :, 2] if perspective else projection[:, :2, 3]
    to_pixels = view.new_tensor([width / 2, -height / 2])
    intrinsics = torch.cat(
        [plane[:, :, :2], centre[..., None] + view.new_tensor([[1.0], [-1.0]])], 2
    )
    intrinsics = intrinsics * to_pixels[:, None]
    intrinsics = torch.cat(
        [intrinsics, view.new_tensor([[[0.0, 0.0, 1.0]]]).expand(len(projection), 1, 3)], 1
    )
    if near is None:
        near = _near_of(projection.detach(), perspective)
    rotation, translation = view[:, :3, :3] * flip[:, None], view[:, :3, 3] * flip
    return broadcast(cls, rotation, translation, intrinsics, (height, width), perspective, near)


def to_opengl(self: Camera, *, far: float = math.inf) -> OpenGLCamera:
    """Return view and projection matrices of OpenGL, the way back from `from_opengl`. Differentiable.

    Parameters
    ----------
    far : float
        Depth that is mapped to 1; ``near`` is mapped to -1. Infinite only for perspective cameras.

    Raises
    ------
    ValueError
        ``far`` not greater than ``near``, or infinite for an orthographic camera; or a ``rotation`` that is
        none.
    """
    check_rotation(self.rotation, "rotation")
    if not (self.perspective and far == math.inf):
        far = check_number(far, "far", above=self.near)
    height, width = self.image_size
    flip = self.rotation.new_tensor([1.0, -1.0, -1.0])
    intrinsics = own_intrinsics(self)
    to_ndc = intrinsics.new_tensor([[2 / width], [-2 / height]])
    plane = intrinsics[:, :2] * to_ndc - intrinsics.new_tensor([[0, 0, 1.0], [0, 0, -1.0]])
    empty = torch.zeros_like(plane[..., :1])
    columns = [plane, empty] if self.perspective else [plane[..., :2], empty, plane[..., 2:]]
    top = torch.cat(columns, 2) * intrinsics.new_tensor([1.0, -1.0, -1.0, 1.0])
    bottom = intrinsics.new_tensor(_depth_rows(self.perspective, self.near, far))
    view = torch.cat([self.rotation, self.translation[..., None]], 2) * flip[:, None]
    last = view.new_tensor([[0.0, 0.0, 0.0, 1.0]]).expand(len(self), 1, 4)
    return OpenGLCamera(
        torch.cat([view, last], 1), torch.cat([top, bottom.expand(len(self), 2, 4)], 1)
    )


def _check_projection(projection: Tensor, perspective: bool) -> None:
    last = (0.0, 0.0, -1.0, 0.0) if perspective else (0.0, 0.0, 0.0, 1.0)
    check_row(projection[:, 3], last, "the last row of projection", _TOLERANCE)
    unused = 3 if perspective else 2
    check_row(projection[:, :2, unused], (0.0, 0.0), f"projection[:2, {unused}]", _TOLERANCE)
    scales = projection.detach()[:, [0, 1], [0, 1]]
    if not bool((scales > 0).all()):
        raise ValueError(
            f"projection must not mirror: projection[0, 0] and [1, 1] must be positive, "
            f"got {scales.tolist()}"
        )


def _near_of(projection: Tensor, perspective: bool) -> float:
    """Return the depth that is mapped to -1."""
    slope, offset = projection[:, 2, 2], projection[:, 2, 3]
    nears = offset / (slope - 1) if perspective else (1 + offset) / slope
    near = float(nears[0])
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
