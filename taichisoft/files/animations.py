"""Animated GIFs, through pillow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
from torch import Tensor

from taichisoft.base.checks import check_tensor, check_type
from taichisoft.base.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image


def frame_of(image: Tensor, name: str) -> Image.Image:
    """Return an image in [0, 1] with 8 bits.

    Parameters
    ----------
    image : Tensor, (H, W), (H, W, 1) or (H, W, 3), or a batch of one of these
        Grey or RGB; what is outside of [0, 1] is clamped.
    name : str
        What it is, in messages.

    Raises
    ------
    TypeError, ValueError
        It is no such image.
    """
    check_type(image, name, Tensor)
    alone = image[0] if image.ndim == 4 or (image.ndim == 3 and len(image) == 1) else image
    check_tensor(alone, name, ("H", "W"), ("H", "W", 1), ("H", "W", 3))
    numbers = alone.detach().cpu().double().clamp(0, 1).numpy()
    numbers = numbers[..., 0] if numbers.shape[2:] == (1,) else numbers
    return PIL.Image.fromarray(np.rint(255 * numbers).astype(np.uint8))


def write_gif(
    frames: Sequence[Image.Image], durations: Sequence[int], path: str | os.PathLike
) -> None:
    """Write an animated GIF that starts again when it ends, replacing an existing file.

    Equal frames in a row are stored as one that is shown as long.

    Parameters
    ----------
    frames : sequence of Image
        At least one.
    durations : sequence of int
        How long each is shown, in milliseconds; a GIF holds hundredths of a second.
    path : path
        Its folder must exist.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    write_atomically(
        Path(path),
        lambda partial: frames[0].save(
            partial,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=list(durations),
            loop=0,
            optimize=False,
        ),
    )
