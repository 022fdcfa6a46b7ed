"""Hard renderers: those that draw targets, judge and show, with tables that are made once."""

from __future__ import annotations

from functools import cache

from taichisoft import FrontToBack, Heaviside, Probabilistic, SoftRasterizer


@cache
def hard_renderer() -> SoftRasterizer:
    """Return `SoftRasterizer.hard`, always the same one: it is not to be changed."""
    return SoftRasterizer.hard()


@cache
def level_renderer() -> SoftRasterizer:
    """Return a hard renderer that shows the mean of faces which are equally deep, always the same one.

    For faces in one plane that may fold over each other: which of them has the smallest index says nothing.
    """
    hard = SoftRasterizer(Heaviside(), Probabilistic(), FrontToBack(Heaviside()))
    return hard.requires_grad_(False)
