"""Image files, through pillow."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor


def write_image(image: Tensor, path: Path) -> None:
    """Write an image file, replacing an existing one.

    Parameters
    ----------
    image : Tensor, (H, W) or (H, W, 3) or (H, W, 4)
        Grey, RGB, or RGB and opacity (not multiplied into the colours), in [0, 1]; row 0 is the top.
    path : Path
        The suffix tells the format. Its folder must exist.

    Raises
    ------
    ImportError
        pillow is missing.
    ValueError
        A suffix that pillow does not know.
    OSError
        The file cannot be written, or its format has no opacity.
    """
    numbers = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    _pillow().fromarray(numbers).save(path)


def read_mask(path: Path) -> Tensor:
    """Read a mask, (H, W) float32 in [0, 1]: the opacity of an image that is not opaque, else its grey.

    Raises
    ------
    ImportError
        pillow is missing.
    FileNotFoundError
        No such file.
    ValueError
        No image, or one that is all of one value.
    """
    pillow = _pillow()
    if not path.is_file():
        raise FileNotFoundError(f"mask must be an existing file, got {path}")
    try:
        with pillow.open(path) as file:
            opacity = np.asarray(file.convert("RGBA"))[..., 3]
            grey = np.asarray(file.convert("L"))
    except OSError as error:
        raise ValueError(f"mask must be a readable image, got {path}: {error}") from error
    chosen = grey if opacity.min() == 255 else opacity
    if chosen.min() == chosen.max():
        raise ValueError(
            f"mask must have an object and a background, got {path} with {chosen.max()} everywhere"
        )
    return torch.from_numpy(chosen.astype(np.float32) / 255)


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "images need pillow, which is not installed: pip install 'taichisoft[train]'"
        ) from error
    return Image
