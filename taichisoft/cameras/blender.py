"""Blender: a pose, a lens in millimetres before a sensor of which one side is fitted to the image.

The camera looks along its -z, y is up. The numbers are those of ``bpy.types.Camera`` and
``bpy.types.RenderSettings``; how they make a picture is written down in Blender's source,
``BKE_camera_params_compute_viewplane`` (blenkernel/intern/camera.cc).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from taichisoft.base.checks import check_image_size, check_number, check_type
from taichisoft.base.precision import full_precision
from taichisoft.cameras.construction import (
    Values,
    as_batch,
    as_tensors,
    broadcast,
    check_positive,
    check_rotation,
    unit,
)
from taichisoft.cameras.conventions import (
    as_scalars,
    axis_aligned_intrinsics,
    check_row,
    focal_and_centre,
)

if TYPE_CHECKING:
    from taichisoft.cameras.camera import Camera


class SensorFit(Enum):
    """Which side of the sensor is that side of the image: ``SensorFit(camera.data.sensor_fit)``.

    AUTO fits ``sensor_width`` to the longer side of the image.
    """

    AUTO = "AUTO"
    HORIZONTAL = "HORIZONTAL"
    VERTICAL = "VERTICAL"


class BlenderCamera(NamedTuple):
    """What `Camera.from_blender` takes: ``matrix_world`` (B, 4, 4), numbers (B,), and how the sensor fits.

    ``lens`` is that of a perspective camera, ``ortho_scale`` that of an orthographic one; the other is None.
    """

    matrix_world: Tensor
    lens: Tensor | None
    sensor_width: float
    sensor_fit: SensorFit
    shift_x: Tensor
    shift_y: Tensor
    pixel_aspect_x: Tensor
    pixel_aspect_y: Tensor
    ortho_scale: Tensor | None


def from_blender(
    cls: type[Camera],
    matrix_world: Values,
    lens: Values | None = None,
    *,
    image_size: tuple[int, int],
    sensor_width: Values = 36.0,
    sensor_height: Values = 24.0,
    sensor_fit: SensorFit = SensorFit.AUTO,
    shift_x: Values = 0.0,
    shift_y: Values = 0.0,
    pixel_aspect_x: Values = 1.0,
    pixel_aspect_y: Values = 1.0,
    ortho_scale: Values | None = None,
    near: float = 0.01,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Camera:
    """Cameras from the settings of Blender, for a mesh in Blender's world coordinates (z up).

    Parameters
    ----------
    matrix_world : (4, 4) or (B, 4, 4)
        Pose of the camera object, camera to world, for column vectors. Its scale is ignored, as Blender does.
    lens : scalar or (B,), optional
        Focal length in millimetres, positive, of a perspective camera.
    image_size : (int, int)
        Height and width in pixels: resolution_y and resolution_x times resolution_percentage.
    sensor_width, sensor_height : scalar or (B,)
        In millimetres, positive. The height matters only if it is fitted.
    sensor_fit : SensorFit
        Which of them is fitted to the image.
    shift_x, shift_y : scalar or (B,)
        Shift of the lens to the right and up, in units of the side of the image that is fitted.
    pixel_aspect_x, pixel_aspect_y : scalar or (B,)
        Width and height of a pixel, up to a common factor; positive.
    ortho_scale : scalar or (B,), optional
        Instead of the lens: scene units that the side that is fitted shows, of an orthographic camera.
    near : float
        Depth in front of which nothing is drawn (clip_start); positive if perspective.
    dtype, device : optional
        As for `look_at`.

    Notes
    -----
    Differentiable in every argument that is a tensor. Batch sizes must be equal or 1.

    Raises
    ------
    TypeError, ValueError
        A bad argument, such as a matrix that shears or mirrors, or both or none of lens and ortho_scale.
    """
    either = {"lens": lens, "ortho_scale": ortho_scale}
    zoom = {name: value for name, value in either.items() if value is not None}
    if len(zoom) != 1:
        raise ValueError("either lens or ortho_scale must be given, got both or none of them")
    positive = {
        **zoom,
        "sensor_width": sensor_width,
        "sensor_height": sensor_height,
        "pixel_aspect_x": pixel_aspect_x,
        "pixel_aspect_y": pixel_aspect_y,
    }
    shifts = {"shift_x": shift_x, "shift_y": shift_y}
    tensors = as_tensors({"matrix_world": matrix_world, **positive, **shifts}, dtype, device)
    matrix = as_batch(tensors.pop("matrix_world"), "matrix_world", 4, 4)
    for name in positive:
        check_positive(tensors[name], name)
    check_type(sensor_fit, "sensor_fit", SensorFit)
    height, width = check_image_size(image_size)
    x = as_scalars(tensors)

    # One unit of this plane is the width of a pixel: y counts in pixels of its own height.
    tall = x["pixel_aspect_y"] / x["pixel_aspect_x"]
    fitted = _fitted_side(sensor_fit, width, tall * height)
    if ortho_scale is None:
        vertical = sensor_fit is SensorFit.VERTICAL
        focal = fitted * x["lens"] / (x["sensor_height"] if vertical else x["sensor_width"])
    else:
        focal = fitted / x["ortho_scale"]
    center_x = width / 2 - x["shift_x"] * fitted
    center_y = height / 2 + x["shift_y"] * fitted / tall
    intrinsics = axis_aligned_intrinsics(
        torch.stack([focal, focal / tall], -1), torch.stack([center_x, center_y], -1)
    )
    rotation, translation = _view(matrix)
    perspective = ortho_scale is None
    return broadcast(cls, rotation, translation, intrinsics, (height, width), perspective, near)


def to_blender(self: Camera, *, sensor_width: float = 36.0) -> BlenderCamera:
    """Return settings of Blender, the way back from `from_blender`. Differentiable.

    ``camera.to_blender()._asdict()`` are arguments of `from_blender`. The sensor is fitted HORIZONTAL; the
    smaller pixel aspect is 1, since Blender takes none below. Also set clip_start to `near`, and
    resolution_y and resolution_x to `image_size`.

    Parameters
    ----------
    sensor_width : float
        In millimetres, positive.

    Raises
    ------
    ValueError
        A camera with skew, or whose ``rotation`` is none.
    """
    sensor_width = check_number(sensor_width, "sensor_width", above=0)
    check_rotation(self.rotation, "rotation")
    focal, centre = focal_and_centre(self, "Blender")
    height, width = self.image_size
    tall = focal[:, 0] / focal[:, 1]
    flip = self.rotation.new_tensor([1.0, -1.0, -1.0])
    pose = torch.cat([self.rotation.mT * flip, self.position[..., None]], 2)
    last = pose.new_tensor([[0.0, 0.0, 0.0, 1.0]]).expand(len(self), 1, 4)
    return BlenderCamera(
        matrix_world=torch.cat([pose, last], 1),
        lens=focal[:, 0] * sensor_width / width if self.perspective else None,
        sensor_width=sensor_width,
        sensor_fit=SensorFit.HORIZONTAL,
        shift_x=(width / 2 - centre[:, 0]) / width,
        shift_y=(centre[:, 1] - height / 2) * tall / width,
        pixel_aspect_x=tall.clamp(max=1).reciprocal(),
        pixel_aspect_y=tall.clamp(min=1),
        ortho_scale=None if self.perspective else width / focal[:, 0],
    )


def _fitted_side(sensor_fit: SensorFit, width: int, height: Tensor) -> Tensor:
    """Return the side of the image that a side of the sensor is fitted to, in widths of a pixel."""
    across = torch.full_like(height, width)
    if sensor_fit is SensorFit.AUTO:
        return torch.where(height.detach() > width, height, across)
    return across if sensor_fit is SensorFit.HORIZONTAL else height


@full_precision
def _view(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return rotation and translation, world to camera, of poses."""
    check_row(matrix[:, 3], (0.0, 0.0, 0.0, 1.0), "the last row of matrix_world", 1e-5)
    axes = matrix[:, :3, :3].mT
    if bool((axes == 0).all(-1).any()):
        raise ValueError("matrix_world must not scale an axis to zero")
    rotation = unit(axes)
    check_rotation(rotation, "matrix_world without its scale")
    rotation = rotation * matrix.new_tensor([1.0, -1.0, -1.0])[:, None]
    return rotation, -(rotation @ matrix[:, :3, 3:])[..., 0]
