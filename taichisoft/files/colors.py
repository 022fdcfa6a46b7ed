"""Colours in files: whole numbers and floats, and what of them is opacity."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from taichisoft.base.warn import warn_user

# The largest numbers of the types that hold colours: these are 1.
LARGEST_LEVELS = {"u1": 255, "u2": 65535}
# How far outside of [0, 1] colours of a fit are, and no colours of other numbers.
A_LITTLE = 0.5
# No colour of a fit is that far beyond 1.
SURELY_BYTES = 2


def levels_of(values: np.ndarray) -> np.ndarray:
    """Return colours as a file holds them, in float64, 1 for what is full.

    Floats stay as they are, 255 of 8 and 65535 of 16 bits are 1. Other whole numbers are of 8 bits if none is
    above 255, and else of 16.

    Raises
    ------
    ValueError
        Whole numbers below 0 or above 65535.
    """
    numbers = values.astype(np.float64)
    if values.dtype.kind == "f" or values.size == 0:
        return numbers
    largest = LARGEST_LEVELS.get(values.dtype.str[1:])
    if largest is None:
        largest = 255 if numbers.max() <= 255 else 65535
    if numbers.min() < 0 or numbers.max() > largest:
        raise ValueError(
            f"colours must be from 0 to {largest}, got {numbers.min():g} to {numbers.max():g}"
        )
    return numbers / largest


def levels_of_text(values: np.ndarray) -> np.ndarray:
    """Return colours of a text that does not say what they are of: in [0, 1], or from 0 to 255.

    They are from 0 to 255 if one of them is above 2, or if all are whole and one is above 1.

    Raises
    ------
    ValueError
        Such numbers below 0 or above 255.
    """
    largest = values.max(initial=0)
    whole = (values == np.rint(values)).all()
    if not (largest > SURELY_BYTES or (whole and largest > 1)):
        return values
    if values.min() < 0 or largest > 255:
        raise ValueError(
            f"colours must be in [0, 1] or from 0 to 255, got {values.min():g} to {largest:g}"
        )
    return values / 255


def with_opacity_apart(levels: np.ndarray) -> tuple[Tensor, Tensor | None]:
    """Return colours (..., 3), and opacity (...) or None if all is opaque, of (..., 3) or (..., 4).

    Raises
    ------
    ValueError
        An opacity outside of [0, 1], or a number that is not finite.
    """
    if not np.isfinite(levels).all():
        raise ValueError("colours must be finite, got others")
    colors = torch.from_numpy(np.ascontiguousarray(levels[..., :3]))
    if levels.shape[-1] == 3 or (levels[..., 3] == 1).all():
        return colors, None
    opacity = levels[..., 3]
    if opacity.min() < 0 or opacity.max() > 1:
        raise ValueError(f"opacity must be in [0, 1], got {opacity.min():g} to {opacity.max():g}")
    return colors, torch.from_numpy(np.ascontiguousarray(opacity))


def to_levels(colors: Tensor, name: str) -> np.ndarray:
    """Return colours in float64 in [0, 1], with a warning that says by how much others were changed.

    Raises
    ------
    ValueError
        A colour is farther outside than `A_LITTLE`.
    """
    values = colors.detach().cpu().double().numpy()
    kept = values.clip(0, 1)
    excess = np.abs(values - kept).max(initial=0)
    if excess > A_LITTLE:
        raise ValueError(
            f"{name} must be in [0, 1] to be saved, got {values.min():g} to {values.max():g}"
        )
    if excess > 0:
        warn_user(f"{name} is saved in [0, 1]: it was outside by up to {excess:.3g}")
    return kept


def to_bytes(colors: Tensor, name: str) -> np.ndarray:
    """Return colours (..., 1), (..., 3) or (..., 4) as 8 bits: grey as RGB; see `to_levels`.

    Raises
    ------
    ValueError
        Another number of channels, or colours far outside of [0, 1].
    """
    channels = colors.shape[-1]
    if channels not in (1, 3, 4):
        raise ValueError(f"{name} must be grey, RGB or RGBA to be saved, got {channels} channels")
    numbers = np.rint(255 * to_levels(colors, name)).astype(np.uint8)
    return numbers.repeat(3, -1) if channels == 1 else numbers
