"""Pyramids: images with their smaller versions, each half as high and wide as the one before (mip-maps)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.appearance.images import Images, Layout, Level
from taichisoft.base.eager import eager_class
from taichisoft.geometry.wrap import Wrap


@eager_class
@dataclass(frozen=True, eq=False)
class Pyramid:
    """The levels of an image, or of each of a batch of images, in one array.

    Parameters
    ----------
    texels : Tensor, (B, T, C)
        Those of level 0, which is the image itself, then those of level 1, and so on; each row by row from
        the top.
    levels : tuple of Level
        Where they are; at least one.
    wrap : Wrap
        What is beyond the border, at every level.
    wrap_v : Wrap, optional
        What is beyond the lower and the upper one, if that is something else.
    """

    texels: Tensor
    levels: tuple[Level, ...]
    wrap: Wrap
    wrap_v: Wrap | None = None

    @classmethod
    def of(
        cls, images: Tensor, wrap: Wrap, wrap_v: Wrap | None = None, *, smaller: bool
    ) -> Pyramid:
        """Return the pyramid of images, (B, H, W, C), differentiable in them.

        Parameters
        ----------
        images : Tensor, (B, H, W, C)
            None of the sizes is 0.
        wrap : Wrap
        wrap_v : Wrap, optional
        smaller : bool
            Whether there are smaller levels than the images themselves: down to a single texel.

        Notes
        -----
        A texel of a level is the mean of the level before over the area that it covers: over 2 x 2 texels,
        or, along a side of odd size 2 m + 1, over the 2 + 1 / m that are as wide as one of m. So the mean of
        the whole is the same in all levels. A side of one texel stays as it is.
        """
        parts, levels, offset = [images.flatten(1, 2)], [], 0
        while True:
            height, width = images.shape[1:3]
            levels.append(Level(offset, height, width))
            offset += height * width
            if not smaller or height == width == 1:
                break
            images = _halved(_halved(images, 1), 2)
            parts.append(images.flatten(1, 2))
        return cls(torch.cat(parts, 1) if smaller else parts[0], tuple(levels), wrap, wrap_v)

    def images(self) -> Images:
        """Return them as what is looked up."""
        return Images(self.texels, (Layout(self.levels, self.wrap, self.wrap_v or self.wrap),))

    def sample(
        self, uv: Tensor, level: Tensor | None = None, image: Tensor | None = None
    ) -> Tensor:
        """Return what `Images.sample` does, of the one image."""
        return self.images().sample(uv, level, image)


def _halved(images: Tensor, axis: int) -> Tensor:
    """Return images half as large along an axis, by means of the texels that each of the new ones covers."""
    rows = images.movedim(axis, 0)
    size, half = len(rows), len(rows) // 2
    if not half:
        return images
    before, after = rows[0 : 2 * half : 2], rows[1 : 2 * half : 2]
    if size % 2 == 0:
        return ((before + after) / 2).movedim(0, axis)
    place = torch.arange(half, dtype=images.dtype, device=images.device)[:, None, None, None]
    covered = (half - place) * before + half * after + (place + 1) * rows[2::2]
    return (covered / size).movedim(0, axis)
