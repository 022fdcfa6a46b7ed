"""``taichisoft render``: a mesh file to an image file."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

from taichisoft.base.backend import init
from taichisoft.cameras.camera import Camera
from taichisoft.cli.command import OK, Command, add_backend, check_output, parse_size, renderer_of
from taichisoft.cli.framing import filling_distance
from taichisoft.diagnosis.situation import situation_of
from taichisoft.files.images import check_image_format, write_image
from taichisoft.files.meshes import load_mesh
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.stray_vertices import without_stray_vertices
from taichisoft.render.lamps import lamps_for
from taichisoft.render.rasterizer import SoftRasterizer


class Render(Command):
    """Draw a mesh."""

    name = "render"
    summary = (
        "draw a mesh into an image file, with its textures and colours or shaded by its normals"
    )
    example = "taichisoft render mesh.obj -o out.png --size 640x480 --azimuth 30 --elevation 20"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("mesh", help="OBJ, PLY, STL, GLB, glTF or OFF file")
        parser.add_argument("-o", "--output", type=Path, required=True, help="image file to write")
        parser.add_argument(
            "--size",
            type=parse_size,
            default=(512, 512),
            metavar="WxH",
            help="width and height in pixels (default: 512x512)",
        )
        parser.add_argument(
            "--azimuth",
            type=float,
            default=30.0,
            help="degrees from +z towards +x (default: %(default)g)",
        )
        parser.add_argument(
            "--elevation",
            type=float,
            default=20.0,
            help="degrees towards +y (default: %(default)g)",
        )
        parser.add_argument(
            "--distance",
            type=float,
            help="of the camera from the middle of the mesh, in radii of the mesh (default: the mesh "
            "fills the view)",
        )
        parser.add_argument(
            "--fov",
            type=float,
            default=40.0,
            help="vertical field of view in degrees (default: %(default)g)",
        )
        parser.add_argument(
            "--softness",
            default="0.5",
            help="standard deviation of a Gaussian in pixels, 0 for hard edges, or the name of a shipped "
            "softness, as at the end of an optimisation (default: %(default)s)",
        )
        parser.add_argument(
            "--background",
            type=_parse_color,
            metavar="R,G,B",
            help="in [0, 1], or one number for grey (default: transparent)",
        )
        parser.add_argument(
            "--silhouette", action="store_true", help="draw white on black instead, a grey image"
        )
        add_backend(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Load, draw, write."""
        if arguments.distance is not None and not 0 < arguments.distance < math.inf:
            raise ValueError(f"--distance must be greater than 0, got {arguments.distance}")
        check_output(arguments.output, "--output")
        transparent = arguments.background is None and not arguments.silhouette
        check_image_format(arguments.output, opacity=transparent)
        mesh = without_stray_vertices(load_mesh(arguments.mesh)).normalized()
        camera = _camera(arguments, mesh)
        renderer = renderer_of(arguments.softness)
        renderer.set_progress(1.0)
        init(arguments.backend)
        if renderer.softness.is_conditioned:
            colors = not arguments.silhouette
            renderer.set_situation(situation_of(mesh, camera, colors=colors))
        with torch.no_grad():
            if arguments.silhouette:
                image = renderer.silhouette(mesh, camera)[0]
            else:
                image = _draw(renderer, mesh, camera, arguments.background)
        write_image(image, arguments.output)
        return OK


def _camera(arguments: argparse.Namespace, mesh: Mesh) -> Camera:
    view = (arguments.azimuth, arguments.elevation)
    distance = arguments.distance
    if distance is None:
        distance = filling_distance(mesh.vertices, *view, arguments.fov, arguments.size)
    return Camera.orbit(distance, *view, fov=arguments.fov, image_size=arguments.size)


def _draw(
    renderer: SoftRasterizer, mesh: Mesh, camera: Camera, background: Tensor | None
) -> Tensor:
    """Return RGB over a background, (H, W, 3), or RGB and opacity, (H, W, 4)."""
    if background is not None:
        renderer.background = background if len(background) > 1 else background[0]
    rendered = renderer(mesh, camera, lighting=lamps_for(mesh, camera))
    assert rendered.color is not None
    return rendered.rgba()[0] if background is None else rendered.color[0]


def _parse_color(text: str) -> Tensor:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(0 <= number <= 1 for number in numbers):
        raise argparse.ArgumentTypeError(
            f"must be one or three numbers in [0, 1], such as 1,1,1, got {text!r}"
        )
    return torch.tensor(numbers)
