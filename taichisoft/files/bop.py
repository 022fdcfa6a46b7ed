"""BOP: cameras and poses of objects of the Benchmark for 6D Object Pose Estimation.

The format is that of ``bop_toolkit``, docs/bop_datasets_format.md: K as OpenCV has it, poses world or
model to camera in millimetres.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taichisoft.base.checks import check_image_size, check_integer, check_number
from taichisoft.base.eager import eager
from taichisoft.cameras.construction import ImageSize
from taichisoft.cameras.model import NEAR
from taichisoft.files.cited import array, as_path, entry, number, read_json, reading
from taichisoft.files.images import image_size_of
from taichisoft.files.views import Lens, Made, Views

FOLDERS = ("rgb", "gray")
SUFFIXES = (".png", ".jpg", ".tif")


@eager
def load_bop_cameras(
    path: str | os.PathLike,
    *,
    object_id: int | None = None,
    scale: float = 1.0,
    image_size: ImageSize | None = None,
    pixel_center: float = 0.0,
    near: float = NEAR,
    dtype: torch.dtype = torch.float32,
) -> Views:
    """Load the cameras of a scene of a BOP data set.

    Parameters
    ----------
    path : str or path
        The folder of the scene, such as ``test/000001``, with ``scene_camera.json``.
    object_id : int, optional
        An object: the poses are then those of ``scene_gt.json``, so that the world is the object's model.
        Each instance is a view of its own: the name of an image may come several times. By default the
        world is that of ``cam_R_w2c`` and ``cam_t_w2c``, which not all scenes have.
    scale : float
        Scene units per millimetre, positive: 1 for meshes in millimetres, as those of BOP are, 0.001 for
        metres.
    image_size : (int, int), optional
        Height and width. By default those of the images in ``rgb`` or ``gray``.
    pixel_center : float
        The coordinate that K gives to the centre of the first pixel: 0 as in OpenCV, by which the toolkit
        makes points of depths, or 0.5.
    near : float
        Depth in front of which nothing is drawn, positive, in scene units.
    dtype : torch.dtype
        Of the cameras.

    Returns
    -------
    Views
        In the order of the numbers of images. Names are as in ``rgb/000000.png``; the number alone where
        there is no image.

    Raises
    ------
    FileNotFoundError
        A file is missing, or an image to read the size from.
    ValueError
        What is missing or wrong in a file, which the message names; no instance of the object.
    """
    folder = as_path(path)
    scale = check_number(scale, "scale", above=0)
    offset = 0.5 - check_number(pixel_center, "pixel_center")
    size = None if image_size is None else check_image_size(image_size)
    if object_id is not None:
        object_id = check_integer(object_id, "object_id", minimum=0)
    made = Made(near, dtype)
    lenses = {}
    records = _by_image(folder / "scene_camera.json")
    with reading(folder / "scene_camera.json", "BOP"):
        for key, record in records.items():
            name = _name(folder, key)
            found = size or image_size_of(folder / name)
            matrix = array(entry(record, "cam_K", f"image {key}"), f"cam_K of image {key}", 3, 3)
            lenses[key] = name, found, _shifted(matrix, found, offset, key)
    poses = _poses_of_world(folder, records) if object_id is None else _poses_of(folder, object_id)
    cameras, names = [], []
    for file, key, rotation, translation in poses:
        with reading(file, "BOP"):
            if key not in lenses:
                raise ValueError(f"image {key} must be in scene_camera.json, too")
            name, found, matrix = lenses[key]
            cameras.append(
                made.camera(f"image {key}", matrix, found, rotation, scale * translation)
            )
            names.append(name)
    if not cameras:
        raise ValueError(f"object_id must be an object of the scene {folder}, got {object_id}")
    return Views(tuple(cameras), tuple(names))


Pose = tuple[Path, int, np.ndarray, np.ndarray]


def _by_image(path: Path) -> dict[int, Any]:
    """Return the entries of a file by the numbers of images, in order."""
    with reading(path, "BOP"):
        found = read_json(path)
        wrong = [key for key in found if not key.isdecimal()]
        if wrong or not found:
            raise ValueError(f"its keys must be numbers of images, got {wrong or 'none'}")
    return {int(key): found[key] for key in sorted(found, key=int)}


def _shifted(matrix: np.ndarray, size: tuple[int, int], offset: float, key: int) -> np.ndarray:
    """Return K with the principal point of this library, checked."""
    Lens(f"image {key}", (matrix[0, 0], matrix[1, 1]), (matrix[0, 2], matrix[1, 2]), size)
    if matrix[1, 0] != 0 or (matrix[2] != (0, 0, 1)).any():
        raise ValueError(f"cam_K of image {key} must be upper triangular, got {matrix.tolist()}")
    return matrix + offset * np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])


def _poses_of_world(folder: Path, records: dict[int, Any]) -> list[Pose]:
    path = folder / "scene_camera.json"
    with reading(path, "BOP"):
        for key, record in records.items():
            if "cam_R_w2c" not in record:
                raise ValueError(f"image {key} has no cam_R_w2c: object_id must be given")
        return [(path, key, *_pose(r, "w2c", f"image {key}")) for key, r in records.items()]


def _poses_of(folder: Path, object_id: int) -> list[Pose]:
    path = folder / "scene_gt.json"
    poses: list[Pose] = []
    records = _by_image(path)
    with reading(path, "BOP"):
        for key, instances in records.items():
            if not isinstance(instances, list):
                raise ValueError(f"image {key} must have a list of poses, got {instances!r}")
            for instance in instances:
                where = f"an object of image {key}"
                if number(entry(instance, "obj_id", where), f"obj_id of {where}") == object_id:
                    poses.append((path, key, *_pose(instance, "m2c", where)))
    return poses


def _pose(record: object, kind: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    rotation, translation = f"cam_R_{kind}", f"cam_t_{kind}"
    return (
        array(entry(record, rotation, where), f"{rotation} of {where}", 3, 3),
        array(entry(record, translation, where), f"{translation} of {where}", 3),
    )


def _name(folder: Path, key: int) -> str:
    """Return the path of an image within the folder of the scene; its number if there is none."""
    stem = f"{key:06}"
    names = [f"{inner}/{stem}{suffix}" for inner in FOLDERS for suffix in SUFFIXES]
    return next((name for name in names if (folder / name).is_file()), stem)
