"""The recipes of the documentation: the files that they read, and what must come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

import taichisoft as ts


@dataclass(frozen=True)
class Recipe:
    """What is in the folder that a recipe runs in, and a check of its names when it has run."""

    files: Callable[[], None]
    check: Callable[[dict[str, Any]], None]


def painted_box() -> ts.Mesh:
    """Make a box with a part of one picture on each of its six faces."""
    corners = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1], indexing="ij")).reshape(3, 8).T
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    square = np.array([(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)])
    uv = [(square + (side % 3, side // 3)) / (3, 2) for side in range(6)]
    cut = [(0, 1, 2), (0, 2, 3)]
    rows = np.arange(24).reshape(6, 4)
    picture = torch.nn.functional.interpolate(
        torch.rand(1, 3, 6, 9, generator=torch.Generator().manual_seed(0)),
        size=(64, 96),
        mode="bilinear",
    )
    return ts.Mesh(
        torch.tensor(0.6 * corners, dtype=torch.float32),
        torch.tensor(np.array(sides)[:, cut].reshape(12, 3)),
        materials=(ts.Material(image=picture[0].permute(1, 2, 0).contiguous()),),
        uv=torch.tensor(np.concatenate(uv), dtype=torch.float32),
        uv_faces=torch.tensor(rows[:, cut].reshape(12, 3)),
    )


def write_colmap(folder: Path, camera: ts.Camera, names: list[str]) -> None:
    """Write a sparse model, as text."""
    height, width = camera.image_size
    k = camera.intrinsics[0]
    focal = f"{k[0, 0]} {k[1, 1]} {k[0, 2]} {k[1, 2]}"
    (folder / "cameras.txt").write_text(f"# one lens\n1 PINHOLE {width} {height} {focal}\n")
    lines = []
    for index, name in enumerate(names):
        x, y, z, w = Rotation.from_matrix(camera.rotation[index].numpy()).as_quat()
        shift = " ".join(str(float(value)) for value in camera.translation[index])
        lines += [f"{index + 1} {w} {x} {y} {z} {shift} 1 {name}", ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")


def write_photos() -> None:
    """Write 20 photos of a painted box before a wall, where they were taken from, and the bare box."""
    box = painted_box()
    for folder in ("dense/sparse", "dense/images"):
        Path(folder).mkdir(parents=True)
    turns, heights = torch.arange(20) * 54.0, torch.linspace(-60, 60, 20)
    camera = ts.Camera.orbit(3.0, turns, heights, image_size=(48, 64))
    render = ts.SoftRasterizer.hard(culling=ts.Culling.BACK, ssaa=2, background=(0.2, 0.9, 0.4))
    paths = render(box, camera).save("dense/images/photo.png", opacity=False)
    write_colmap(Path("dense/sparse"), camera, [path.name for path in paths])
    ts.save_mesh(box.with_materials(None), "mesh.obj")


def check_photos(names: dict[str, Any]) -> None:
    camera = ts.Camera.orbit(3.0, [20.0, 200.0], [30.0, -30.0], image_size=(48, 64))
    hard = ts.SoftRasterizer.hard(culling=ts.Culling.BACK)
    truth, found = (hard(x, camera).color for x in (painted_box(), ts.load_mesh("painted.glb")))
    assert (truth - found).abs().mean() < 0.01
    assert truth.mean() > 0.1


def write_depth() -> None:
    """Write a part, and a depth map of it elsewhere, partly behind something."""
    part, camera = (
        ts.shapes.bracket(),
        ts.Camera.look_at((1.0, 1.0, 3.0), fov=40, image_size=(40, 40)),
    )
    ts.save_mesh(part, "part.stl")
    image = ts.SoftRasterizer.hard()(part.with_vertices(part.vertices + SHIFT), camera)
    np.save("depth.npy", torch.where(image.alpha > 0, image.depth, torch.nan)[0].numpy())
    seen = np.ones((40, 40), bool)
    seen[16:22] = False
    np.save("seen.npy", seen)


SHIFT = torch.tensor([0.1, -0.1, 0.2])


def check_depth(names: dict[str, Any]) -> None:
    assert (names["found"].parameters["shift"] - SHIFT).norm() < 0.03
    assert Path("part.gif").is_file()


RECIPES = {
    "photos": Recipe(write_photos, check_photos),
    "depth_map": Recipe(write_depth, check_depth),
}
