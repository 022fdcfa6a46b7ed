"""The JSON file of a pose, which ``taichisoft fit-pose`` writes and starts from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from taichisoft.files.cited import array, entry, read_json, reading
from taichisoft.poses.pose_fit import OtherPose, PoseFit

CONVENTION = (
    "x_cam = R x + t in the units of the mesh, in OpenCV's axes (x right, y down, z forward); K in pixels, "
    "the centre of the first pixel at (0.5, 0.5)"
)
CONVENTION_OF_VIEWS = (
    "x_world = R x + t in the units of the mesh, in the world of the cameras; K of each view in pixels, the "
    "centre of the first pixel at (0.5, 0.5)"
)
SHAPES = (("R", (3, 3)), ("t", (3,)))


@dataclass(frozen=True, eq=False)
class Start:
    """A pose to start from.

    Parameters
    ----------
    R : Tensor, (3, 3), float64
        Rotation.
    t : Tensor, (3,), float64
        Translation.
    path : path
        The file that it was read from.
    in_world : bool or None
        Whether it is in the world of cameras, or in the frame of the only one; None if the file does not
        say.
    K : Tensor, (3, 3), float64, or None
        Intrinsics, if the pose is not in a world of cameras and the file has them.
    image_size : (height, width) or None
        Of the image that K is for, in pixels; None if the file does not say.
    """

    R: Tensor
    t: Tensor
    path: Path
    in_world: bool | None = None
    K: Tensor | None = None
    image_size: tuple[int, int] | None = None

    def check_world(self, in_world: bool) -> None:
        """Raise ValueError if the pose is in the world of cameras and none are given, or the other way."""
        if self.in_world is None or self.in_world == in_world:
            return
        if in_world:
            raise ValueError(
                f"--init must be a pose in the world of --cameras (x_world = R x + t), got one in the frame "
                f"of its camera (x_cam = R x + t) in {self.path}"
            )
        raise ValueError(
            f"--cameras must be given with an --init in their world (x_world = R x + t), as {self.path} is"
        )

    def intrinsics(self, size: tuple[int, int]) -> Tensor | None:
        """Return K in the pixels of an image of (height, width), or None if the file has none.

        Raises
        ------
        ValueError
            The image has another shape, so that it is not the same one in other pixels.
        """
        if self.K is None or self.image_size is None:
            return self.K
        if not _is_resized(self.image_size, size):
            raise ValueError(
                f"--init must have the K of the mask, {_words(size)}, or of the same image in another size, "
                f"got K for {_words(self.image_size)} in {self.path}; --fov or --intrinsics replaces it"
            )
        (height, width), (old_height, old_width) = size, self.image_size
        return self.K * self.K.new_tensor([[width / old_width], [height / old_height], [1.0]])


def write_pose(found: PoseFit, path: Path, *, in_world: bool) -> None:
    """Write a pose, in the world of its cameras or in the frame of the only one, and what it is worth."""
    record = {
        "convention": CONVENTION_OF_VIEWS if in_world else CONVENTION,
        **_record(found),
        "K": (found.K if in_world else found.K[0]).tolist(),
        "image_size": list(found.camera.image_size),
        "ok": found.ok,
        "verdict": found.verdict,
        "inverted": found.inverted,
        "second_best": None if found.second_best is None else _other(found.second_best),
        "alternatives": [_other(other) for other in found.ambiguous],
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read_pose(path: Path) -> Start:
    """Read R, t and K of such a file, or of any JSON object with R and t.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        What is wrong in it, which the message names.
    """
    with reading(path, "pose"):
        found = read_json(path)
        R, t = (array(entry(found, name, "a pose"), name, *shape) for name, shape in SHAPES)
        convention = found.get("convention")
        in_world = {CONVENTION: False, CONVENTION_OF_VIEWS: True}.get(str(convention))
        # In the world of cameras each view has its own, for which there is --cameras.
        alone = "K" in found and not in_world
        K = torch.from_numpy(array(found["K"], "K", 3, 3)) if alone else None
        size = _size(found["image_size"]) if "image_size" in found else None
    return Start(torch.from_numpy(R), torch.from_numpy(t), path, in_world, K, size)


def _size(value: object) -> tuple[int, int]:
    height, width = array(value, "image_size", 2).tolist()
    if not all(side >= 1 and side == int(side) for side in (height, width)):
        raise ValueError(f"image_size must be a height and a width in pixels, got {value}")
    return int(height), int(width)


def _is_resized(old: tuple[int, int], new: tuple[int, int]) -> bool:
    """Return whether one scale leads from one size to the other, up to rounding to whole pixels."""
    least = max((b - 0.5) / a for a, b in zip(old, new, strict=True))
    most = min((b + 0.5) / a for a, b in zip(old, new, strict=True))
    return least <= most


def _words(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]} pixels"


def _record(pose: PoseFit | OtherPose) -> dict:
    return {"R": pose.R.tolist(), "t": pose.t.tolist(), "iou": pose.iou}


def _other(pose: OtherPose) -> dict:
    return {**_record(pose), "degrees": pose.degrees}
