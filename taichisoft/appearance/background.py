"""Backgrounds: one number, a colour, or an image."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.base.checks import check_finite, check_tensor
from taichisoft.cameras.construction import Values, as_tensors

Background = Values
"""A number, one for each channel, or an image (H, W, C) or (B, H, W, C)."""


def as_background(value: Background) -> Tensor:
    """Return a background as a tensor; a tensor is kept as it is, with its graph.

    Raises
    ------
    TypeError, ValueError
        No number, sequence of numbers or floating-point tensor, a wrong number of axes, NaN or infinity.
    """
    if not isinstance(value, Tensor):
        value = as_tensors({"background": value}, torch.float64, None)["background"]
    if value.ndim not in (0, 1, 3, 4):
        raise ValueError(
            "background must be a number or one per channel, or an image (H, W, C) or (B, H, W, C), got "
            f"shape {tuple(value.shape)}"
        )
    check_tensor(value, "background")
    check_finite(value, "background")
    return value


def over_background(colors: Tensor, alpha: Tensor, background: Tensor) -> Tensor:
    """Put colours over a background.

    Parameters
    ----------
    colors : Tensor, (B, H, W, C)
        Colours times alpha.
    alpha : Tensor, (B, H, W)
        How much they hide.
    background : Tensor
        As `as_background` returns it.

    Raises
    ------
    ValueError
        The background has not one entry per channel, or not the size of the image.
    """
    batch, height, width, channels = colors.shape
    shape = tuple(background.shape)
    if background.ndim == 1 and shape != (channels,):
        raise ValueError(
            f"background must be a number or {channels} numbers, one per channel of the "
            f"colours, got {shape[0]}"
        )
    if background.ndim > 1:
        wanted = (height, width, channels)
        if shape[-3:] != wanted or (background.ndim == 4 and shape[0] not in (1, batch)):
            raise ValueError(
                f"background must be an image of shape {wanted} or ({batch}, {height}, {width}, "
                f"{channels}), as the rendered ones, got {shape}"
            )
    return colors + (1 - alpha.unsqueeze(-1)) * background.to(colors)
