"""Which IoU tells a pose that was found from one that was not: that of `ts.fit_pose` on random poses.

``python -m benchmarks.pose_iou`` prints a table. Each mesh is seen in random poses, and searched for in its
mask, with few starts, so that not all are found, and in the mask of another mesh. A pose is found if its
rotation is less than 5 degrees off. Rough masks are those of a camera that is half a pixel off, in an image
of a third of the size: steps of three pixels, as of a mask that was drawn by hand.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

import taichisoft as ts
from meta.report.markdown import markdown_table
from taichisoft.geometry.rotations import angle_between, random_rotations

SIZE = 120
POSES = 2
STARTS = 6
STEPS = 50
FOUND = 5.0
COARSER = 3
# Columns of the table: shares of the searches at or below which the IoU is.
SHARES = (0.0, 0.05, 0.5, 0.95, 1.0)
Kind = dict[str, list[float]]


def views(count: int, size: int, generator: torch.Generator) -> Iterator[ts.Camera]:
    """Yield cameras in front of a mesh of radius 1, not all in the middle of the image."""
    for rotation in random_rotations(count, generator, torch.float32):
        distance = 3.0 + 2.0 * float(torch.rand((), generator=generator))
        camera = ts.Camera.orbit(distance, 0.0, fov=45.0, image_size=(size, size))
        shift = 0.15 * distance * (torch.rand(2, generator=generator) - 0.5)
        translation = torch.tensor([[*shift.tolist(), distance]])
        yield replace(camera, rotation=rotation[None], translation=translation)


def rough(mesh: ts.Mesh, camera: ts.Camera) -> Tensor:
    """Return the mask in steps of a few pixels, (H, W)."""
    height, width = camera.image_size
    moved = replace(
        camera, intrinsics=camera.intrinsics + torch.tensor([[0, 0, 0.5], [0, 0, 0.5], [0] * 3])
    )
    small = moved.resize((height // COARSER, width // COARSER))
    mask = ts.SoftRasterizer.hard().silhouette(mesh, small)[0]
    return mask.repeat_interleave(COARSER, 0).repeat_interleave(COARSER, 1)


def searched(names: list[str], poses: int, size: int, starts: int, steps: int) -> Kind:
    """Return the IoU of all searches, by what came of them."""
    generator = torch.Generator().manual_seed(0)
    kinds: Kind = {}
    meshes = {name: ts.shapes.OBJECTS[name]() for name in names}
    for index, name in enumerate(names):
        mesh, other = meshes[name], meshes[names[index - 1]]
        for camera in views(poses, size, generator):
            mask = ts.SoftRasterizer.hard().silhouette(mesh, camera)[0]
            for kind, target, model in (
                ("", mask, mesh),
                (", rough mask", rough(mesh, camera), mesh),
                ("another mesh", mask, other),
            ):
                found = ts.fit_pose(model, target, camera.intrinsics[0], steps=steps, starts=starts)
                angle = math.degrees(float(angle_between(found.R, camera.rotation[0])))
                outcome = "found" if angle < FOUND else "not found"
                label = kind if model is other else outcome + kind
                kinds.setdefault(label, []).append(found.iou)
                print(f"{name:10} {label:22} {found.iou:.4f} {angle:6.1f} degrees", flush=True)
    return kinds


def main(arguments: list[str] | None = None) -> None:
    """Print each search, and a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    objects = list(ts.shapes.OBJECTS)
    parser.add_argument("--meshes", nargs="+", choices=objects, default=objects)
    parser.add_argument("--poses", type=int, default=POSES, help="of each mesh")
    parser.add_argument("--size", type=int, default=SIZE, help="height and width in pixels")
    parser.add_argument("--starts", type=int, default=STARTS, help="of each search")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each stage of a search")
    given = parser.parse_args(arguments)
    kinds = searched(given.meshes, given.poses, given.size, given.starts, given.steps)
    columns = ["least", *(f"{100 * share:g} %" for share in SHARES[1:-1]), "largest"]
    rows = []
    for kind, values in sorted(kinds.items()):
        levels = torch.tensor(values).quantile(torch.tensor(SHARES)).tolist()
        rows.append((kind, str(len(values)), *(f"{level:.3f}" for level in levels)))
    print(markdown_table(("IoU", "searches", *columns), rows))


if __name__ == "__main__":
    main()
