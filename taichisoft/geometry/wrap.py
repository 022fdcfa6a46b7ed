"""Wrap: what is seen beyond the border of a texture."""

from __future__ import annotations

from enum import Enum


class Wrap(Enum):
    """What is seen beyond the border of a texture.

    REPEAT
        The texture again: only the fractional part of u and v counts.
    CLAMP
        The texel at the border, without a gradient to u or v there.
    MIRROR
        The texture again, every second time mirrored, so that neighbours meet at equal texels.
    """

    REPEAT = "repeat"
    CLAMP = "clamp"
    MIRROR = "mirror"
