"""``transforms.json``: cameras as NeRF's synthetic scenes, instant-ngp and nerfstudio have them.

The format is described in nerfstudio's documentation, "Data conventions": camera-to-world matrices in the
axes of OpenGL, focal lengths and principal point in pixels with the centre of the first pixel at 0.5.
"""

from __future__ import annotations

import math
import os
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taichisoft.base.checks import check_image_size
from taichisoft.base.eager import eager
from taichisoft.cameras.construction import ImageSize
from taichisoft.cameras.model import NEAR
from taichisoft.files.cited import array, as_path, entry, number, read_json, reading, whole_number
from taichisoft.files.images import image_size_of
from taichisoft.files.views import Lens, Made, Views

# In the order of OpenCV.
COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
# Of these all but FULL_OPENCV have no denominator: there nerfstudio's k4 is the coefficient of r^8.
DENOMINATOR = ("k4", "k5", "k6")
# What nerfstudio's ``distortion_params`` are.
LISTED = ("k1", "k2", "k3", "k4", "p1", "p2")
# What instant-ngp says of other lenses.
OTHER_LENSES = ("is_fisheye", "ftheta_p1", "latlong", "equirectangular", "orthographic")
MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV")
# What the last row of a matrix may differ by, after rounding in float32.
ROUNDING = 1e-5


@eager
def load_nerf_cameras(
    path: str | os.PathLike,
    *,
    image_size: ImageSize | None = None,
    near: float = NEAR,
    dtype: torch.dtype = torch.float32,
) -> Views:
    """Load the cameras of a ``transforms.json`` (NeRF, Blender, instant-ngp, nerfstudio).

    Parameters
    ----------
    path : str or path
        The JSON file. Each of its frames has ``file_path`` and ``transform_matrix``, camera to world in the
        axes of OpenGL (x right, y up, the camera looks along -z). The file or the frame has
        ``camera_angle_x`` (radians, the width) or ``fl_x``, and may have ``fl_y``, ``camera_angle_y``,
        ``cx``, ``cy``, ``w`` and ``h`` in pixels, and the distortion of a lens, see `Camera`: ``k1``, ``k2``,
        ``k3``, ``p1`` and ``p2``, with a ``camera_model`` of FULL_OPENCV ``k4``, ``k5`` and ``k6``, or
        nerfstudio's ``distortion_params`` (k1, k2, k3, k4, p1, p2). If they are zero there is none.
    image_size : (int, int), optional
        Height and width where the file has no ``h`` and ``w``; those of the file cannot be changed by it.
        By default they are read from the images.
    near : float
        Depth in front of which nothing is drawn, positive, in scene units: those of the matrices.
    dtype : torch.dtype
        Of the cameras.

    Returns
    -------
    Views
        In the order of the file; names are the ``file_path`` of the frames.

    Raises
    ------
    FileNotFoundError
        No such file, or no image to read the size from.
    ValueError
        What is missing or wrong in the file, which the message names; a fisheye or another lens that is not
        OpenCV's; an ``image_size`` that is not that of the file.
    """
    path = as_path(path)
    given = None if image_size is None else check_image_size(image_size)
    made = Made(near, dtype)
    cameras, names = [], []
    with reading(path, "transforms.json"):
        record = read_json(path)
        frames = entry(record, "frames", "the file")
        if not isinstance(frames, list) or not frames:
            raise ValueError("frames must be a list of at least one frame")
        for index, frame in enumerate(frames):
            where = f"frame {index}"
            name = entry(frame, "file_path", where)
            if not isinstance(name, str):
                raise ValueError(f"file_path of {where} must be a string, got {name!r}")
            settings = ChainMap(frame, record)
            lens = _lens(settings, where, given, path.parent / name)
            pose = _pose(frame, where)
            rotation = (pose[:3, :3] * (1, -1, -1)).T
            translation = -rotation @ pose[:3, 3]
            cameras.append(
                made.camera(where, lens.matrix, lens.size, rotation, translation, lens.distortion)
            )
            names.append(name)
    for name, camera in zip(names, cameras, strict=True):
        if given not in (None, camera.image_size):
            raise ValueError(
                f"image_size must be that of the file, {camera.image_size} of {name}, got {given}; "
                "camera.resize(image_size) changes it"
            )
    return Views(tuple(cameras), tuple(names))


def _pose(frame: Mapping[str, Any], where: str) -> np.ndarray:
    """Return camera to world, (4, 4)."""
    name = f"transform_matrix of {where}"
    pose = array(entry(frame, "transform_matrix", where), name, 4, 4)
    if not (abs(pose[3] - (0, 0, 0, 1)) <= ROUNDING).all():
        raise ValueError(f"{name} must have the last row (0, 0, 0, 1), got {pose[3].tolist()}")
    return pose


def _distortion(settings: Mapping[str, Any], where: str) -> tuple[float, ...]:
    """Return the coefficients that a frame or its file states, in the order of OpenCV."""
    model = settings.get("camera_model", "PINHOLE")
    others = [key for key in OTHER_LENSES if settings.get(key)]
    if others or model not in MODELS:
        raise ValueError(
            f"{where} must have a pinhole or a lens with OpenCV's distortion, no fisheye, got "
            f"{' '.join([str(model), *others])}; undistort the images"
        )
    stated = {
        key: number(settings[key], f"{key} of {where}") for key in COEFFICIENTS if key in settings
    }
    listed = _listed(settings, where)
    differing = [key for key in stated.keys() & listed.keys() if stated[key] != listed[key]]
    if differing:
        raise ValueError(
            f"distortion_params of {where} must agree with {', '.join(sorted(differing))} beside them, got "
            f"{list(listed.values())} and {stated}"
        )
    value = {**dict.fromkeys(COEFFICIENTS, 0.0), **stated, **listed}
    unclear = [key for key in DENOMINATOR if value[key] != 0]
    if unclear and (model != "FULL_OPENCV" or listed.get("k4", 0.0) != 0):
        raise ValueError(
            f"{where} must have a camera_model of FULL_OPENCV for {', '.join(unclear)}, got {model}: of "
            "others, and in distortion_params, k4 is the coefficient of r^8, which OpenCV does not have; "
            "undistort the images"
        )
    return tuple(value.values())


def _listed(settings: Mapping[str, Any], where: str) -> dict[str, float]:
    """Return the coefficients of ``distortion_params`` by name, if there are any."""
    several = settings.get("distortion_params")
    if several is None:
        return {}
    size = len(several) if isinstance(several, list) else len(LISTED)
    values = array(several, f"distortion_params of {where}", size).tolist()
    if size == len(LISTED):
        return dict(zip(LISTED, values, strict=True))
    if any(values):
        raise ValueError(
            f"distortion_params of {where} must be {', '.join(LISTED)}, got {size} numbers: {values}"
        )
    return {}


def _lens(
    settings: Mapping[str, Any], where: str, given: tuple[int, int] | None, image: Path
) -> Lens:
    """Return the intrinsics that a frame or its file states."""
    bent = _distortion(settings, where)
    value = {
        key: number(settings[key], f"{key} of {where}")
        for key in ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y", "cx", "cy")
        if key in settings
    }
    height, width = _size(settings, where, given, image)
    if "fl_x" not in value and "camera_angle_x" not in value:
        raise ValueError(f'{where} must have "fl_x" or "camera_angle_x", which are missing')
    across = value["fl_x"] if "fl_x" in value else _focal(value["camera_angle_x"], width, where)
    down = across
    if "fl_y" in value:
        down = value["fl_y"]
    elif "camera_angle_y" in value:
        down = _focal(value["camera_angle_y"], height, where)
    centre = value.get("cx", width / 2), value.get("cy", height / 2)
    return Lens(where, (across, down), centre, (height, width), bent)


def _focal(angle: float, side: int, where: str) -> float:
    if not 0 < angle < math.pi:
        raise ValueError(f"camera angles of {where} must be between 0 and pi, got {angle}")
    return side / 2 / math.tan(angle / 2)


def _size(
    settings: Mapping[str, Any], where: str, given: tuple[int, int] | None, image: Path
) -> tuple[int, int]:
    """Return height and width: as stated, as given, or those of the image."""
    if "h" in settings and "w" in settings:
        height, width = (whole_number(settings[k], f"{k} of {where}") for k in ("h", "w"))
        return height, width
    if given is not None:
        return given
    # The paths of NeRF's synthetic scenes have no suffix.
    png = image.with_name(image.name + ".png")
    return image_size_of(png if png.is_file() and not image.is_file() else image)
