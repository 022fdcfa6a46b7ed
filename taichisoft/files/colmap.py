"""COLMAP's sparse models: cameras and images, as text and as binary files.

The formats are those of its documentation, "Output Format", and of ``src/colmap/scene/reconstruction_io``:
poses are world to camera in the axes of OpenCV, as unit quaternions w, x, y, z; the centre of the first
pixel is at 0.5.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch

from taichisoft.base.eager import eager
from taichisoft.cameras.camera import Camera
from taichisoft.cameras.model import NEAR
from taichisoft.files.cited import array, as_path, reading
from taichisoft.files.stated import whole
from taichisoft.files.views import Lens, Made, Views
from taichisoft.geometry.rotations import from_quaternion


class Model(NamedTuple):
    """How many focal lengths a model of a lens has, and how many coefficients.

    These are the first ones of OpenCV, and the others are 0, unless it is another kind of lens.
    """

    focals: int
    coefficients: int
    of_opencv: bool = True


# By the numbers that binary files name them by.
MODELS = {
    "SIMPLE_PINHOLE": Model(1, 0),
    "PINHOLE": Model(2, 0),
    "SIMPLE_RADIAL": Model(1, 1),
    "RADIAL": Model(1, 2),
    "OPENCV": Model(2, 4),
    "OPENCV_FISHEYE": Model(2, 4, of_opencv=False),
    "FULL_OPENCV": Model(2, 8),
    "FOV": Model(2, 1, of_opencv=False),
    "SIMPLE_RADIAL_FISHEYE": Model(1, 1, of_opencv=False),
    "RADIAL_FISHEYE": Model(1, 2, of_opencv=False),
    "THIN_PRISM_FISHEYE": Model(2, 8, of_opencv=False),
}
NAMES = tuple(MODELS)


class Listed(NamedTuple):
    """A camera as its file has it: CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS."""

    key: int
    model: str
    width: int
    height: int
    numbers: list[float]


class Placed(NamedTuple):
    """An image: its name, its camera, and quaternion and translation of its pose."""

    name: str
    camera: int
    pose: list[float]


@eager
def load_colmap_cameras(
    path: str | os.PathLike, *, near: float = NEAR, dtype: torch.dtype = torch.float32
) -> Views:
    """Load the cameras of a COLMAP model.

    Parameters
    ----------
    path : str or path
        The folder that holds ``cameras.bin`` and ``images.bin``, or ``cameras.txt`` and ``images.txt``, often
        ``sparse/0``. Binary files come first.
    near : float
        Depth in front of which nothing is drawn, positive, in scene units: those of the model.
    dtype : torch.dtype
        Of the cameras.

    Returns
    -------
    Views
        By name. Lenses may be SIMPLE_PINHOLE and PINHOLE, and SIMPLE_RADIAL, RADIAL, OPENCV and FULL_OPENCV
        with their distortion, see `Camera`; if it is zero there is none. For others, such as fisheyes, run
        ``colmap image_undistorter``, which writes a model of pinholes.

    Raises
    ------
    FileNotFoundError
        No such folder or files.
    ValueError
        What is missing or wrong in a file, which the message names; an image of another lens.
    """
    folder = as_path(path)
    made = Made(near, dtype)
    binary = (folder / "cameras.bin").is_file()
    suffix, readers = (
        (".bin", (_binary_cameras, _binary_images))
        if binary
        else (".txt", (_text_cameras, _text_images))
    )
    if not (folder / f"cameras{suffix}").is_file():
        raise FileNotFoundError(
            f"path must be a folder with cameras.bin or cameras.txt, such as sparse/0, got {folder}"
        )
    listed: dict[int, Listed] = {}
    with reading(folder / f"cameras{suffix}", "COLMAP"):
        for camera in readers[0](folder / f"cameras{suffix}"):
            if camera.key in listed:
                raise ValueError(f"each camera must be there once, got camera {camera.key} again")
            listed[camera.key] = camera
    images = folder / f"images{suffix}"
    with reading(images, "COLMAP"):
        placed = sorted(readers[1](images))
        for image in placed:
            if image.camera not in listed:
                raise ValueError(
                    f"image {image.name} needs camera {image.camera}, and there are {sorted(listed)}"
                )
        if not placed:
            raise ValueError("it must have at least one image")
    with reading(folder / f"cameras{suffix}", "COLMAP"):
        # Of a lens that no image has it does not matter what it is.
        lenses = {key: _lens(listed[key]) for key in sorted({image.camera for image in placed})}
    with reading(images, "COLMAP"):
        cameras = tuple(_camera(image, lenses[image.camera], made) for image in placed)
    return Views(cameras, tuple(image.name for image in placed))


def _camera(image: Placed, lens: Lens, made: Made) -> Camera:
    pose = array(image.pose, f"the pose of image {image.name}", 7)
    if not pose[:4].any():
        raise ValueError(f"the quaternion of image {image.name} must not be zero")
    rotation = from_quaternion(torch.from_numpy(pose[:4])).numpy()
    return made.camera(
        f"image {image.name}", lens.matrix, lens.size, rotation, pose[4:], lens.distortion
    )


def _lens(camera: Listed) -> Lens:
    """Return the intrinsics of a camera of some model."""
    name, model = camera.model, MODELS.get(camera.model)
    if model is None or not model.of_opencv:
        _refuse(name)
    values = array(
        camera.numbers, f"the parameters of {name}", model.focals + 2 + model.coefficients
    )
    focal, centre = values[: model.focals], values[model.focals :][:2]
    # k1 alone, k1 and k2, then p1 and p2, then k3 to k6: as OpenCV has them.
    bent = values[model.focals + 2 :].tolist()
    bent += [0.0] * (4 - len(bent) if bent else 0)
    fx, fy = float(focal[0]), float(focal[-1])
    center = float(centre[0]), float(centre[1])
    size = camera.height, camera.width
    return Lens(f"camera {camera.key}", (fx, fy), center, size, tuple(bent))


def _refuse(model: str) -> NoReturn:
    raise ValueError(
        f"the camera model must be a pinhole or one of OpenCV's distortion, no fisheye, got {model}; colmap "
        "image_undistorter makes a pinhole"
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers, but for comments. An empty line may stand for no points."""
    for index, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.startswith("#"):
            yield index, line.strip()


def _text_cameras(path: Path) -> Iterator[Listed]:
    for index, line in _lines(path):
        words = line.split()
        if words and len(words) < 5:
            raise ValueError(
                f"line {index} must have CAMERA_ID MODEL WIDTH HEIGHT PARAMS, got {line!r}"
            )
        if words:
            key, width, height = (whole(words[i], f"line {index}") for i in (0, 2, 3))
            yield Listed(key, words[1], width, height, [_real(word, index) for word in words[4:]])


def _text_images(path: Path) -> Iterator[Placed]:
    lines = _lines(path)
    for index, line in lines:
        if not line:
            continue
        # The name may have spaces.
        words = line.split(maxsplit=9)
        if len(words) < 10:
            raise ValueError(
                f"line {index} must have IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, got {line!r}"
            )
        pose = [_real(word, index) for word in words[1:8]]
        yield Placed(words[9], whole(words[8], f"line {index}"), pose)
        _check_points(*next(lines, (0, "")), words[9])


def _check_points(index: int, line: str, image: str) -> None:
    """Raise ValueError unless a line holds points: without it the next image would be taken for it."""
    words = line.split()
    try:
        held = len(list(map(float, words)))
    except ValueError:
        held = -1
    if held < 0 or held % 3:
        raise ValueError(
            f"line {index} must have the points of image {image}, POINTS2D[] as (X, Y, POINT3D_ID), or be "
            f"empty, got {line[:80]!r}"
        )


def _real(word: str, line: int) -> float:
    try:
        return float(word)
    except ValueError as error:
        raise ValueError(f"line {line} must have a number, got {word!r}") from error


@dataclass
class _Bytes:
    """Content of a binary file, and how far it is read."""

    content: bytes
    at: int = 0

    def take(self, form: str) -> tuple:
        """Return numbers in the format of ``struct``, little-endian."""
        size = struct.calcsize("<" + form)
        self.skip(size)
        return struct.unpack_from("<" + form, self.content, self.at - size)

    def skip(self, size: int) -> None:
        """Go on by some bytes."""
        if self.at + size > len(self.content):
            raise ValueError(
                f"the file ends at byte {len(self.content)}, and {self.at + size} bytes are needed"
            )
        self.at += size

    def word(self) -> str:
        """Return characters up to a zero byte."""
        end = self.content.find(b"\0", self.at)
        if end < 0:
            raise ValueError(f"the file ends within a name that begins at byte {self.at}")
        start, self.at = self.at, end + 1
        return self.content[start:end].decode("utf-8")


def _counted(path: Path, one: Callable[[_Bytes], object]) -> Iterator:
    """Yield the records of a file, which begins with their number; nothing may follow them."""
    content = _Bytes(path.read_bytes())
    (count,) = content.take("Q")
    for _ in range(count):
        yield one(content)
    if content.at != len(content.content):
        raise ValueError(
            f"{len(content.content) - content.at} bytes more than {count} records are there"
        )


def _binary_cameras(path: Path) -> Iterator[Listed]:
    def one(content: _Bytes) -> Listed:
        key, number, width, height = content.take("iiQQ")
        if not 0 <= number < len(NAMES):
            # How many numbers follow is not known.
            _refuse(f"number {number}")
        model = MODELS[NAMES[number]]
        size = model.focals + 2 + model.coefficients
        return Listed(key, NAMES[number], width, height, list(content.take(f"{size}d")))

    return _counted(path, one)


def _binary_images(path: Path) -> Iterator[Placed]:
    def one(content: _Bytes) -> Placed:
        _, *pose, camera = content.take("i7di")
        name = content.word()
        (points,) = content.take("Q")
        # x, y and the number of the point.
        content.skip(24 * points)
        return Placed(name, camera, pose)

    return _counted(path, one)
