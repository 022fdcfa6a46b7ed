"""Cameras of Blender: a pose, a lens in millimetres before a sensor of which one side is fitted to the image.

The camera looks along its -z, y is up. The numbers are those of ``bpy.types.Camera`` and
``bpy.types.RenderSettings``; how they make a picture is written down in Blender's source,
``BKE_camera_params_compute_viewplane`` (blenkernel/intern/camera.cc).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor

from taichisoft.base.checks import check_number, check_rotation, check_type
from taichisoft.base.precision import full_precision
from taichisoft.base.transforms import beneath
from taichisoft.cameras.construction import (
    Matrices,
    as_batch,
    as_scalars,
    axis_aligned_intrinsics,
    check_positive,
    check_row,
    check_undistorted,
    completed,
    focal_and_centre,
)
from taichisoft.cameras.model import CameraModel
from taichisoft.geometry.vectors import unit


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
    values: dict[str, Tensor], image_size: tuple[int, int], sensor_fit: SensorFit
) -> Matrices:
    """Return the matrices of `Camera.from_blender`, given its tensors by name."""
    zoom = values.keys() & {"lens", "ortho_scale"}
    if len(zoom) != 1:
        raise ValueError("either lens or ortho_scale must be given, got both or none of them")
    matrix = as_batch(values["matrix_world"], "matrix_world", 4, 4)
    for name in (*zoom, "sensor_width", "sensor_height", "pixel_aspect_x", "pixel_aspect_y"):
        check_positive(values[name], name)
    check_type(sensor_fit, "sensor_fit", SensorFit)
    height, width = image_size
    x = as_scalars({name: value for name, value in values.items() if name != "matrix_world"})

    # One unit of this plane is the width of a pixel: y counts in pixels of its own height.
    tall = x["pixel_aspect_y"] / x["pixel_aspect_x"]
    fitted = _fitted_side(sensor_fit, width, tall * height)
    if "lens" in x:
        vertical = sensor_fit is SensorFit.VERTICAL
        focal = fitted * x["lens"] / (x["sensor_height"] if vertical else x["sensor_width"])
    else:
        focal = fitted / x["ortho_scale"]
    center_x = width / 2 - x["shift_x"] * fitted
    center_y = height / 2 + x["shift_y"] * fitted / tall
    intrinsics = axis_aligned_intrinsics(
        torch.stack([focal, focal / tall], -1), torch.stack([center_x, center_y], -1)
    )
    return *_view(matrix), intrinsics


def to_blender(camera: CameraModel, sensor_width: float) -> BlenderCamera:
    """Return the settings of `Camera.to_blender`."""
    check_undistorted(camera.distortion, "Blender")
    sensor_width = check_number(sensor_width, "sensor_width", above=0)
    check_rotation(camera.rotation, "rotation")
    focal, centre = focal_and_centre(camera.intrinsics, "Blender")
    height, width = camera.image_size
    tall = focal[:, 0] / focal[:, 1]
    flip = camera.rotation.new_tensor([1.0, -1.0, -1.0])
    pose = torch.cat([camera.rotation.mT * flip, camera.position[..., None]], 2)
    return BlenderCamera(
        matrix_world=completed(pose),
        lens=focal[:, 0] * sensor_width / width if camera.perspective else None,
        sensor_width=sensor_width,
        sensor_fit=SensorFit.HORIZONTAL,
        shift_x=(width / 2 - centre[:, 0]) / width,
        shift_y=(centre[:, 1] - height / 2) * tall / width,
        pixel_aspect_x=tall.clamp(max=1).reciprocal(),
        pixel_aspect_y=tall.clamp(min=1),
        ortho_scale=None if camera.perspective else width / focal[:, 0],
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
    if bool(beneath((axes == 0).all(-1)).any()):
        raise ValueError("matrix_world must not scale an axis to zero")
    rotation = unit(axes)
    check_rotation(rotation, "matrix_world without its scale")
    rotation = rotation * matrix.new_tensor([1.0, -1.0, -1.0])[:, None]
    return rotation, -(rotation @ matrix[:, :3, 3:])[..., 0]
