"""Categories of procedural objects: parts with colours, whose proportions are random."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from taichisoft.shapes.parts import Part
from taichisoft.shapes.solids import box
from taichisoft.shapes.sweeps import lathe, loft, resample, tube

Color = tuple[float, float, float]
Parts = list[tuple[Part, Color]]
"""Parts of one object, with the colour of each. The y axis points up, and the object faces +z."""

RUBBER, GLASS = (0.15, 0.15, 0.17), (0.35, 0.45, 0.55)


def car(random: np.random.Generator) -> Parts:
    """Return a car: body, cabin and four wheels; some are pick-ups, some vans."""
    length, width = random.uniform(1.7, 2.3), random.uniform(0.7, 0.95)
    height, roof = random.uniform(0.28, 0.42), random.uniform(0.25, 0.5)
    wheel = random.uniform(0.16, 0.24)
    bottom = wheel * 0.8
    paint = _paint(random)
    body = box((0, bottom + height / 2, 0), (width, height, length), (1, 1, 1))
    cabin_length = length * random.uniform(0.35, 0.7)
    place = random.uniform(-0.5, 0.1) * (length - cabin_length)
    cabin = _frustum(
        (0.9 * width, cabin_length),
        (0.78 * width, cabin_length * random.uniform(0.55, 0.85)),
        roof,
    ).moved((0, bottom + height, place))
    tyre = lathe([(0.0, -0.07), (wheel, -0.07), (wheel, 0.07), (0.0, 0.07)], 10).turned(2, 90)
    axles = [0.32 * length, -0.32 * length]
    wheels = [tyre.moved((x, wheel, z)) for x in (-width / 2, width / 2) for z in axles]
    return [(body, paint), (cabin, GLASS), *((part, RUBBER) for part in wheels)]


def chair(random: np.random.Generator) -> Parts:
    """Return a chair with a slanted back, on four legs or on one; some have arms."""
    width, depth = random.uniform(0.7, 1.0), random.uniform(0.7, 1.0)
    seat_height, back_height = random.uniform(0.5, 0.9), random.uniform(0.6, 1.1)
    thick, leg = random.uniform(0.12, 0.2), random.uniform(0.12, 0.18)
    cushion, frame = _paint(random), _paint(random)
    seat = box((0, seat_height, 0), (width, thick, depth), (1, 1, 1))
    back = box((0, back_height / 2, 0), (width, back_height, thick), (1, 1, 1))
    back = back.turned(0, -random.uniform(0, 15)).moved((0, seat_height, thick / 2 - depth / 2))
    parts = [(seat, cushion), (back, cushion)]
    x, z = (width - leg) / 2, (depth - leg) / 2
    if random.random() < 0.7:
        post = box((0, seat_height / 2, 0), (leg, seat_height, leg), (1, 1, 1))
        parts += [(post.moved((a, 0, b)), frame) for a in (-x, x) for b in (-z, z)]
    else:
        post = box((0, seat_height / 2, 0), (2 * leg, seat_height, 2 * leg), (1, 1, 1))
        foot = box((0, 0.05, 0), (0.8 * width, 0.1, 0.8 * depth), (1, 1, 1))
        parts += [(post, frame), (foot, frame)]
    if random.random() < 0.4:
        arm = box((0, seat_height + 0.15, 0), (leg, 0.3, 0.8 * depth), (1, 1, 1))
        parts += [(arm.moved((a, 0, 0)), frame) for a in (-x, x)]
    return parts


def jug(random: np.random.Generator) -> Parts:
    """Return a vase that bulges somewhere, with a handle towards +z and a band of another colour."""
    height, neck = random.uniform(1.3, 2.0), random.uniform(0.2, 0.4)
    foot, bulge = random.uniform(0.2, 0.45), random.uniform(0.45, 0.7)
    middle = height * random.uniform(0.3, 0.55)
    outline = [(foot, 0.0), (bulge, middle), (neck, 0.85 * height), (1.15 * neck, height)]
    body = lathe([(0.0, 0.0), *resample(outline, 7), (0.0, height)], 12)
    # At these heights the handle begins and ends, within the body.
    low, high, reach = middle, 0.85 * height, bulge + random.uniform(0.15, 0.4)
    path = [
        (0, low, 0.7 * bulge),
        (0, low, reach),
        (0, high, reach),
        (0, high, 0.7 * neck),
    ]
    handle = tube(resample(path, 9), random.uniform(0.07, 0.1), 6)
    band = lathe([(0.0, -0.08), (1.04 * bulge, -0.08), (1.04 * bulge, 0.08), (0.0, 0.08)], 12)
    glaze = _paint(random)
    return [(body, glaze), (handle, glaze), (band.moved((0, middle, 0)), _paint(random))]


def plane(random: np.random.Generator) -> Parts:
    """Return an aeroplane: a body, swept wings, a tail and sometimes engines."""
    radius, span = random.uniform(0.15, 0.24), random.uniform(0.7, 1.1)
    chord, sweep = random.uniform(0.4, 0.7), random.uniform(0.0, 0.5)
    levels = [(-1.0, 0.3), (-0.6, 0.8), (-0.2, 1.0), (0.6, 1.0), (0.9, 0.6), (1.0, 0.2)]
    path = np.array([(0.0, 0.0, z) for z, _ in levels])
    body = tube(path, [radius * share for _, share in levels], 8)
    thick = random.uniform(0.07, 0.11)
    root = random.uniform(0.2, 0.45)
    wing = _wing(span, chord, sweep, thick).moved((0, random.uniform(-0.1, 0.1), root))
    tail = _wing(0.4 * span, 0.5 * chord, 0.5 * sweep, thick).moved((0, 0.05, -0.7))
    fin = _wing(random.uniform(0.3, 0.5), 0.5 * chord, 0.5 * sweep, thick).turned(2, 90)
    paint, other = _paint(random), _paint(random)
    parts = [(body, paint), (fin.moved((0, 0.05, -0.7)), other)]
    parts += [(part, other) for half in (wing, tail) for part in (half, half.mirrored())]
    if random.random() < 0.5:
        line = np.array([(0.45 * span, -0.12, root - 0.3), (0.45 * span, -0.12, root + 0.1)])
        engine = tube(line, random.uniform(0.08, 0.12), 6)
        parts += [(engine, RUBBER), (engine.mirrored(), RUBBER)]
    return parts


CATEGORIES: Mapping[str, Callable[[np.random.Generator], Parts]] = MappingProxyType(
    {"car": car, "chair": chair, "jug": jug, "plane": plane}
)
"""The categories by name; each value draws one object."""


def _frustum(bottom: tuple[float, float], top: tuple[float, float], height: float) -> Part:
    """Return a box that narrows upwards, from sizes along x and z; its bottom is at y = 0."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2
    rings = [
        [(x * size[0], y, z * size[1]) for x, z in corners]
        for y, size in ((0.0, bottom), (height, top))
    ]
    return loft(np.array(rings))


def _wing(span: float, chord: float, sweep: float, thick: float) -> Part:
    """Return a tapered slab along +x; its root is about the origin, its tip behind it by the sweep."""
    rings = []
    for x, share, back in ((0.0, 1.0, 0.0), (span, 0.5, sweep)):
        half, depth = thick * share / 2, chord * share / 2
        section = [(-half, -depth), (half, -depth), (half, depth), (-half, depth)]
        rings.append([(x, y, z - back) for y, z in section])
    return loft(np.array(rings))


def _paint(random: np.random.Generator) -> Color:
    """Return a colour that is neither dark nor grey."""
    return colorsys.hsv_to_rgb(random.uniform(), random.uniform(0.4, 0.9), random.uniform(0.6, 1))
