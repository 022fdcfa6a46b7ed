"""An airplane and a car."""

from __future__ import annotations

import numpy as np

from taichisoft.base.checks import check_integer
from taichisoft.geometry.mesh import Mesh
from taichisoft.shapes.parts import Part, combine
from taichisoft.shapes.sweeps import circle, lathe, loft, resample, tube


def airplane(detail: int = 1) -> Mesh:
    """Return an airliner: fuselage, swept wings, tail and two engines. Its nose points to +z.

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
    levels = [
        (-1.0, 0.10, 0.02), (-0.8, 0.07, 0.06), (-0.5, 0.02, 0.11), (-0.2, 0.0, 0.13),
        (0.6, 0.0, 0.13), (0.8, -0.01, 0.115), (0.92, -0.025, 0.08), (1.0, -0.04, 0.03),
    ]  # fmt: skip
    profile = resample(levels, 16 * detail)
    path = np.stack([np.zeros(len(profile)), profile[:, 1], profile[:, 0]], 1)
    fuselage = tube(path, profile[:, 2], 10 * detail)
    wing = _wing([(0.0, 0.35, 0.55), (1.0, -0.25, 0.18)], 0.05, detail, 9)
    tail = _wing([(0.0, -0.72, 0.26), (0.38, -0.92, 0.12)], 0.03, detail, 4)
    fin = _wing([(0.0, -0.62, 0.34), (0.45, -0.95, 0.14)], 0.04, detail, 5).turned(2, 90)
    engine = tube(_line((0.36, -0.12, 0.0), (0.36, -0.12, 0.34), 4 * detail), 0.07, 8 * detail)
    wing, tail = wing.moved((0, -0.05, 0)), tail.moved((0, 0.08, 0))
    halves = [wing, tail, engine]
    return combine([fuselage, fin.moved((0, 0.06, 0)), *halves, *(h.mirrored() for h in halves)])


def car(detail: int = 1) -> Mesh:
    """Return a pick-up truck: body with a bonnet, a cabin, four wheels. Its front is at +z.

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
    # position along z, half width, bottom, top
    body = [(-1.0, 0.38, 0.16, 0.46), (0.45, 0.4, 0.14, 0.48), (0.95, 0.36, 0.16, 0.38)]
    cabin = [(-0.3, 0.37, 0.42, 0.82), (0.12, 0.35, 0.42, 0.86), (0.48, 0.32, 0.42, 0.5)]
    profile = [(0.06, -0.09), (0.17, -0.08), (0.2, 0.0), (0.17, 0.08), (0.06, 0.09)]
    wheel = lathe(resample(profile, 4 * detail + 1), 12 * detail).turned(2, 90)
    wheels = [wheel.moved((x, 0.2, z)) for x in (-0.37, 0.37) for z in (-0.6, 0.6)]
    return combine([_hull(body, 10 * detail, detail), _hull(cabin, 6 * detail, detail), *wheels])


def _wing(
    stations: list[tuple[float, float, float]], thickness: float, detail: int, count: int
) -> Part:
    """Return a wing along +x from stations (x, z of the leading edge, chord)."""
    rings = []
    for x, leading, chord in resample(stations, count * detail + 1):
        section = circle(10 * detail) * (thickness * chord / stations[0][2], chord / 2)
        rings.append([(x, y, leading - chord / 2 + z) for y, z in section])
    return loft(np.array(rings))


def _hull(stations: list[tuple[float, float, float, float]], count: int, detail: int) -> Part:
    """Return a box with rounded edges along z, from stations (z, half width, bottom, top)."""
    # a superellipse: between a circle and a square
    outline = circle(16 * detail, phase=0.5)
    outline = np.sign(outline) * np.abs(outline) ** 0.5
    rings = []
    for z, half_width, bottom, top in resample(stations, count + 1):
        x = outline[:, 0] * half_width
        y = (bottom + top) / 2 + outline[:, 1] * (top - bottom) / 2
        rings.append(np.stack([x, y, np.full_like(x, z)], 1))
    return loft(np.array(rings))


def _line(start: tuple[float, ...], end: tuple[float, ...], count: int) -> np.ndarray:
    return resample([start, end], count + 1)
