"""A boot, and animals with proportions drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from taichisoft.base.checks import check_integer
from taichisoft.geometry.mesh import Mesh
from taichisoft.shapes.parts import Part, Point, combine
from taichisoft.shapes.solids import box, ellipsoid
from taichisoft.shapes.sweeps import circle, loft, resample, tube


def boot(detail: int = 1) -> Mesh:
    """Return a right boot with a heel. Its toe points to +z and bends to +x.

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
    # height, back, front, half width
    sections = [
        (0.0, -0.4, 0.85, 0.24), (0.12, -0.42, 0.9, 0.27), (0.25, -0.42, 0.8, 0.26),
        (0.4, -0.4, 0.42, 0.23), (0.55, -0.38, 0.2, 0.21), (1.0, -0.42, 0.14, 0.24),
        (1.4, -0.46, 0.18, 0.27),
    ]  # fmt: skip
    outline = circle(20 * detail)
    rings = []
    for height, back, front, half_width in resample(sections, 14 * detail):
        z = (back + front) / 2 + outline[:, 0] * (front - back) / 2
        x = outline[:, 1] * half_width + 0.2 * np.clip(z, 0.0, None) ** 2
        rings.append(np.stack([x, np.full_like(x, height), z], 1))
    cells = [2 * detail, detail, 2 * detail]
    heel = box((0.0, -0.08, -0.22), (0.34, 0.18, 0.32), cells)
    return combine([loft(np.array(rings)), heel])


def blob(seed: int = 0, detail: int = 1) -> Mesh:
    """Return a four-legged animal with ears and a tail. It looks along +z.

    Parameters
    ----------
    seed : int
        Not negative. Decides the proportions, the pose of head and tail, and the bumps of the
        body; the topology is always the same.
    detail : int
        Factor on the number of divisions, at least 1; the number of faces grows by its square.

    Raises
    ------
    TypeError, ValueError
        An argument is no int, or too small.
    """
    check_integer(seed, "seed", minimum=0)
    check_integer(detail, "detail", minimum=1)
    # the standard library promises the same uniform numbers in every version
    draw = random.Random(seed).uniform
    length, width, height = draw(0.5, 0.8), draw(0.22, 0.36), draw(0.24, 0.38)
    body = _bumpy(ellipsoid((0, 0, 0), (width, height, length), 5 * detail), draw)
    reach, rise, turn = draw(0.2, 0.45), draw(0.1, 0.55), draw(-0.15, 0.15)
    chest = np.array([0.0, 0.3 * height, 0.7 * length])
    skull = chest + np.array([turn, rise, reach])
    neck = tube(resample([chest, skull], 4 * detail), draw(0.12, 0.16), 8 * detail)
    size = draw(0.17, 0.25)
    head = ellipsoid(skull, (size * draw(0.8, 1.0), size, size * draw(1.1, 1.5)), 3 * detail)
    ears = _pair(_limb(skull, (draw(0.08, 0.15), draw(0.3, 0.5), -0.05), 0.06, 3, detail), turn)
    stance, foot = draw(0.4, 0.8), draw(0.07, 0.11)
    front = _limb((0.55 * width, 0, 0.55 * length), (0.05, -stance - height, 0.05), foot, 6, detail)
    hind = _limb((0.55 * width, 0, -0.6 * length), (0.05, -stance - height, -0.1), foot, 6, detail)
    tail = _limb(
        (0, 0.15 * height, -0.8 * length), (draw(-0.2, 0.2), draw(-0.2, 0.5), -0.5), 0.05, 6, detail
    )
    return combine([body, neck, head, *ears, *_pair(front), *_pair(hind), tail])


def _limb(start: Point, step: Point, radius: float, count: int, detail: int) -> Part:
    """Return a tube from ``start`` to ``start + step`` that gets thinner by a third."""
    first = np.asarray(start, dtype=float)
    path = resample([first, first + np.asarray(step)], count * detail + 1)
    return tube(path, radius * np.linspace(1.2, 0.8, len(path)), 6 * detail, normal=(1, 0, 0.01))


def _pair(part: Part, center: float = 0.0) -> list[Part]:
    """Return the part and its mirror image about the plane x = ``center``."""
    return [part, part.mirrored().moved((2 * center, 0, 0))]


def _bumpy(part: Part, draw: Callable[[float, float], float]) -> Part:
    """Return the part stretched by three low waves in each direction."""
    vertices = part.vertices.copy()
    for _ in range(3):
        wave = np.array([draw(-4.0, 4.0) for _ in range(3)])
        vertices *= 1 + 0.07 * np.sin(part.vertices @ wave + draw(0.0, 2 * np.pi))[:, None]
    return Part(vertices, part.faces)
