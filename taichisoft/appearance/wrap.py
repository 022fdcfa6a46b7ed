"""Wrap: what is seen beyond the border of a texture, and which texels a coordinate is between."""

from __future__ import annotations

from enum import Enum

from torch import Tensor


class Wrap(Enum):
    """What is seen beyond the border of a texture.

    REPEAT
        The texture again: only the fractional part of u and v counts.
    CLAMP
        The texel at the border, without a gradient to u or v there.
    """

    REPEAT = "repeat"
    CLAMP = "clamp"


def neighbours(coordinate: Tensor, size: int | Tensor, wrap: Wrap) -> tuple[Tensor, Tensor, Tensor]:
    """Return the texels before and after a coordinate, and how far it is from one to the other.

    Parameters
    ----------
    coordinate : Tensor, (N,)
        The image is from 0 to 1.
    size : int or Tensor, (N,), int64
        Number of texels along it.
    wrap : Wrap

    Returns
    -------
    before, after : Tensor, (N,), int64
    share : Tensor, (N, 1)
        From 0, at the one before, to 1.
    """
    if wrap is Wrap.REPEAT:
        inside = coordinate - coordinate.detach().floor()
    else:
        inside = coordinate.clamp(0, 1)
    position = inside * size - 0.5
    before = position.detach().floor()
    one, other = before.long(), before.long() + 1
    if wrap is Wrap.REPEAT:
        one, other = one.remainder(size), other.remainder(size)
    else:
        one, other = (x.clamp(min=0).clamp(max=size - 1) for x in (one, other))
    return one, other, (position - before)[:, None]
