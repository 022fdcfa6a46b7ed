"""``taichisoft fit-pose``: the pose of a known mesh from its masks."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import torch
from torch import Tensor

from taichisoft.base.backend import init
from taichisoft.cameras.camera import Camera
from taichisoft.cli.command import (
    NOT_OK,
    OK,
    Command,
    add_backend,
    check_output,
    parse_count,
    parse_seed,
    renderer_of,
    scale_of,
)
from taichisoft.cli.mask_views import cameras_of, read_masks, read_photos
from taichisoft.cli.pose_file import Start, read_pose, write_pose
from taichisoft.files.images import check_image_format, write_image
from taichisoft.files.meshes import load_mesh
from taichisoft.geometry.mesh import Mesh
from taichisoft.poses.fit_pose import MIN_IOU, SOFTNESS, fit_pose
from taichisoft.poses.pose_fit import PoseFit
from taichisoft.render.rasterizer import SoftRasterizer

FOV = 40.0


class FitPose(Command):
    """Find where a mesh was when its mask was taken."""

    name = "fit-pose"
    summary = "find the rotation and translation of a mesh from a mask (white object, or opacity)"
    example = "taichisoft fit-pose mesh.obj mask.png -o pose.json --fov 40"
    notes = (
        "A point x of the mesh, in the units of the mesh, is at x_cam = R x + t in the frame of the\n"
        "camera, in OpenCV's axes: x right, y down, z forward. With --cameras it is x_world = R x + t in\n"
        "their world. K is in pixels; the centre of the first pixel is at (0.5, 0.5), so add 0.5 to the cx\n"
        "and cy of OpenCV.\n\n"
        "The exit code is 0 if the pose is ok, 1 if it is written but is not (the IoU is less than\n"
        "--min-iou, or the mask looks inverted or fills the image), and 2 after an error."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("mesh", help="OBJ, PLY, STL, GLB, glTF or OFF file")
        parser.add_argument(
            "mask",
            type=Path,
            nargs="+",
            help="image file of any height and width; several views need --cameras",
        )
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            required=True,
            help="JSON file to write: R, t, K, iou, ok, verdict",
        )
        parser.add_argument(
            "--overlay",
            type=Path,
            help="image file to write: mask red, silhouette green, both yellow (default: next to the JSON "
            "file, pose_overlay.png for pose.json)",
        )
        _add_camera(parser)
        parser.add_argument(
            "--image",
            type=Path,
            nargs="+",
            help="photo of each mask, to compare the colours of the mesh with, too",
        )
        parser.add_argument(
            "--invert", action="store_true", help="the mask is black where the object is"
        )
        parser.add_argument(
            "--init",
            type=Path,
            metavar="POSE.json",
            help="refine the pose of a file that was written before (R and t), and do not search; its K goes "
            "with the image in any size",
        )
        parser.add_argument(
            "--min-iou",
            type=float,
            default=MIN_IOU,
            help="the least IoU that is ok, between 0 and 1 (default: %(default)g)",
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
            default=SOFTNESS,
            help="of the first stage: a shipped one, or a scale in pixels of an image 64 pixels long "
            "(default: %(default)s)",
        )
        add_backend(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Load, search, write; return whether the pose is ok."""
        if scale_of(arguments.softness) == 0:
            raise ValueError("--softness must be greater than 0: a hard silhouette has no slope")
        output = arguments.output
        check_output(output, "--output")
        overlay = arguments.overlay or output.with_name(f"{output.stem}_overlay.png")
        check_output(overlay, "--overlay")
        check_image_format(overlay)
        mesh = load_mesh(arguments.mesh, materials=arguments.image is not None)
        masks = read_masks(arguments.mask)
        start = None if arguments.init is None else read_pose(arguments.init)
        if start is not None:
            start.check_world(arguments.cameras is not None)
        cameras = (
            None if arguments.cameras is None else cameras_of(arguments.mask, arguments.cameras)
        )
        K = _intrinsics(arguments, masks, start)
        assumed = K is None and cameras is None
        if assumed:
            height, width = masks.shape[1:]
            K = _of_field_of_view(FOV, (height, width))
        renderer = renderer_of(arguments.softness)
        init(arguments.backend)
        with warnings.catch_warnings():
            # It is in the verdict.
            warnings.filterwarnings("ignore", message="the mask looks inverted")
            found = fit_pose(
                mesh,
                masks,
                K,
                image=None if arguments.image is None else read_photos(arguments.image),
                init=None if start is None else (start.R, start.t),
                camera=cameras,
                invert=arguments.invert,
                min_iou=arguments.min_iou,
                steps=arguments.steps,
                starts=arguments.starts,
                seed=arguments.seed,
                renderer=renderer,
                report=lambda line: print(line, flush=True),
            )
        write_pose(found, output, in_world=cameras is not None)
        write_image(_overlay(mesh, 1 - masks if arguments.invert else masks, found), overlay)
        if assumed:
            print(
                f"assumed: a vertical field of view of {FOV:g} degrees; --fov or --intrinsics says it"
            )
        print(f"IoU {found.iou:.4f}, written to {output}; overlay: {overlay}")
        print(found.verdict)
        return OK if found.ok else NOT_OK


def _add_camera(parser: argparse.ArgumentParser) -> None:
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        "--fov",
        type=float,
        help=f"vertical field of view of the camera in degrees (default: {FOV:g}, or K of --init)",
    )
    camera.add_argument(
        "--intrinsics",
        type=float,
        nargs=4,
        metavar=("FX", "FY", "CX", "CY"),
        help="instead, in pixels; the centre of the first pixel is at (0.5, 0.5)",
    )
    camera.add_argument(
        "--cameras",
        type=Path,
        help="instead, of one view or several: a transforms.json of NeRF or the folder of a COLMAP model, "
        "with photos named as the masks are but for the suffix; in the units of the mesh",
    )


def _intrinsics(arguments: argparse.Namespace, masks: Tensor, start: Start | None) -> Tensor | None:
    """Return K, (3, 3), as far as it is said, and not by ``--cameras``."""
    if arguments.cameras is not None:
        return None
    if len(masks) > 1:
        raise ValueError(f"--cameras must be given for several masks, got {len(masks)} masks")
    if arguments.intrinsics is not None:
        fx, fy, cx, cy = arguments.intrinsics
        return torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    height, width = masks.shape[1:]
    if arguments.fov is not None:
        return _of_field_of_view(arguments.fov, (height, width))
    return None if start is None else start.intrinsics((height, width))


def _of_field_of_view(fov: float, size: tuple[int, int]) -> Tensor:
    return Camera.look_at((0.0, 0.0, 1.0), fov=fov, image_size=size).intrinsics[0]


@torch.no_grad()
def _overlay(mesh: Mesh, masks: Tensor, found: PoseFit) -> Tensor:
    """Return masks and silhouettes, the views side by side, (H, V W, 3)."""
    bare = Mesh(mesh.vertices, mesh.faces)
    drawn = SoftRasterizer.hard().silhouette(bare, found.camera)
    return torch.cat(list(torch.stack([masks, drawn, torch.zeros_like(drawn)], -1)), 1)
