"""`turntable`: a mesh that turns, as an animated GIF."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
from torch import Tensor

from taichisoft.appearance.background import Background
from taichisoft.appearance.lights import Lighting
from taichisoft.appearance.texture import Texture
from taichisoft.base.checks import (
    check_image_size,
    check_integer,
    check_number,
    check_type,
)
from taichisoft.base.eager import eager
from taichisoft.cameras.camera import Camera
from taichisoft.files.animations import frame_of, write_gif
from taichisoft.geometry.mesh import Mesh
from taichisoft.render.lamps import lamps_for
from taichisoft.render.rasterizer import SoftRasterizer

WHITE = 1.0
# Of the default renderer: it has hard edges, which steps of a pixel show.
SSAA = 2
# Share of the view that the sphere around the mesh spans.
FILL = 0.95
# A GIF counts hundredths of a second.
TICK_MS = 10
# What it can count of one frame, in seconds; equal frames, up to all, become one.
LONGEST = 655.35


@eager
@torch.no_grad()
def turntable(
    mesh: Mesh,
    path: str | os.PathLike,
    *,
    renderer: SoftRasterizer | None = None,
    colors: Tensor | Texture | None = None,
    lighting: Lighting | None = None,
    background: Background | None = None,
    frames: int = 36,
    duration: float = 4.0,
    image_size: tuple[int, int] = (256, 256),
    elevation: float = 20.0,
    fov: float = 40.0,
) -> None:
    """Save an animated GIF of a mesh that turns once about its y axis, which points up.

    The camera goes round the middle of its bounding box, so far away that the mesh is in view from every
    side, and starts in front, on the side of +z.

    Parameters
    ----------
    mesh : Mesh
        One mesh.
    path : path
        File to write, ``"x.gif"``; an existing one is replaced. The folder must exist.
    renderer : SoftRasterizer, optional
        What draws it, as it is. Default: hard edges, with four samples a pixel.
    colors : Tensor or Texture, optional
        As for `SoftRasterizer.forward`: of one or three channels, as has the mesh's own.
    lighting : Lighting, optional
        By default colours are shown as they are. A mesh without any is lit from over the left shoulder of
        the camera.
    background : float, sequence of float, or Tensor, optional
        Of the default renderer, white unless given. Another renderer has its own.
    frames : int
        How many, at least 1.
    duration : float
        Of the turn, in seconds; of a frame it is rounded to hundredths, of which it has at least one.
        At most 655.35, what a GIF file can say of one frame.
    image_size : (int, int)
        Height and width in pixels.
    elevation : float
        In degrees above the plane of x and z.
    fov : float
        Vertical field of view in degrees, between 0 and 180.

    Raises
    ------
    TypeError, ValueError
        A bad argument: a path that does not end in .gif, a batch, no vertices, or other channels.
    OSError
        The folder does not exist, or the file cannot be written.
    """
    path = _checked_path(path)
    _check_one(mesh)
    check_integer(frames, "frames", minimum=1)
    ticks = _ticks_of(duration, frames)
    if renderer is None:
        renderer = SoftRasterizer.hard(
            background=WHITE if background is None else background, ssaa=SSAA
        )
    else:
        check_type(renderer, "renderer", SoftRasterizer)
        if background is not None:
            raise ValueError(
                "background must not be given with a renderer, which has its own, got both"
            )
    pictures = []
    for camera in _around(mesh, frames, check_image_size(image_size), elevation, fov):
        light = lamps_for(mesh, camera, colors) if lighting is None else lighting
        color = renderer(mesh, camera, colors, lighting=light).color
        assert color is not None
        pictures.append(frame_of(color, "the colour of a frame"))
    write_gif(pictures, [TICK_MS * ticks] * frames, path)


def _checked_path(path: str | os.PathLike) -> Path:
    path = Path(check_type(path, "path", (str, os.PathLike)))
    if path.suffix.lower() != ".gif":
        raise ValueError(f"path must end in .gif, got {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must be in an existing folder, got {path}")
    return path


def _ticks_of(duration: float, frames: int) -> int:
    """Return how long each frame is shown, in hundredths of a second."""
    duration = check_number(duration, "duration", above=0)
    if duration > LONGEST:
        raise ValueError(f"duration must be at most {LONGEST} seconds, got {duration:g}")
    # All together may not be longer, by rounding up either.
    most = round(1000 * LONGEST / TICK_MS) // frames
    return max(1, min(most, round(1000 * duration / frames / TICK_MS)))


def _check_one(mesh: Mesh) -> None:
    check_type(mesh, "mesh", Mesh)
    if mesh.batch_size > 1:
        raise ValueError(f"mesh must be one mesh, got a batch of {mesh.batch_size}")
    if mesh.num_vertices == 0:
        raise ValueError("mesh must have vertices to be shown, got none")


def _around(
    mesh: Mesh, frames: int, image_size: tuple[int, int], elevation: float, fov: float
) -> list[Camera]:
    """Return cameras on a circle, which see the sphere around the mesh."""
    elevation = check_number(elevation, "elevation")
    half = math.radians(check_number(fov, "fov", above=0, below=180)) / 2
    vertices = mesh.vertices.reshape(-1, 3).double()
    middle = vertices.amin(0) / 2 + vertices.amax(0) / 2
    radius = float((vertices - middle).norm(dim=-1).max()) or 1.0
    height, width = image_size
    narrower = math.atan(math.tan(half) * min(1.0, width / height))
    distance = radius / math.sin(FILL * narrower)
    middle = middle.to(mesh.vertices)
    return [
        Camera.orbit(
            distance,
            360 * frame / frames,
            elevation,
            at=middle,
            fov=fov,
            image_size=image_size,
            near=(distance - radius) / 2,
            dtype=mesh.dtype,
            device=mesh.device,
        )
        for frame in range(frames)
    ]
