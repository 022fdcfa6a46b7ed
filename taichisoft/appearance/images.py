"""Images with their smaller versions in one array of texels, and how they are looked up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from taichisoft.appearance.wrap import neighbours
from taichisoft.base.eager import eager_class
from taichisoft.geometry.wrap import Wrap


class Level(NamedTuple):
    """Where in an array of texels a level, a version of an image, is.

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


class Layout(NamedTuple):
    """Where in an array of texels an image is, and what is beyond its borders.

    Parameters
    ----------
    levels : tuple of Level
        The image itself, and its smaller versions; at least one.
    wrap_u, wrap_v : Wrap
        What is beyond the left and right, and the lower and upper border, at every level.
    """

    levels: tuple[Level, ...]
    wrap_u: Wrap
    wrap_v: Wrap


@eager_class
@dataclass(frozen=True, eq=False)
class Images:
    """One or several images in one array, or such an array for each image that is rendered.

    Parameters
    ----------
    texels : Tensor, (B, T, C)
        Those of all levels of all images.
    layouts : tuple of Layout
        Where they are; at least one.
    """

    texels: Tensor
    layouts: tuple[Layout, ...]

    @classmethod
    def joined(cls, parts: Sequence[Images]) -> Images:
        """Return the images of all parts, of one batch size, in one array."""
        if len(parts) == 1:
            return parts[0]
        layouts, start = [], 0
        for part in parts:
            for layout in part.layouts:
                levels = tuple(x._replace(offset=x.offset + start) for x in layout.levels)
                layouts.append(layout._replace(levels=levels))
            start += part.texels.shape[1]
        return cls(torch.cat([part.texels for part in parts], 1), tuple(layouts))

    def sample(
        self,
        uv: Tensor,
        level: Tensor | None = None,
        image: Tensor | None = None,
        number: Tensor | None = None,
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
            In which array of the batch; not used if there is one for all.
        number : Tensor, (N,), int64, optional
            In which of several images.

        Returns
        -------
        Tensor, (N, C)
            Differentiable with respect to the texels and, where it is not constant, to u, v and the level,
            to any order (torch's ``grid_sample`` has one derivative, and does not repeat).

        Raises
        ------
        ValueError
            No ``image`` for a batch of more than one, or no ``number`` for more than one image.
        """
        batch, size = self.texels.shape[:2]
        first: int | Tensor = 0
        if batch > 1:
            if image is None:
                raise ValueError(f"image must be given for a batch of {batch}, got None")
            first = image * size
        if len(self.layouts) == 1:
            number = None
        elif number is None:
            raise ValueError(f"number must be given for {len(self.layouts)} images, got None")
        most = max(len(layout.levels) for layout in self.layouts) - 1
        if level is None or not most:
            return self._bilinear(uv, self._sizes(number, 0), first, number)
        if number is None:
            level = level.clamp(0, most)
        else:
            level = torch.minimum(level.clamp(min=0), self._last[number].to(level))
        finer = level.detach().floor().clamp(max=most - 1).long()
        share = (level - finer)[:, None]
        fine, coarse = (
            self._bilinear(uv, self._sizes(number, index), first, number)
            for index in (finer, finer + 1)
        )
        return fine + share * (coarse - fine)

    @cached_property
    def _last(self) -> Tensor:
        """The last level of each image, (M,), int64."""
        last = [len(layout.levels) - 1 for layout in self.layouts]
        return torch.tensor(last, device=self.texels.device)

    @cached_property
    def _tables(self) -> Tensor:
        """Offsets, heights and widths of levels, (3, M, L), int64; the last is there again beyond it."""
        most = max(len(layout.levels) for layout in self.layouts)
        rows = [x.levels + x.levels[-1:] * (most - len(x.levels)) for x in self.layouts]
        return torch.tensor(rows, device=self.texels.device).movedim(-1, 0)

    def _sizes(self, number: Tensor | None, level: int | Tensor) -> Level | tuple[Tensor, ...]:
        """Return offset, height and width of a level: numbers of all, or tensors, (N,), of each."""
        if number is None and isinstance(level, int):
            return self.layouts[0].levels[level]
        return self._tables[:, 0 if number is None else number, level].unbind()

    def _bilinear(
        self,
        uv: Tensor,
        level: Level | tuple[Tensor, ...],
        first: int | Tensor,
        number: Tensor | None,
    ) -> Tensor:
        """Return the texels around coordinates, (N, C), by the areas opposite to them.

        Parameters
        ----------
        uv : Tensor, (N, 2)
        level : Level, or three Tensors, (N,), int64
            One for all, or one for each as offsets, heights and widths.
        first : int or Tensor, (N,), int64
            The first texel of the array.
        number : Tensor, (N,), int64, or None
            Which of several images.
        """
        offset, height, width = level
        left, right, across = self._between(uv[:, 0], width, number, lambda x: x.wrap_u)
        upper, lower, down = self._between(1 - uv[:, 1], height, number, lambda x: x.wrap_v)
        texels = self.texels.flatten(0, 1)

        def row(index: Tensor) -> Tensor:
            start = first + offset + index * width
            # index_select: its gradient is an index_add, which is quicker than that of indexing
            one = texels.index_select(0, start + left)
            return one + across * (texels.index_select(0, start + right) - one)

        top = row(upper)
        return top + down * (row(lower) - top)

    def _between(
        self,
        coordinate: Tensor,
        size: int | Tensor,
        number: Tensor | None,
        wrap_of: Callable[[Layout], Wrap],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `neighbours` does, for each coordinate with the wrap of its image."""
        wraps = [wrap_of(layout) for layout in self.layouts]
        found = neighbours(coordinate, size, wraps[0])
        if number is None:
            return found
        for wrap in set(wraps) - {wraps[0]}:
            its = torch.tensor([x is wrap for x in wraps], device=number.device)[number]
            before, after, share = neighbours(coordinate, size, wrap)
            found = (
                torch.where(its, before, found[0]),
                torch.where(its, after, found[1]),
                torch.where(its[:, None], share, found[2]),
            )
        return found
