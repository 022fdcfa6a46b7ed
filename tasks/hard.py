"""Hard renderer: the one that draws targets, judges and shows, with tables that are made once."""

from __future__ import annotations

from functools import cache

from taichisoft import SoftRasterizer


@cache
def hard_renderer() -> SoftRasterizer:
    """Return `SoftRasterizer.hard`, always the same one: it is not to be changed."""
    return SoftRasterizer.hard()
