"""A hammer, a key, a wrench and a bracket."""

from __future__ import annotations

import numpy as np

from taichisoft.base.checks import check_integer
from taichisoft.geometry.mesh import Mesh
from taichisoft.shapes.parts import Part, combine
from taichisoft.shapes.solids import blocks, box
from taichisoft.shapes.sweeps import circle, resample, ring, tube


def hammer(detail: int = 1) -> Mesh:
    """Return a claw hammer, handle down, face towards +z and claw bent down at -z.

    Parameters
    ----------
    detail : int
        Factor on the number of divisions, at least 1; the number of faces grows by its square.

    Raises
    ------
    TypeError, ValueError
        ``detail`` is no int, or less than 1.
    """
    check_integer(detail, "detail", minimum=1)
    grip = resample([(0.0, -1.0, 0.0), (0.0, 0.5, 0.0)], 13 * detail)
    swell = 1 + 0.25 * np.cos(np.linspace(0.0, np.pi, len(grip)))
    handle = tube(grip, np.stack([0.075 * swell, 0.1 * swell], 1), 10 * detail)
    barrel = resample([(-0.2, 0.12), (0.25, 0.12), (0.3, 0.17), (0.48, 0.17)], 8 * detail)
    head = np.stack([np.zeros(len(barrel)), np.full(len(barrel), 0.42), barrel[:, 0]], 1)
    bends = [(0.03, 0.43, -0.15), (0.05, 0.4, -0.4), (0.09, 0.28, -0.62), (0.12, 0.1, -0.75)]
    spine = resample(bends, 8 * detail)
    fade = np.linspace(1.0, 0.35, len(spine))
    claw = tube(spine, np.stack([0.075 * fade, 0.1 * fade], 1), 8 * detail)
    return combine([handle, tube(head, barrel[:, 1], 12 * detail), claw, claw.mirrored()])


def key(detail: int = 1) -> Mesh:
    """Return a key in the plane x = 0: a ring on top, teeth of two lengths towards +z.

    Parameters
    ----------
    detail : int
        Factor on the number of divisions, at least 1; the number of faces grows by its square.

    Raises
    ------
    TypeError, ValueError
        ``detail`` is no int, or less than 1.
    """
    check_integer(detail, "detail", minimum=1)
    bow = _flat_ring((0.7, 0.0), 0.3, (0.09, 0.1), 20 * detail, 8 * detail)
    shaft = tube(resample([(0, -1.0, 0), (0, 0.42, 0)], 12 * detail), 0.08, 8 * detail)
    teeth = [
        box((0, y, 0.05 + reach / 2), (0.1, 0.14, reach), [detail, detail, count * detail])
        for y, reach, count in ((-0.92, 0.4, 3), (-0.68, 0.26, 2), (-0.44, 0.4, 3))
    ]
    return combine([bow, shaft, *teeth])


def wrench(detail: int = 1) -> Mesh:
    """Return a spanner in the plane x = 0: a small ring below, a tilted open jaw on top.

    Parameters
    ----------
    detail : int
        Factor on the number of divisions, at least 1; the number of faces grows by its square.

    Raises
    ------
    TypeError, ValueError
        ``detail`` is no int, or less than 1.
    """
    check_integer(detail, "detail", minimum=1)
    closed = _flat_ring((-0.85, 0.0), 0.17, (0.08, 0.08), 16 * detail, 8 * detail)
    shaft = box((0, -0.12, 0), (0.1, 1.12, 0.2), [detail, 11 * detail, 2 * detail])
    angles = np.radians(np.linspace(60.0, 330.0, 15 * detail))
    arc = np.stack([np.zeros_like(angles), np.cos(angles), np.sin(angles)], 1) * 0.28
    fade = np.linspace(1.0, 0.75, len(arc))
    jaw = tube(arc, np.stack([0.08 * fade, 0.12 * fade], 1), 8 * detail)
    return combine([closed, shaft, jaw.moved((0, 0.68, 0))])


def bracket(detail: int = 1) -> Mesh:
    """Return a block letter F in the plane z = 0, read from +z, whose foot points to +z.

    It has no symmetry at all: not even a mirror.

    Parameters
    ----------
    detail : int
        Factor on the number of divisions, at least 1; the number of faces grows by its square.

    Raises
    ------
    TypeError, ValueError
        ``detail`` is no int, or less than 1.
    """
    check_integer(detail, "detail", minimum=1)
    cells = np.zeros((4, 6, 3), dtype=bool)
    cells[0, :, 0] = True
    cells[:, 5, 0] = True
    cells[:3, 3, 0] = True
    cells[0, 0, :] = True
    fine = np.kron(cells, np.ones((2 * detail,) * 3, dtype=bool))
    return combine([blocks(fine)])


def _flat_ring(
    center: tuple[float, float],
    radius: float,
    thickness: tuple[float, float],
    segments: int,
    sides: int,
) -> Part:
    """Return a ring about (y, z) in the plane x = 0; half thickness along x and in the plane."""
    around = circle(segments) * radius + center
    path = np.concatenate([np.zeros((segments, 1)), around], 1)
    return ring(path, np.broadcast_to(thickness, (segments, 2)), sides)
