"""Closed surfaces made of many faces: how much larger they look under a softness, and what shines through."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

import taichisoft as ts

IMAGE_SIZE = 64
# Of the picture, in radii of the ball: the ball is 51 pixels wide.
HEIGHT = 2.5
# Parts of a pixel's side that the true silhouette is counted in.
FINE = 16
# A pixel is within the ball if it is this many widths of the softness, and pixels besides, inside its edge.
WITHIN = 2.0
# The middle of the picture: the disc of so many radii of the ball, within the smallest ball inside.
MIDDLE = 0.4
# Of the flat wall: pixels of a square of two faces, and squares in a row.
SIDE, SQUARES = 4, 14
RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Area:
    """How large a ball looks.

    Parameters
    ----------
    conorm : str
        The T-conorm.
    faces : int
        Of the ball.
    width : float
        Standard deviation of the Gaussian in pixels.
    bias : float
        Sum of alpha over the area of the true silhouette, minus 1.
    front_bias : float
        The same for the faces alone that look at the camera.
    least : float
        The smallest alpha two widths and two pixels inside the edge.
    """

    conorm: str
    faces: int
    width: float
    bias: float
    front_bias: float
    least: float


@dataclass(frozen=True)
class Leak:
    """What is seen of a ball inside another one.

    Parameters
    ----------
    conorm, order : str
        The T-conorm, and the order of depths.
    radius : float
        Of the ball inside, in radii of the outer one.
    width : float
        Standard deviation of the Gaussian in pixels.
    share : float
        Of the colour in the middle of the picture, that of the ball inside.
    """

    conorm: str
    order: str
    radius: float
    width: float
    share: float


@dataclass(frozen=True)
class Flat:
    """What is seen of a white wall made of many faces that lie in one plane, before a black one.

    Parameters
    ----------
    conorm, order : str
        The T-conorm, and the order of depths.
    width : float
        Standard deviation of the Gaussian in pixels.
    mean, least : float
        Of its colour, 1 if nothing shines through.
    """

    conorm: str
    order: str
    width: float
    mean: float
    least: float


def areas(
    conorms: Mapping[str, ts.Aggregation], subdivisions: tuple[int, ...], widths: tuple[float, ...]
) -> Iterator[Area]:
    """Yield how large balls look, each under every width and T-conorm."""
    camera = _camera()
    for number in subdivisions:
        ball = ts.shapes.icosphere(number)
        fine = ts.SoftRasterizer.hard(ssaa=FINE).silhouette(ball, camera)
        true = float(fine.sum())
        for width in widths:
            within = _within(1 - (WITHIN * width + WITHIN) * HEIGHT / IMAGE_SIZE)
            for name, conorm in conorms.items():
                draw = ts.SoftRasterizer(ts.Gaussian(width), conorm).silhouette
                alpha = draw(ball, camera)
                bias = float(alpha.sum()) / true - 1
                front = float(draw(_front(ball), camera).sum()) / true - 1
                least = float(alpha[0][within].min())
                yield Area(name, len(ball.faces), width, bias, front, least)


def smooth_disc(width: float) -> float:
    """Return the bias of the area of a disc that is one smooth face: by its curvature alone."""
    return (width * HEIGHT / IMAGE_SIZE) ** 2


def leaks(
    conorms: Mapping[str, ts.Aggregation],
    orders: Mapping[str, ts.FrontToBack],
    radii: tuple[float, ...],
    widths: tuple[float, ...],
) -> Iterator[Leak]:
    """Yield the share of a ball's colour through another ball of 1,280 faces."""
    camera, middle = _camera(), _within(MIDDLE)
    outer = ts.shapes.icosphere(3)
    for radius in radii:
        inner = outer.with_vertices(radius * outer.vertices)
        both = _together(outer, inner)
        for width in widths:
            for order, occlusion in orders.items():
                for name, conorm in conorms.items():
                    renderer = ts.SoftRasterizer(ts.Gaussian(width), conorm, occlusion)
                    color = renderer(both, camera).color[0][middle].mean(0)
                    yield Leak(name, order, radius, width, float(color[1] / color.sum()))


def flats(
    conorms: Mapping[str, ts.Aggregation],
    orders: Mapping[str, ts.FrontToBack],
    widths: tuple[float, ...],
) -> Iterator[Flat]:
    """Yield the colour of a flat wall of faces of four pixels, with corners in the middle of pixels."""
    camera = ts.Camera.orthographic(
        (0.0, 0.0, 3.0), height=1.0, image_size=(IMAGE_SIZE, IMAGE_SIZE)
    )
    mesh, middle = _before_a_wall(), slice(IMAGE_SIZE // 4, 3 * IMAGE_SIZE // 4)
    for width in widths:
        for order, occlusion in orders.items():
            for name, conorm in conorms.items():
                renderer = ts.SoftRasterizer(ts.Gaussian(width), conorm, occlusion)
                seen = renderer(mesh, camera).color[0, middle, middle, 0]
                yield Flat(name, order, width, float(seen.mean()), float(seen.min()))


def _before_a_wall() -> ts.Mesh:
    """Return a white grid of squares, two faces each, one unit before a large black face."""
    line = (SIDE * torch.arange(SQUARES + 1) - SIDE * SQUARES / 2 + 0.5) / IMAGE_SIZE
    grid = torch.nn.functional.pad(torch.cartesian_prod(line, line), (0, 1))
    start = torch.arange(SQUARES)
    a = (start[:, None] * (SQUARES + 1) + start).flatten()
    b = a + SQUARES + 1
    faces = torch.cat([torch.stack([a, b, b + 1], 1), torch.stack([a, b + 1, a + 1], 1)])
    black = torch.tensor([(-9.0, -9.0, -1.0), (9.0, -9.0, -1.0), (0.0, 9.0, -1.0)])
    behind = torch.arange(3)[None] + len(grid)
    colors = torch.ones(len(faces) + 1, 3)
    colors[-1] = 0.0
    return ts.Mesh(torch.cat([grid, black]), torch.cat([faces, behind]), face_colors=colors)


def _camera() -> ts.Camera:
    return ts.Camera.orthographic(
        (0.0, 0.0, 3.0), height=HEIGHT, image_size=(IMAGE_SIZE, IMAGE_SIZE)
    )


def _within(radius: float) -> Tensor:
    """Return which pixels lie in the disc of a radius about the centre, (H, W) bool."""
    line = ((torch.arange(IMAGE_SIZE) + 0.5) / IMAGE_SIZE - 0.5) * HEIGHT
    return torch.hypot(line[:, None], line[None]) < max(radius, 0.0) + math.ulp(1.0)


def _front(ball: ts.Mesh) -> ts.Mesh:
    """Return the faces of a ball about the origin that look along +z, at the camera."""
    corners = ball.vertices[ball.faces]
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outwards = normal * (normal * corners.mean(1)).sum(1, keepdim=True).sign()
    return ts.Mesh(ball.vertices, ball.faces[outwards[:, 2] > 0])


def _together(outer: ts.Mesh, inner: ts.Mesh) -> ts.Mesh:
    """Return a red and a green mesh as one."""
    counts = [len(outer.faces), len(inner.faces)]
    colors = torch.tensor([RED, GREEN]).repeat_interleave(torch.tensor(counts), 0)
    faces = torch.cat([outer.faces, inner.faces + len(outer.vertices)])
    return ts.Mesh(torch.cat([outer.vertices, inner.vertices]), faces, face_colors=colors)
