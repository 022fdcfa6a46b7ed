"""Random arrangements of coloured planes."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tasks.layers import Layers
from tasks.outlines import tessellated_faces

# Lengths are in image heights. Square roots of the areas of four planes; the total does not depend
# on the number. The side of the square that the origins lie in, for no plane and for each.
SIZES = (0.3, 0.42)
SPREAD = (0.2, 0.05)
# Between neighbouring depths, up to a relative jitter to either side.
SPACING = 0.1
JITTER = 0.2
# Colours differ in hue; the faces of a plane also in brightness.
SATURATION = (0.7, 1.0)
BRIGHTNESS = (0.75, 0.95)
FACE_BRIGHTNESS = 0.05
# The share of its area that must be seen of each plane.
LEAST_SEEN = 0.3
MOST_DRAWS = 10_000


def draw_layers(
    outlines: Sequence[Tensor], planes: int, generator: torch.Generator
) -> tuple[Layers, Tensor]:
    """Return K planes in a random arrangement of which every part can be found, and its pairs.

    Every plane is seen for at least 0.3 of its area and is in a visible pair.

    Parameters
    ----------
    outlines : sequence of Tensor, (12, 2)
        To choose from, each about equally often.
    planes : int
        Number K.
    generator : torch.Generator
        The random numbers.

    Returns
    -------
    Layers, Tensor (K, K)
        In float64; and the pairs of `Layers.seen`.

    Raises
    ------
    RuntimeError
        No such arrangement in 10,000 draws.
    """
    for _ in range(MOST_DRAWS):
        layers = _draw(outlines, planes, generator)
        pairs, shares = layers.seen()
        if (shares > LEAST_SEEN).all() and (pairs | pairs.T).any(1).all():
            return layers, pairs
    raise RuntimeError(f"no picture of {planes} planes that are all seen in {MOST_DRAWS} draws")


def random_depths(planes: int, generator: torch.Generator) -> Tensor:
    """Return depths (planes,) about 0 in random order, neighbours about 0.1 apart, float64."""
    rank = torch.randperm(planes, generator=generator) - (planes - 1) / 2
    return SPACING * (rank + JITTER * (2 * _uniform((planes,), generator) - 1))


def directions(count: int, generator: torch.Generator) -> Tensor:
    """Return unit vectors (count, 2) in float64, uniform over the circle."""
    angle = 2 * math.pi * _uniform((count,), generator)
    return torch.stack([angle.cos(), angle.sin()], -1)


def draw_gaps(span: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    """Return distances (count,) in float64 whose logarithms are uniform within a span."""
    low, high = (math.log(end) for end in span)
    return torch.exp(_between((low, high), (count,), generator))


def _draw(outlines: Sequence[Tensor], planes: int, generator: torch.Generator) -> Layers:
    rounds = -(-planes // len(outlines))
    chosen = torch.cat([torch.randperm(len(outlines), generator=generator) for _ in range(rounds)])
    shapes = torch.stack([outlines[index] for index in chosen[:planes].tolist()])
    x = directions(planes, generator)
    y = torch.stack([-x[:, 1], x[:, 0]], -1)
    sizes = _between(SIZES, (planes,), generator) * math.sqrt(4 / planes)
    spread = SPREAD[0] + SPREAD[1] * planes
    return Layers(
        outlines=shapes @ torch.stack([x, y], 1) * sizes[:, None, None],
        colors=_colors(planes, generator),
        offset=spread * (_uniform((planes, 2), generator) - 0.5),
        depth=random_depths(planes, generator),
    )


def _colors(planes: int, generator: torch.Generator) -> Tensor:
    """Return the colours of faces (planes, 36, 3): hues evenly spaced from a random one."""
    hues = (torch.arange(planes) + _uniform((1,), generator)) / planes
    hues = hues[torch.randperm(planes, generator=generator)].tolist()
    saturations = _between(SATURATION, (planes,), generator).tolist()
    values = _between(BRIGHTNESS, (planes,), generator).tolist()
    rows = [colorsys.hsv_to_rgb(*hsv) for hsv in zip(hues, saturations, values, strict=True)]
    factors = 2 * _uniform((planes, len(tessellated_faces()), 1), generator) - 1
    return torch.tensor(rows, dtype=torch.float64)[:, None] * (1 + FACE_BRIGHTNESS * factors)


def _between(
    span: tuple[float, float], shape: tuple[int, ...], generator: torch.Generator
) -> Tensor:
    low, high = span
    return low + (high - low) * _uniform(shape, generator)


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64)
