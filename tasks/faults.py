"""Faults of the images that a problem is solved from: what cameras and cut-outs get wrong."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.base.checks import check_integer, check_number, check_type


class Fault(ABC):
    """Something wrong with what a loss compares with. The solution, and the error, stay the true ones."""

    @abstractmethod
    def spoil(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return N images with the fault, of which each has a random one of its own.

        Parameters
        ----------
        images : Tensor, (N, H, W) or (N, H, W, C)
            Silhouettes or pictures in [0, 1], which stay as they are.
        generator : torch.Generator
            The random numbers.
        """


@dataclass(frozen=True)
class Holes(Fault):
    """Discs that are missing from what is seen: 0 in a silhouette, black in a picture.

    Their centres are random pixels that are not 0.

    Parameters
    ----------
    count : int
        How many in each image, at least 1; they may overlap.
    radius : float
        In image heights, positive.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of an argument.
    """

    count: int = 4
    radius: float = 0.05

    def __post_init__(self) -> None:
        check_integer(self.count, "count", minimum=1)
        check_number(self.radius, "radius", above=0)

    def spoil(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images with holes."""
        hidden = torch.zeros(images.shape[:3], dtype=torch.bool)
        # One after the other, as all at once would take much memory.
        for _ in range(self.count):
            across, down = _from_a_seen_pixel(images, generator)
            hidden |= across.square() + down.square() < (self.radius * images.shape[1]) ** 2
        return _blackened(images, hidden)


@dataclass(frozen=True)
class Bar(Fault):
    """A bar in front of all that hides a part of it: 0 in a silhouette, black in a picture.

    It crosses the image in a random direction, through a random pixel that is not 0.

    Parameters
    ----------
    width : float
        In image heights, positive.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of the argument.
    """

    width: float = 0.15

    def __post_init__(self) -> None:
        check_number(self.width, "width", above=0)

    def spoil(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images behind a bar."""
        angle = math.pi * torch.rand(len(images), 1, 1, generator=generator)
        across, down = _from_a_seen_pixel(images, generator)
        away = (angle.cos() * across + angle.sin() * down).abs()
        return _blackened(images, away < self.width * images.shape[1] / 2)


@dataclass(frozen=True)
class FlippedPixels(Fault):
    """Single pixels that are wrong: 1 minus what they were, in pictures the negative of the colour.

    Parameters
    ----------
    share : float
        Of the pixels of each image, between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of the argument.
    """

    share: float = 0.05

    def __post_init__(self) -> None:
        check_number(self.share, "share", above=0, below=1)

    def spoil(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images with flipped pixels, exactly as many in each."""
        pixels = images.shape[1] * images.shape[2]
        drawn = torch.rand(len(images), pixels, generator=generator)
        wrong = torch.zeros_like(drawn, dtype=torch.bool)
        wrong.scatter_(1, drawn.topk(round(self.share * pixels), 1).indices, True)
        return torch.where(_like(wrong.reshape(images.shape[:3]), images), 1 - images, images)


def check_fault(value: object) -> None:
    """Raise TypeError unless ``value`` is a fault or None."""
    if value is not None:
        check_type(value, "fault", Fault)


def spoiled(images: Tensor, fault: Fault | None, generator: torch.Generator) -> Tensor:
    """Return images with a fault; themselves if there is none, and then nothing is drawn."""
    return images if fault is None else fault.spoil(images, generator)


def _from_a_seen_pixel(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return how far each pixel is from a random one that is not 0, (N, H, W) each, right and down.

    In pixels. Of an image that is 0 everywhere it is any pixel.
    """
    count, height, width = images.shape[:3]
    seen = images.reshape(count, height * width, -1).amax(-1) > 0
    seen = seen | ~seen.any(1, keepdim=True)
    chosen = torch.multinomial(seen.to(torch.float32), 1, generator=generator)[..., None]
    columns = torch.arange(width) - chosen % width
    rows = torch.arange(height)[:, None] - chosen.div(width, rounding_mode="floor")
    across, down = torch.broadcast_tensors(columns, rows)
    return across.to(torch.float32), down.to(torch.float32)


def _blackened(images: Tensor, hidden: Tensor) -> Tensor:
    return images.masked_fill(_like(hidden, images), 0.0)


def _like(mask: Tensor, images: Tensor) -> Tensor:
    """Return a mask (N, H, W) that fits images without or with channels."""
    return mask if images.ndim == 3 else mask[..., None]
