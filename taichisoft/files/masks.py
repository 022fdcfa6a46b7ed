"""Masks: images that say where an object is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from taichisoft.files.images import read_image

# Weights of red, green and blue in grey, those of ITU-R 601, as pillow has them.
GREY = (0.299, 0.587, 0.114)
# A mask of more than two values is near 0 or 1 but at edges; a photograph is in between, or coloured.
BETWEEN = (0.1, 0.9)
LARGEST_SHARE = 0.5
COLOURED, COLOURED_SHARE = 0.1, 0.1
# Of an image with more than two values, the brightest is at least this; labels of several objects are below.
DARKEST_OBJECT = 0.5


def read_mask(path: Path) -> Tensor:
    """Read a mask, (H, W) float32 in [0, 1]: the opacity of an image that is not opaque, else its grey.

    An image of two values, whatever they are (labels 0 and 1, two colours of a palette), is 0 and 1.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        No image, or one that is all of one value, a photograph, or labels of several objects.
    """
    image = read_image(path, "mask")
    opacity = image[..., 3]
    is_opaque = bool((opacity == 1).all())
    mask = _grey(image[..., :3]) if is_opaque else opacity
    values = np.unique(mask)
    if len(values) == 1:
        raise ValueError(
            f"mask must have an object and a background, got {path} with {values[0]:.3g} everywhere"
        )
    if len(values) == 2:
        mask = mask == values[1]
    else:
        _check_object(mask, image[..., :3], is_opaque, path)
    return torch.from_numpy(mask.astype(np.float32))


def _grey(rgb: np.ndarray) -> np.ndarray:
    """Return grey, exactly that of an image that is grey already."""
    same = (rgb[..., 0] == rgb[..., 1]) & (rgb[..., 1] == rgb[..., 2])
    return np.where(same, rgb[..., 0], (rgb @ np.array(GREY)).round(12))


def _check_object(mask: np.ndarray, rgb: np.ndarray, is_opaque: bool, path: Path) -> None:
    """Raise ValueError for labels of several objects and for photographs."""
    if mask.max() < DARKEST_OBJECT:
        raise ValueError(
            f"mask must be white (or opaque) where the object is, got {path} with "
            f"{len(np.unique(mask))} values up to {mask.max():.3g} of white: select one label"
        )
    between = float(((mask > BETWEEN[0]) & (mask < BETWEEN[1])).mean())
    coloured = float((rgb.max(-1) - rgb.min(-1) > COLOURED).mean()) if is_opaque else 0.0
    if between > LARGEST_SHARE or coloured > COLOURED_SHARE:
        raise ValueError(
            f"mask must be black and white, or opaque where the object is, got {path}, which looks like "
            f"a photograph: {100 * between:.0f} % of its pixels are grey, {100 * coloured:.0f} % coloured"
        )
