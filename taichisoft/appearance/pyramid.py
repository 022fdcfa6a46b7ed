"""Pyramids: images with their smaller versions, each half as high and wide as the one before (mip-maps)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from taichisoft.appearance.wrap import neighbours
from taichisoft.base.eager import eager_class
from taichisoft.geometry.wrap import Wrap


class Level(NamedTuple):
    """Where in the texels of a `Pyramid` a level is.

    Parameters
    ----------
    offset : int
        Its first texel.
    height, width : int
        Its size. Texel (row i, column j) is ``offset + i * width + j``.
    """

    offset: int
    height: int
    width: int


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
    """

    texels: Tensor
    levels: tuple[Level, ...]
    wrap: Wrap

    @classmethod
    def of(cls, images: Tensor, wrap: Wrap, *, smaller: bool) -> Pyramid:
        """Return the pyramid of images, (B, H, W, C), differentiable in them.

        Parameters
        ----------
        images : Tensor, (B, H, W, C)
            None of the sizes is 0.
        wrap : Wrap
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
        return cls(torch.cat(parts, 1) if smaller else parts[0], tuple(levels), wrap)

    def sample(
        self, uv: Tensor, level: Tensor | None = None, image: Tensor | None = None
    ) -> Tensor:
        """Look texels up: bilinearly in a level, and linearly between two of them.

        Parameters
        ----------
        uv : Tensor, (N, 2)
            Where; as in `Texture`.
        level : Tensor, (N,), optional
            In which level: 0 and less is the image itself, to the bit; beyond the last one is the last.
            By default 0.
        image : Tensor, (N,), int64, optional
            In which image of the batch; not used if there is one for all.

        Returns
        -------
        Tensor, (N, C)
            Differentiable with respect to the texels and, where it is not constant, to u, v and the level,
            to any order (torch's ``grid_sample`` has one derivative, and does not repeat).

        Raises
        ------
        ValueError
            No ``image`` for a batch of more than one.
        """
        batch, size = self.texels.shape[:2]
        first: int | Tensor = 0
        if batch > 1:
            if image is None:
                raise ValueError(f"image must be given for a batch of {batch}, got None")
            first = image * size
        last = len(self.levels) - 1
        if level is None or not last:
            return self._bilinear(uv, self.levels[0], first)
        level = level.clamp(0, last)
        finer = level.detach().floor().clamp(max=last - 1).long()
        share = (level - finer)[:, None]
        fine, coarse = (
            self._bilinear(uv, self._tables[:, index].unbind(), first)
            for index in (finer, finer + 1)
        )
        return fine + share * (coarse - fine)

    @cached_property
    def _tables(self) -> Tensor:
        """Offsets, heights and widths of the levels, (3, L), int64."""
        return torch.tensor(self.levels, device=self.texels.device).T

    def _bilinear(
        self, uv: Tensor, level: Level | tuple[Tensor, ...], first: int | Tensor
    ) -> Tensor:
        """Return the texels around coordinates, (N, C), by the areas opposite to them.

        Parameters
        ----------
        uv : Tensor, (N, 2)
        level : Level, or three Tensors, (N,), int64
            One for all, or one for each as offsets, heights and widths.
        first : int or Tensor, (N,), int64
            The first texel of the image.
        """
        offset, height, width = level
        left, right, across = neighbours(uv[:, 0], width, self.wrap)
        upper, lower, down = neighbours(1 - uv[:, 1], height, self.wrap)
        texels = self.texels.flatten(0, 1)

        def row(index: Tensor) -> Tensor:
            start = first + offset + index * width
            # index_select: its gradient is an index_add, which is quicker than that of indexing
            one = texels.index_select(0, start + left)
            return one + across * (texels.index_select(0, start + right) - one)

        top = row(upper)
        return top + down * (row(lower) - top)


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
