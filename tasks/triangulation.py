"""Random triangulations of a picture: vertices on its contours and between, colours that are means."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from matplotlib.tri import Triangulation as Delaunay
from torch import Tensor

# How far the boundary lies outside of the frame, in heights of the frame: soft edges there are not seen.
MARGIN = 0.05
FEWEST_TRIANGLES = 4

# Vertices go to contours first, until they are this near to each other, in spacings, or are this share.
CONTOUR_GAP = 0.4
CONTOUR_SHARE = 0.7
# Difference of neighbouring pixels (Euclidean, of RGB) that makes a contour.
CONTOUR_STEP = 0.1

# Of these, the point farthest from all others is taken: irregular, but without slivers.
CANDIDATES = 16
# Samples of a pixel along each axis when colours are averaged.
SAMPLES = 2


@dataclass(frozen=True, eq=False)
class Triangulation:
    """Triangles that cover a frame of height 1, centred on the origin, x right and y up.

    Parameters
    ----------
    inner : Tensor, (I, 2), float64
        Vertices inside the boundary.
    boundary : Tensor, (B, 2), float64
        Vertices on a rectangle that is larger than the frame by 0.05 on each side.
    faces : Tensor, (2 I + B - 2, 3), int64
        Indices of the inner vertices, then of the boundary ones; counter-clockwise.
    spacing : float
        Length of the edges if all triangles were equilateral.
    """

    inner: Tensor
    boundary: Tensor
    faces: Tensor
    spacing: float

    @property
    def vertices(self) -> Tensor:
        """The inner vertices, then those of the boundary, (I + B, 2)."""
        return torch.cat([self.inner, self.boundary])

    def colors(self, picture: Tensor) -> Tensor:
        """Return the mean colour of a picture (H, W, C) float64 over each face, (F, C).

        Every pixel counts with 2 x 2 samples. A face without any has the mean colour of the picture.
        """
        face = self._face_of_samples(picture.shape[0], picture.shape[1])
        samples = picture.repeat_interleave(SAMPLES, 0).repeat_interleave(SAMPLES, 1).flatten(0, 1)
        sums = samples.new_zeros(len(self.faces), picture.shape[2]).index_add(0, face, samples)
        counts = torch.bincount(face, minlength=len(self.faces))[:, None]
        return torch.where(counts > 0, sums / counts.clamp(min=1), picture.mean((0, 1)))

    def _face_of_samples(self, height: int, width: int) -> Tensor:
        """Return the face at each sample, row by row from the top left, (4 H W,)."""
        find = Delaunay(*self.vertices.T.numpy(), self.faces.numpy()).get_trifinder()
        rows, columns = (
            (torch.arange(n * SAMPLES, dtype=torch.float64) + 0.5) / SAMPLES
            for n in (height, width)
        )
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        x, y = _in_frame(x, y, height, width).flatten(0, 1).T.numpy()
        return torch.from_numpy(find(x, y)).long()


def triangulate(picture: Tensor, triangles: int, generator: torch.Generator) -> Triangulation:
    """Return a random Delaunay triangulation of a picture's frame, finer along contours.

    Parameters
    ----------
    picture : Tensor, (H, W, C), float64
    triangles : int
        Number of faces, at least 4; an odd number gives one less.
    generator : torch.Generator
        Where the inner vertices come from.

    Notes
    -----
    I inner and B boundary vertices make 2 I + B - 2 faces, however they lie. So the numbers of vertices
    and faces depend on the shape of the picture and on ``triangles`` alone. Points are spread by taking
    the best of some candidates (Mitchell, SIGGRAPH 1991).
    """
    size = torch.tensor([picture.shape[1] / picture.shape[0], 1.0], dtype=torch.float64)
    size = size + 2 * MARGIN
    spacing = math.sqrt(float(size.prod()) / triangles * 4 / math.sqrt(3))
    boundary = _boundary(size, spacing, triangles)
    count = (triangles + 2 - len(boundary)) // 2
    contour = _contour(picture, generator)
    on_contour = _farthest(
        round(CONTOUR_SHARE * count) if len(contour) else 0,
        boundary,
        lambda: contour[torch.randint(len(contour), (CANDIDATES,), generator=generator)],
        gap=CONTOUR_GAP * spacing,
    )
    between = _farthest(
        count - len(on_contour),
        torch.cat([boundary, on_contour]),
        lambda: size * (torch.rand(CANDIDATES, 2, generator=generator, dtype=torch.float64) - 0.5),
    )
    inner = torch.cat([on_contour, between])
    return Triangulation(inner, boundary, _delaunay(torch.cat([inner, boundary])), spacing)


def _in_frame(x: Tensor, y: Tensor, height: int, width: int) -> Tensor:
    """Return points (..., 2) of the frame from pixel coordinates."""
    return torch.stack([x - width / 2, height / 2 - y], -1) / height


def _contour(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Return points where the colour changes, (N, 2): between two pixels, moved by up to half a pixel.

    Points of a grid would make edges that run exactly through centres of pixels.
    """
    height, width = picture.shape[:2]
    down = (picture.diff(dim=0).norm(dim=-1) > CONTOUR_STEP).nonzero() + torch.tensor([1.0, 0.5])
    right = (picture.diff(dim=1).norm(dim=-1) > CONTOUR_STEP).nonzero() + torch.tensor([0.5, 1.0])
    between = torch.cat([down, right]).double()
    y, x = (between + torch.rand(between.shape, generator=generator) - 0.5).unbind(1)
    return _in_frame(x, y, height, width)


def _boundary(size: Tensor, spacing: float, triangles: int) -> Tensor:
    """Return evenly spaced points on a rectangle, (B, 2), with its corners.

    B is even and at most ``triangles``, so that there is an inner vertex.
    """
    while 2 * int((sides := (size / spacing).round().clamp(min=1)).sum()) > triangles:
        spacing *= 1.1
    horizontal, vertical = (torch.arange(int(n), dtype=torch.float64) / n - 0.5 for n in sides)
    # Each side starts at a corner and ends before the next one.
    low = torch.stack([horizontal, torch.full_like(horizontal, -0.5)], 1)
    right = torch.stack([torch.full_like(vertical, 0.5), vertical], 1)
    return torch.cat([low, right, -low, -right]) * size


def _farthest(
    count: int, fixed: Tensor, candidates: Callable[[], Tensor], *, gap: float = 0.0
) -> Tensor:
    """Return up to ``count`` points, each the candidate farthest from those before and from ``fixed``.

    Ends early when none is farther than ``gap``.
    """
    points = fixed
    for _ in range(count):
        some = candidates()
        distance, best = torch.cdist(some, points).amin(1).max(0)
        if distance <= gap:
            break
        points = torch.cat([points, some[best][None]])
    return points[len(fixed) :]


def _delaunay(points: Tensor) -> Tensor:
    """Return the faces, (F, 3), counter-clockwise."""
    faces = torch.from_numpy(Delaunay(*points.T.numpy()).triangles).long()
    a, b, c = points[faces].unbind(1)
    (x1, y1), (x2, y2) = (b - a).T, (c - a).T
    # Rounding may make faces without area of three vertices on one side of the rectangle.
    return faces[x1 * y2 - y1 * x2 > 1e-12]
