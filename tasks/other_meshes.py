"""Objects of other kinds than those of `tasks.meshes`: a spring, stairs, and a ring with a stone."""

from __future__ import annotations

import numpy as np

from taichisoft import Mesh
from taichisoft.shapes.parts import combine
from taichisoft.shapes.solids import blocks, ellipsoid
from taichisoft.shapes.sweeps import circle, ring, tube


def other_meshes() -> dict[str, Mesh]:
    """Return the objects by name: closed, without a rotational symmetry, with a largest radius of 1."""
    return {"spring": spring(), "stairs": stairs(), "ring": stone_ring()}


def spring() -> Mesh:
    """Return two and a half turns of a wire that gets thinner and wider about the y axis, 756 faces."""
    along = np.linspace(0.0, 1.0, 42)
    angle, radius = 5 * np.pi * along, 0.3 + 0.5 * along
    path = np.stack([radius * np.cos(angle), 1.4 * along, radius * np.sin(angle)], 1)
    return combine([tube(path, 0.16 - 0.06 * along, 9)])


def stairs() -> Mesh:
    """Return four steps that rise along +z beside a wall that is as high as they are, on the side of +x."""
    filled = np.zeros((6, 8, 8), dtype=bool)
    for step in range(4):
        filled[:, : 2 * step + 2, 2 * step : 2 * step + 2] = True
    filled[5] = True
    return combine([blocks(filled)])


def stone_ring() -> Mesh:
    """Return a ring about the y axis that is thicker towards +z, with a stone there that leans to +x."""
    around = circle(32)
    path = np.stack([around[:, 1], np.zeros(32), around[:, 0]], 1)
    radii = 0.12 + 0.06 * around[:, 0]
    return combine([ring(path, radii, 10), ellipsoid((0.2, 0.15, 1.2), (0.45, 0.2, 0.3), 4)])
