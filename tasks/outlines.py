"""Flat shapes: their outlines, how they are cut into triangles, and which points they cover."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from taichisoft.base.checks import check_integer
from tasks.detail import RATIO, cut_faces

# A multiple of the corners of every outline, so that all have the same faces.
BOUNDARY = 12
RINGS = (0.5, 1.0)
# Faces of an outline: those without the ring half-way, the usual ones, and those cut in four.
FEWEST_FACES = BOUNDARY
FACES = 3 * BOUNDARY
MOST_FACES = RATIO * FACES


def inside(points: Tensor, outlines: Tensor) -> Tensor:
    """Return which points lie in which polygons, by the parity of crossings to their right.

    Parameters
    ----------
    points : Tensor, (N, 2)
        Points x, y.
    outlines : Tensor, (..., M, 2)
        Corners of simple polygons.

    Returns
    -------
    Tensor, (..., N)
        Bool. On an edge it may be either.
    """
    x, y = points.unbind(-1)
    (x0, y0), (x1, y1) = (
        corners.unsqueeze(-3).unbind(-1) for corners in (outlines, outlines.roll(-1, -2))
    )
    straddles = (y0 > y[:, None]) != (y1 > y[:, None])
    # An edge that straddles a height is not level.
    slope = (x1 - x0) / torch.where(y1 == y0, 1, y1 - y0)
    right = x[:, None] < x0 + (y[:, None] - y0) * slope
    return (straddles & right).sum(-1) % 2 == 1


def check_faces(faces: object) -> None:
    """Raise TypeError or ValueError unless ``faces`` is a number of faces of an outline."""
    if check_integer(faces, "faces", minimum=1) not in (FEWEST_FACES, FACES, MOST_FACES):
        raise ValueError(f"faces must be {FEWEST_FACES}, {FACES} or {MOST_FACES}, got {faces}")


def tessellate(outlines: Tensor, faces: int = FACES) -> Tensor:
    """Return the vertices of outlines (..., 12, 2): the origin, a ring half-way, and the outline.

    With 12 faces there is no ring half-way, with 144 the middles of the edges of 36 come last.

    Returns
    -------
    Tensor, (..., V, 2)
        13, 25 or 85. Differentiable. The outlines must be star-shaped about the origin.
    """
    centre = torch.zeros_like(outlines[..., :1, :])
    if faces == FEWEST_FACES:
        return torch.cat([centre, outlines], -2)
    points = torch.cat([centre, *(radius * outlines for radius in RINGS)], -2)
    if faces == FACES:
        return points
    edges, _ = cut_faces(_usual_faces(), points.shape[-2])
    return torch.cat([points, points[..., edges, :].mean(-2)], -2)


def tessellated_faces(faces: int = FACES) -> Tensor:
    """Return the faces (F, 3) of `tessellate`, counter-clockwise if the outline is, int64."""
    usual = _usual_faces()
    if faces == FEWEST_FACES:
        return usual[:BOUNDARY]
    return usual if faces == FACES else cut_faces(usual, 1 + len(RINGS) * BOUNDARY)[1]


def recolored(colors: Tensor, faces: int) -> Tensor:
    """Return colours (..., F, C) of other faces from those of 36, (..., 36, C).

    The mean of the three on the way from the origin to an edge of the outline, or each four times.
    """
    if faces == FEWEST_FACES:
        return colors.unflatten(-2, (-1, BOUNDARY)).mean(-3)
    return colors if faces == FACES else colors.repeat_interleave(RATIO, -2)


def _usual_faces() -> Tensor:
    here = torch.arange(BOUNDARY)
    after = here.roll(-1)
    inner, outer = 1 + here, 1 + BOUNDARY + here
    inner_after, outer_after = 1 + after, 1 + BOUNDARY + after
    fan = torch.stack([torch.zeros_like(here), inner, inner_after], 1)
    strip = torch.stack([inner, outer, outer_after], 1)
    rest = torch.stack([inner, outer_after, inner_after], 1)
    return torch.cat([fan, strip, rest])


def area(outlines: Tensor) -> Tensor:
    """Return the areas (...) of polygons (..., M, 2), positive if counter-clockwise."""
    (x0, y0), (x1, y1) = outlines.unbind(-1), outlines.roll(-1, -2).unbind(-1)
    return (x0 * y1 - x1 * y0).sum(-1) / 2


def _outline(corners: Sequence[tuple[float, float]]) -> Tensor:
    """Return a polygon of unit area with 12 points, those added on its edges; (12, 2), float64."""
    points = torch.tensor(corners, dtype=torch.float64)
    parts = BOUNDARY // len(points)
    along = torch.arange(parts, dtype=torch.float64)[:, None] / parts
    edges = points[:, None] + along * (points.roll(-1, 0) - points)[:, None]
    polygon = edges.flatten(0, 1)
    return polygon / area(polygon).sqrt()


def _regular(corners: int, width: float = 1.0) -> Tensor:
    """Return a regular polygon, stretched to an aspect."""
    angles = [2 * math.pi * k / corners for k in range(corners)]
    return _outline([(width * math.cos(a), math.sin(a)) for a in angles])


def _box(width: float) -> Tensor:
    return _outline([(-width, -1), (width, -1), (width, 1), (-width, 1)])


def _corner() -> Tensor:
    """Return an L, about a point from which all of its outline is seen."""
    ends = [(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]
    return _outline([(x - 0.75, y - 0.75) for x, y in ends])


def _cross(arm: float) -> Tensor:
    quarter = [(arm, -arm), (1.0, -arm), (1.0, arm)]
    turned = quarter
    corners = []
    for _ in range(4):
        corners += turned
        turned = [(-y, x) for x, y in turned]
    return _outline(corners)


def _star(inner: float) -> Tensor:
    angles = [math.pi * k / 6 for k in range(12)]
    radii = [1.0, inner] * 6
    return _outline(
        [(r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]
    )


TRAIN_OUTLINES = MappingProxyType(
    {
        "square": _box(1.0),
        "rectangle": _box(1.8),
        "triangle": _regular(3),
        "disc": _regular(12),
    }
)
"""Polygons (12, 2) in float64, of area 1, counter-clockwise, to learn from."""

HELD_OUT_OUTLINES = MappingProxyType(
    {
        "hexagon": _regular(6),
        "ellipse": _regular(12, 1.6),
        "L": _corner(),
        "cross": _cross(0.4),
        "star": _star(0.6),
    }
)
"""Polygons like `TRAIN_OUTLINES`, to test on."""
