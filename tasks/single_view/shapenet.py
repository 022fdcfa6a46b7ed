"""ShapeNet's renderings by 3D-R2N2 (Choy et al. 2016): cameras from ``rendering_metadata.txt``.

A line has five numbers for an image: azimuth, elevation and turn about the view axis in degrees, the share of
the largest distance, and a field of view. What they mean is told by the program that made the images
(``lib/blender_renderer.py`` of its authors): the largest distance is 1.75, and the fifth number is not used:
the lens is Blender's usual one of 35 mm before a sensor of 32 mm.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from taichisoft import Camera, Views
from taichisoft.files.cited import reading

LARGEST_DISTANCE = 1.75
FOV = 2 * math.degrees(math.atan(32 / 2 / 35))
# The diagonal of the box around an object is 1.
RADIUS = 0.5
METADATA = "rendering_metadata.txt"
NUMBERS = 5


def load_shapenet_cameras(path: Path, image_size: tuple[int, int]) -> Views:
    """Return the cameras of a ``rendering_metadata.txt``, in the axes of ShapeNet's meshes, with y up.

    Parameters
    ----------
    path : Path
        The file. Beside it are the images, ``00.png`` for its first line and so on.
    image_size : (int, int)
        Of the images; square.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        A line that is no five numbers, which the message names, a distance that is not positive, or none at
        all.
    """
    with reading(path, METADATA):
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        rows = [_numbers(words, i) for i, words in enumerate(lines, 1) if words]
        if not rows:
            raise ValueError("it must have a line for each image, got none")
    cameras = tuple(_camera(row, image_size) for row in rows)
    return Views(cameras, tuple(f"{index:02d}.png" for index in range(len(rows))))


def _numbers(words: list[str], line: int) -> list[float]:
    try:
        found = [float(word) for word in words]
    except ValueError:
        found = []
    if len(found) != NUMBERS or not all(map(math.isfinite, found)):
        raise ValueError(
            f"line {line} must be five numbers (azimuth, elevation, turn, distance, field of view), "
            f"got {' '.join(words)!r}"
        )
    if found[3] <= 0:
        raise ValueError(f"the distance in line {line} must be positive, got {found[3]}")
    return found


def _camera(row: list[float], image_size: tuple[int, int]) -> Camera:
    azimuth, elevation, turn, distance, _ = row
    # There azimuth 0 is on the side of +x, and 90 on that of +z.
    camera = Camera.orbit(
        distance * LARGEST_DISTANCE,
        90 - azimuth,
        elevation,
        fov=FOV,
        image_size=image_size,
        dtype=torch.float32,
    )
    # The camera is turned by minus the angle about the axis from the object to it.
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    about = camera.rotation.new_tensor([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    return camera.with_parts(
        {"rotation": about @ camera.rotation, "translation": camera.translation @ about.T}
    )
