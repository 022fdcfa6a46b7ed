"""Pictures of coloured planes that hide each other, and what is seen of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from taichisoft import Camera, Mesh, SoftRasterizer
from tasks.outlines import area, inside, recolored, tessellate, tessellated_faces
from tasks.shading import over

# Grey is about equally far from all saturated colours.
BACKGROUND = 0.5
# The part of a pair that must be hidden for its order to count, in square image heights.
LEAST_OVERLAP = 0.01
GRID = 32
# Of a wall that fills the picture: how far its edges are from the centre, in larger sides of the picture.
WALL = 4.0
# No depth is in front of the camera: only differences of depth count.
NEAR = -1e6


@dataclass(frozen=True, eq=False)
class Layers:
    """K planes parallel to the image, or P times K of them.

    Parameters
    ----------
    outlines : Tensor, (..., K, 12, 2)
        Polygons about the origin, in image heights; x right, y up.
    colors : Tensor, (..., K, F, 3)
        Of the faces of each plane, in [0, 1]; F is a number of faces that `tessellate` knows.
    offset : Tensor, (..., K, 2)
        Where the origins lie, relative to the centre of the image.
    depth : Tensor, (..., K)
        Nearer planes have the smaller one.
    """

    outlines: Tensor
    colors: Tensor
    offset: Tensor
    depth: Tensor

    def seen(self) -> tuple[Tensor, Tensor]:
        """Return what a picture of K planes shows of their order, and of each.

        Returns
        -------
        Tensor, (K, K)
            Bool. Entry (i, j): plane i hides at least 0.01 square image heights of plane j, not
            counting where a third plane hides both.
        Tensor, (K,)
            The share of each plane that is in front, within the middle square of the picture.
        """
        line = (torch.arange(GRID, dtype=torch.float64) + 0.5) / GRID - 0.5
        covered = inside(torch.cartesian_prod(line, line), self.outlines + self.offset[:, None])
        depths = torch.where(covered, self.depth[:, None], math.inf)
        front = (covered & (depths == depths.amin(0))).double()
        hidden = (front @ covered.double().mT / len(line) ** 2).fill_diagonal_(0)
        return hidden >= LEAST_OVERLAP, front.mean(-1) / area(self.outlines)

    def with_faces(self, faces: int) -> Layers:
        """Return these planes, of 36 faces each, with another number of faces: 12, 36 or 144."""
        return replace(self, colors=recolored(self.colors, faces))

    def at(self, depth: Tensor, offset: Tensor) -> Mesh:
        """Return P times K planes at other depths (P, K) and offsets (P, K, 2) as P meshes."""
        count = self.colors.shape[-2]
        flat = torch.nn.functional.pad(tessellate(self.outlines, count), (0, 1))
        places = torch.cat([offset, -depth[..., None]], -1)
        first = flat.shape[-2] * torch.arange(depth.shape[1])[:, None, None]
        return Mesh(
            (flat + places[:, :, None]).flatten(1, 2),
            (tessellated_faces(count) + first).flatten(0, 1),
            face_colors=self.colors.flatten(1, 2),
        )


def with_wall(planes: Mesh, depth: Tensor, image_size: tuple[int, int]) -> Mesh:
    """Return P meshes of `Layers.at` with a face more, of the background's colour, that fills the picture.

    Parameters
    ----------
    planes : Mesh
        P meshes.
    depth : Tensor, (P,)
        Of the face, which is parallel to the image.
    image_size : (int, int)
        Height and width in pixels of the picture.
    """
    height, width = image_size
    away = WALL * max(1.0, width / height)
    # One face has no seam. The circle about the centre with this radius touches its three edges.
    corners = planes.vertices.new_tensor([(-(3**0.5), -1.0), (3**0.5, -1.0), (0.0, 2.0)]) * away
    places = torch.cat(
        [corners.expand(len(depth), -1, -1), -depth[:, None, None].expand(-1, 3, 1)], -1
    )
    face = torch.arange(3)[None] + planes.vertices.shape[1]
    grey = planes.vertices.new_full((len(depth), 1, 3), BACKGROUND)
    return Mesh(
        torch.cat([planes.vertices, places], 1),
        torch.cat([planes.faces, face.to(planes.faces)]),
        face_colors=torch.cat([planes.face_colors, grey], 1),
    )


def picture(planes: Mesh, image_size: tuple[int, int], renderer: SoftRasterizer) -> Tensor:
    """Return orthographic pictures of `Layers.at`, one image height high, on grey; (P, H, W, 3).

    Differentiable as the renderer is. The background does not depend on that of the renderer.
    """
    seen = renderer(planes, camera_of(planes, image_size))
    return over(seen, BACKGROUND, renderer.background)


def camera_of(planes: Mesh, image_size: tuple[int, int]) -> Camera:
    """Return the camera of `picture`."""
    return Camera.orthographic(
        (0.0, 0.0, 0.0),
        at=(0.0, 0.0, -1.0),
        height=1.0,
        image_size=image_size,
        near=NEAR,
        dtype=planes.dtype,
    )


def stack(layers: Sequence[Layers], dtype: torch.dtype) -> Layers:
    """Return P times K planes as one, of a float type."""
    values = ([getattr(one, field.name) for one in layers] for field in fields(Layers))
    return Layers(*(torch.stack(value).to(dtype) for value in values))
