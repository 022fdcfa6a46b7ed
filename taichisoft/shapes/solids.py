"""Spheres, ellipsoids, boxes and blocks, all closed, with triangles of even size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from taichisoft.shapes.parts import Part, Point, outward


def geodesic(frequency: int) -> Part:
    """Return a unit sphere: an icosahedron with edges cut into ``frequency``, 20 n^2 faces."""
    corners, triangles = _icosahedron()
    weights, local = _triangle_grid(frequency)
    points = np.einsum("nc,fcd->fnd", weights, corners[triangles]).reshape(-1, 3)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    faces = (local + len(weights) * np.arange(len(triangles))[:, None, None]).reshape(-1, 3)
    # rounding finds the points that two triangles share; the first of each is kept as it is
    _, first, index = np.unique(points.round(9), axis=0, return_index=True, return_inverse=True)
    return outward(points[first], index.reshape(-1)[faces])


def ellipsoid(center: Point, radii: Point, frequency: int) -> Part:
    """Return an ellipsoid with ``20 frequency^2`` faces."""
    sphere = geodesic(frequency)
    return Part(sphere.vertices * np.asarray(radii) + np.asarray(center), sphere.faces)


def box(center: Point, size: Point, cells: Sequence[int]) -> Part:
    """Return a box whose sides are divided into ``cells`` along x, y and z."""
    part = blocks(np.ones(cells, dtype=bool))
    scale = np.asarray(size, dtype=float) / np.asarray(cells)
    return Part((part.vertices - np.asarray(cells) / 2) * scale + np.asarray(center), part.faces)


def blocks(filled: np.ndarray) -> Part:
    """Return the surface of the filled unit cells of a boolean grid (X, Y, Z).

    Cells must not touch at an edge or a corner only, else the surface is not a manifold.
    """
    padded = np.pad(filled.astype(bool), 1)
    quads = []
    for axis in range(3):
        for step in (-1, 1):
            exposed = padded & ~np.roll(padded, -step, axis)
            cells = np.argwhere(exposed) - 1
            quads.append(cells[:, None] + _side_corners(axis, step))
    corners = np.concatenate(quads)
    vertices, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    index = index.reshape(-1, 4)
    faces = np.concatenate([index[:, [0, 1, 2]], index[:, [0, 2, 3]]])
    return outward(vertices.astype(float), faces)


def _side_corners(axis: int, step: int) -> np.ndarray:
    """Return the four corners of one side of the unit cell, counter-clockwise from outside."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    corners = np.zeros((4, 3), dtype=int)
    corners[:, [(axis + 1) % 3, (axis + 2) % 3]] = square if step > 0 else square[::-1]
    corners[:, axis] = step > 0
    return corners


def _icosahedron() -> tuple[np.ndarray, np.ndarray]:
    golden = (1 + 5**0.5) / 2
    plane = np.array([[-1, golden, 0], [1, golden, 0], [-1, -golden, 0], [1, -golden, 0]])
    corners = np.concatenate([np.roll(plane, shift, axis=1) for shift in range(3)])
    distances = np.linalg.norm(corners[:, None] - corners, axis=2)
    near = np.isclose(distances, 2.0)
    triangles = [
        (a, b, c)
        for a in range(12)
        for b in range(a + 1, 12)
        for c in range(b + 1, 12)
        if near[a, b] and near[b, c] and near[a, c]
    ]
    faces = np.array(triangles)
    volume = np.einsum("ij,ij->i", corners[faces[:, 0]], np.cross(*corners[faces.T[1:]]))
    faces[volume < 0] = faces[volume < 0][:, ::-1]
    return corners / np.linalg.norm(corners, axis=1, keepdims=True), faces


def _triangle_grid(frequency: int) -> tuple[np.ndarray, np.ndarray]:
    """Return barycentric weights (N, 3) and faces (frequency^2, 3) of a divided triangle."""
    steps = [(i, j) for i in range(frequency + 1) for j in range(frequency + 1 - i)]
    index = {step: number for number, step in enumerate(steps)}
    faces = []
    for i, j in steps:
        if i + j < frequency:
            faces.append((index[i, j], index[i + 1, j], index[i, j + 1]))
        if i + j < frequency - 1:
            faces.append((index[i + 1, j], index[i + 1, j + 1], index[i, j + 1]))
    weights = np.array([(frequency - i - j, i, j) for i, j in steps]) / frequency
    return weights, np.array(faces)
