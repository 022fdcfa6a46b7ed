"""Surfaces swept along a path or about an axis, all closed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from taichisoft.shapes.parts import Part, Point, Points, outward


def loft(rings: np.ndarray, *, tips: tuple[Point | None, Point | None] = (None, None)) -> Part:
    """Skin a stack of rings (N, M, 3) and close both ends with a fan.

    ``tips`` are the centres of the fans; by default the mean of the end ring (a flat cap).
    """
    count, size, _ = rings.shape
    ends = [
        end.mean(0) if tip is None else np.asarray(tip, dtype=float)
        for end, tip in zip((rings[0], rings[-1]), tips, strict=True)
    ]
    vertices = np.concatenate([rings.reshape(-1, 3), ends])
    around = np.arange(size)
    following = (around + 1) % size
    start, last = count * size, (count - 1) * size
    caps = [
        np.stack([np.full(size, start), following, around], 1),
        np.stack([np.full(size, start + 1), last + around, last + following], 1),
    ]
    return outward(vertices, np.concatenate([_skin(count, size), *caps]))


def loop(rings: np.ndarray) -> Part:
    """Skin a cycle of rings (N, M, 3): the last is joined to the first, as in a torus."""
    count, size, _ = rings.shape
    faces = _skin(count + 1, size) % (count * size)
    return outward(rings.reshape(-1, 3), faces)


def circle(sides: int, *, phase: float = 0.0) -> np.ndarray:
    """Return the corners (sides, 2) of a regular polygon of radius 1, counter-clockwise."""
    angles = 2 * np.pi * (np.arange(sides) + phase) / sides
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def tube(
    path: np.ndarray,
    radii: float | Sequence[float] | np.ndarray,
    sides: int,
    *,
    normal: Point = (1.0, 0.0, 0.0),
) -> Part:
    """Sweep a circle, or an ellipse, along a path and close it with flat caps.

    Parameters
    ----------
    path : (N, 3)
        Centres of the rings.
    radii : scalar, (N,) or (N, 2)
        Radius at each centre; two columns: along the carried normal, and across.
    sides : int
        Corners of the circle.
    normal : 3 numbers
        Where the first corner of the first ring points; not along the path.
    """
    path = np.asarray(path, dtype=float)
    return loft(_sweep(path, np.gradient(path, axis=0), radii, sides, normal))


def ring(
    path: np.ndarray,
    radii: float | Sequence[float] | np.ndarray,
    sides: int,
    *,
    normal: Point = (1.0, 0.0, 0.0),
) -> Part:
    """Sweep a circle or ellipse along a closed, plane path; arguments as for `tube`.

    ``normal`` lies in the plane or is normal to it, so that the ends meet without a twist.
    """
    tangents = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    return loop(_sweep(path, tangents, radii, sides, normal))


def lathe(profile: Points, segments: int) -> Part:
    """Turn a profile of (radius, y) pairs about the y axis.

    The first and the last point are closed by a fan; where their radius is 0, to themselves.
    """
    outline = np.asarray(profile, dtype=float)
    tips = [(0.0, y, 0.0) if radius == 0 else None for radius, y in outline[[0, -1]]]
    kept = outline[outline[:, 0] > 0]
    around = circle(segments)
    rings = np.zeros((len(kept), segments, 3))
    rings[..., [2, 0]] = kept[:, None, :1] * around
    rings[..., 1] = kept[:, None, 1]
    return loft(rings, tips=(tips[0], tips[1]))


def resample(points: Points, count: int) -> np.ndarray:
    """Return ``count`` points at equal distances along a polyline, with its two ends."""
    corners = np.asarray(points, dtype=float)
    lengths = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    at = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(at, along, column) for column in corners.T], 1)


def _sweep(
    path: np.ndarray,
    tangents: np.ndarray,
    radii: float | Sequence[float] | np.ndarray,
    sides: int,
    normal: Point,
) -> np.ndarray:
    """Return rings (N, sides, 3) across the path, carrying the normal along without twist."""
    radii = np.asarray(radii, dtype=float)
    radii = np.broadcast_to(radii if radii.ndim == 2 else radii.reshape(-1, 1), (len(path), 2))
    rings = np.empty((len(path), sides, 3))
    carried = np.asarray(normal, dtype=float)
    for index, tangent in enumerate(tangents / np.linalg.norm(tangents, axis=1, keepdims=True)):
        carried = carried - tangent * (carried @ tangent)
        carried = carried / np.linalg.norm(carried)
        axes = np.stack([carried, np.cross(tangent, carried)])
        rings[index] = path[index] + (circle(sides) * radii[index]) @ axes
    return rings


def _skin(count: int, size: int) -> np.ndarray:
    """Return two triangles for each cell between consecutive rings."""
    ring_index, around = np.meshgrid(np.arange(count - 1), np.arange(size), indexing="ij")
    a = (ring_index * size + around).ravel()
    b = (ring_index * size + (around + 1) % size).ravel()
    return np.concatenate([np.stack([a, b, b + size], 1), np.stack([a, b + size, a + size], 1)])
