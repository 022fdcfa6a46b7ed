"""Weights of pixels: which of them count in a loss on images, and how much."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from taichisoft.base.checks import (
    FLOAT_DTYPES,
    check_finite,
    check_like,
    check_shares,
    check_tensor,
)
from taichisoft.base.eager import eager
from taichisoft.base.transforms import beneath


def pixel_weights(
    mask: Tensor | None, weight: Tensor | None, image: Tensor, name: str
) -> Tensor | None:
    """Return how much each pixel counts, (B, H, W) or (1, H, W), or None if all count alike.

    Parameters
    ----------
    mask : Tensor, (H, W), (1, H, W) or (B, H, W), bool or dtype of `image`, or None
        In [0, 1].
    weight : Tensor, of these shapes, dtype of `image`, or None
        Not negative.
    image : Tensor, (B, H, W) or (B, H, W, C)
        What is compared, and its `name` in messages.

    Returns
    -------
    Tensor
        Their product. Differentiable.

    Raises
    ------
    TypeError, ValueError
        One of them has a wrong shape, dtype, device, or number.
    """
    if mask is not None:
        check_tensor(mask, "mask", *image_shapes(image), dtypes=(torch.bool, *FLOAT_DTYPES))
        if mask.dtype == torch.bool:
            mask = mask.to(image.dtype)
        check_like(mask, "mask", image, name)
        check_shares(mask, "mask")
    if weight is not None:
        check_tensor(weight, "weight", *image_shapes(image))
        check_like(weight, "weight", image, name)
        _check_not_negative(weight)
    given = [_with_batch(x) for x in (mask, weight) if x is not None]
    if not given:
        return None
    return given[0] if len(given) == 1 else given[0] * given[1]


def of_size_one(weights: Tensor) -> Tensor:
    """Scale the weights of each image so that the largest is 1; of one without any, all are constants, 0.

    A quotient of sums over pixels, such as a mean, does not change, so the size is a constant to derivatives.
    What is gained: the square of a weight of 1e-30 would be 0 in float32.
    """
    largest = weights.detach().amax((1, 2), keepdim=True)
    return torch.where(largest > 0, weights / torch.where(largest > 0, largest, 1), 0)


def where_usable(weights: Tensor, *images: Tensor) -> tuple[Tensor, ...]:
    """Return images (H, W), (B, H, W) or (B, H, W, C), 0 in pixels without weight that hold no plain numbers.

    Those are a NaN, an infinity, or a number whose fourth power is infinite: times a weight of 0 its square,
    and what derivatives make of it, would not be 0. Other pixels stay: the derivative by their weight needs
    them.
    """
    plain = reduce(torch.logical_and, [_are_plain(image.detach()) for image in images])
    usable = plain | (weights.detach() > 0)
    return tuple(
        torch.where(usable.unsqueeze(-1) if image.ndim == 4 else usable, image, 0)
        for image in images
    )


def _are_plain(image: Tensor) -> Tensor:
    """Return which pixels have a finite fourth power in all channels, (H, W) or (B, H, W)."""
    plain = image.abs() < torch.finfo(image.dtype).max ** 0.25
    return plain.all(-1) if image.ndim == 4 else plain


def mean_square(differences: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of squares (B, H, W) or (B, H, W, C) by weights of pixels, (B,); 0 without any.

    It is differentiable any number of times, and where there is no weight, differences may hold anything.
    """
    weights = of_size_one(weights)
    (usable,) = where_usable(weights, differences)
    squares = usable.square()
    if squares.ndim == 4:
        squares = squares.mean(-1)
    total = weights.sum((1, 2))
    return (weights * squares).sum((1, 2)) / torch.where(total > 0, total, 1)


def image_shapes(image: Tensor, channels: tuple[int, ...] = ()) -> dict[tuple[int, ...], None]:
    """Return the shapes of what goes with images (B, H, W, ...), as many or one for all; each shape once."""
    batch, *size = image.shape[:3]
    one = (*size, *channels)
    return dict.fromkeys(((batch, *one), (1, *one), one))


def _with_batch(values: Tensor) -> Tensor:
    return values if values.ndim == 3 else values[None]


@eager
def _check_not_negative(weight: Tensor) -> None:
    check_finite(weight, "weight")
    if weight.numel() and (least := beneath(weight).detach().min().item()) < 0:
        raise ValueError(f"weight must not be negative, got {least:g}")
