"""A mug and a teapot."""

from __future__ import annotations

import numpy as np

from taichisoft.base.checks import check_integer
from taichisoft.geometry.mesh import Mesh
from taichisoft.shapes.parts import Part, combine
from taichisoft.shapes.sweeps import lathe, resample, tube


def mug(detail: int = 1) -> Mesh:
    """Return a tapered mug, open at the top, with a handle at +z.

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
    outside = resample([(0.2, 0.0), (0.42, 0.0), (0.6, 1.3)], 9 * detail)
    inside = resample([(0.52, 1.3), (0.36, 0.1), (0.15, 0.1)], 8 * detail)
    cup = lathe(np.concatenate([outside, inside]), 18 * detail)
    handle = _handle(
        [(1.1, 0.53), (1.15, 0.8), (0.95, 1.05), (0.6, 1.0), (0.3, 0.45)], 0.07, detail
    )
    return combine([cup, handle])


def teapot(detail: int = 1) -> Mesh:
    """Return a pot with a lid, a spout at +z and a handle at -z.

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
    belly = [
        (0.0, 0.0), (0.45, 0.0), (0.68, 0.22), (0.72, 0.45), (0.6, 0.72), (0.4, 0.88),
        (0.3, 0.93), (0.1, 0.97), (0.13, 1.06), (0.08, 1.13), (0.0, 1.15),
    ]  # fmt: skip
    body = lathe(resample(belly, 15 * detail), 18 * detail)
    spine = resample(
        [(0.0, 0.3, 0.6), (0.0, 0.4, 0.85), (0.0, 0.75, 1.05), (0.0, 0.9, 1.2)], 6 * detail
    )
    spout = tube(spine, np.linspace(0.17, 0.07, len(spine)), 8 * detail)
    handle = _handle(
        [(0.8, 0.5), (0.85, 0.85), (0.65, 1.1), (0.35, 1.05), (0.2, 0.64)], 0.06, detail
    )
    return combine([body, spout, handle.turned(1, 180)])


def _handle(points: list[tuple[float, float]], radius: float, detail: int) -> Part:
    """Return a bent tube through points (y, z)."""
    path = resample([(0.0, y, z) for y, z in points], 9 * detail + 1)
    return tube(path, radius, 8 * detail)
