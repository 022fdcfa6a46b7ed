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
    K : Tensor, (3, 3), float64, or None
        Intrinsics, if the pose is in the frame of its only camera and the file has them.
    """

    R: Tensor
    t: Tensor
    K: Tensor | None


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
        # In the world of cameras each view has its own, for which there is --cameras.
        alone = "K" in found and found.get("convention") != CONVENTION_OF_VIEWS
        K = torch.from_numpy(array(found["K"], "K", 3, 3)) if alone else None
    return Start(torch.from_numpy(R), torch.from_numpy(t), K)


def _record(pose: PoseFit | OtherPose) -> dict:
    return {"R": pose.R.tolist(), "t": pose.t.tolist(), "iou": pose.iou}


def _other(pose: OtherPose) -> dict:
    return {**_record(pose), "degrees": pose.degrees}
