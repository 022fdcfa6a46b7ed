"""A chair and a desk lamp."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from taichisoft.base.checks import check_integer
from taichisoft.geometry.mesh import Mesh
from taichisoft.shapes.parts import Part, Point, combine
from taichisoft.shapes.solids import box
from taichisoft.shapes.sweeps import lathe, resample, tube


def chair(detail: int = 1) -> Mesh:
    """Return a chair with four legs and a slanted back. One who sits on it looks along +z.

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

    def piece(center: Point, size: Point, cells: Sequence[int]) -> Part:
        return box(center, size, [count * detail for count in cells])

    seat = piece((0, 0.0, 0), (0.8, 0.1, 0.8), (5, 1, 5))
    back = piece((0, 0.5, 0), (0.8, 1.0, 0.1), (5, 6, 1)).turned(0, -10).moved((0, -0.02, -0.36))
    legs = [
        piece((x, -0.39, z), (0.1, 0.7, 0.1), (1, 5, 1))
        for x in (-0.34, 0.34)
        for z in (-0.34, 0.34)
    ]
    return combine([seat, back, *legs])


def lamp(detail: int = 1) -> Mesh:
    """Return a desk lamp: a foot, an arm with a bend, a shade that opens down and to +z.

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
    foot = lathe(
        resample([(0.1, 0.0), (0.4, 0.0), (0.4, 0.07), (0.1, 0.13)], 6 * detail), 14 * detail
    )
    bends = [(0.0, 0.05, 0.0), (0.0, 0.7, -0.35), (0.0, 1.35, 0.2)]
    arm = tube(resample(bends, 14 * detail), 0.055, 7 * detail)
    outside = resample([(0.06, 0.2), (0.13, 0.15), (0.36, -0.3)], 6 * detail)
    inside = resample([(0.31, -0.28), (0.09, 0.1), (0.04, 0.14)], 5 * detail)
    shade = lathe(np.concatenate([outside, inside]), 16 * detail)
    return combine([foot, arm, shade.turned(0, -35).moved((0.0, 1.25, 0.28))])
