"""``taichisoft fit-pose``: the pose of a known mesh from a mask."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import torch
from torch import Tensor

from taichisoft.base.backend import init
from taichisoft.cameras.camera import Camera
from taichisoft.cli.command import (
    Command,
    add_backend,
    check_output,
    parse_count,
    parse_seed,
    renderer_of,
    scale_of,
)
from taichisoft.cli.framing import Framed
from taichisoft.cli.pose_search import Poses, View, find_poses
from taichisoft.files.images import check_image_format, write_image
from taichisoft.files.masks import read_mask
from taichisoft.files.meshes import load_mesh
from taichisoft.geometry.rotations import angle_between
from taichisoft.render.rasterizer import SoftRasterizer

# Poses farther apart than this, whose IoU is less than that behind the best, are reported as well.
APART = 15.0
AS_GOOD = 0.01


class FitPose(Command):
    """Find where a mesh was when its mask was taken."""

    name = "fit-pose"
    summary = "find the rotation and translation of a mesh from a mask (white object, or opacity)"
    example = "taichisoft fit-pose mesh.obj mask.png -o pose.json --fov 40"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("mesh", help="OBJ, PLY, STL, GLB or OFF file")
        parser.add_argument("mask", type=Path, help="image file of any height and width")
        parser.add_argument(
            "-o", "--output", type=Path, required=True, help="JSON file to write: R, t, K, iou"
        )
        parser.add_argument(
            "--overlay",
            type=Path,
            help="image file to write: mask red, silhouette green, both yellow (default: next to the JSON "
            "file, pose_overlay.png for pose.json)",
        )
        camera = parser.add_mutually_exclusive_group()
        camera.add_argument(
            "--fov",
            type=float,
            default=40.0,
            help="vertical field of view of the camera in degrees (default: %(default)g)",
        )
        camera.add_argument(
            "--intrinsics",
            type=float,
            nargs=4,
            metavar=("FX", "FY", "CX", "CY"),
            help="instead, in pixels; the centre of the first pixel is at (0.5, 0.5)",
        )
        parser.add_argument(
            "--steps", type=parse_count, default=60, help="of each stage (default: %(default)d)"
        )
        parser.add_argument(
            "--starts",
            type=parse_count,
            default=32,
            help="orientations that are optimised, the best of 16 times as many (default: %(default)d)",
        )
        parser.add_argument("--seed", type=parse_seed, default=0, help="of the random orientations")
        parser.add_argument(
            "--softness",
            default="pose",
            help="of the first stage: a shipped one, or a scale in pixels of an image 64 pixels long "
            "(default: %(default)s)",
        )
        add_backend(parser)

    def run(self, arguments: argparse.Namespace) -> None:
        """Load, search, write."""
        if scale_of(arguments.softness) == 0:
            raise ValueError("--softness must be greater than 0: a hard silhouette has no slope")
        output = arguments.output
        check_output(output, "--output")
        overlay = arguments.overlay or output.with_name(f"{output.stem}_overlay.png")
        check_output(overlay, "--overlay")
        check_image_format(overlay)
        # A mask says where the object is, not how much of it is seen through.
        framed = Framed.of(load_mesh(arguments.mesh, materials=False).with_vertex_opacity(None))
        mask = read_mask(arguments.mask)
        view = View(framed.mesh, mask, _intrinsics(arguments, *mask.shape))
        renderer = renderer_of(arguments.softness)
        init(arguments.backend)
        poses = find_poses(
            view,
            renderer,
            steps=arguments.steps,
            starts=arguments.starts,
            seed=arguments.seed,
            report=lambda line: print(line, flush=True),
        )
        translation = framed.in_mesh_units(poses.rotation, poses.translation)
        found = {
            **_record(poses, translation, 0),
            "K": view.intrinsics.tolist(),
            "image_size": list(mask.shape),
            "alternatives": [_record(poses, translation, k) for k in _alternatives(poses)],
        }
        output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        write_image(_overlay(view, poses), overlay)
        print(f"IoU {found['iou']:.4f}, written to {output}; overlay: {overlay}")
        for other in found["alternatives"]:
            angle = math.degrees(angle_between(torch.tensor(other["R"]), poses.rotation[0]))
            print(
                f"another pose, {angle:.0f} degrees away, fits nearly as well: {other['iou']:.4f}"
            )


def _intrinsics(arguments: argparse.Namespace, height: int, width: int) -> Tensor:
    """Return K, (3, 3), after the checks of `Camera`."""
    size = (height, width)
    if arguments.intrinsics is None:
        return Camera.look_at((0.0, 0.0, 1.0), fov=arguments.fov, image_size=size).intrinsics[0]
    fx, fy, cx, cy = arguments.intrinsics
    K = [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]
    return Camera.from_opencv(K, torch.eye(3), torch.zeros(3), size).intrinsics[0]


def _record(poses: Poses, translation: Tensor, index: int) -> dict:
    """Return a pose for the vertices of the file: ``x = R X + t``, in the axes of OpenCV."""
    return {
        "R": poses.rotation[index].tolist(),
        "t": translation[index].tolist(),
        "iou": float(poses.iou[index]),
    }


def _alternatives(poses: Poses) -> list[int]:
    """Return the poses that are as good as the first, and differ from it and from each other."""
    chosen = [0]
    for index in range(1, len(poses.iou)):
        angles = torch.rad2deg(angle_between(poses.rotation[index], poses.rotation[chosen]))
        if poses.iou[0] - poses.iou[index] < AS_GOOD and angles.min() > APART:
            chosen.append(index)
    return chosen[1:]


@torch.no_grad()
def _overlay(view: View, poses: Poses) -> Tensor:
    drawn = view.silhouettes(SoftRasterizer.hard(), poses.rotation[:1], poses.translation[:1])[0]
    return torch.stack([view.mask, drawn, torch.zeros_like(drawn)], -1)
