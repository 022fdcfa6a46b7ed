"""Wrapping: which texels a coordinate is between, also beyond the border of a texture."""

from __future__ import annotations

from torch import Tensor

from taichisoft.geometry.wrap import Wrap


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
    elif wrap is Wrap.MIRROR:
        # There and back again: from 0 to 1 in even tiles, from 1 to 0 in odd ones.
        inside = 1 - (coordinate - 2 * (coordinate.detach() / 2).floor() - 1).abs()
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
