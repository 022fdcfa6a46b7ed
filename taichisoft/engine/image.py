"""Images from alpha and sums over faces, by one kernel instead of a dozen operations of torch. Private."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from taichisoft.base.backend import kernel_dtype
from taichisoft.base.eager import eager_class
from taichisoft.engine.bridge import Gradients, flat
from taichisoft.engine.kernels.image import BySums, Given, Images, Sums, image_kernels

# Alpha, depth, colours times alpha, and colours over the background; None where there are no colours.
ComposedImages = tuple[Tensor, Tensor, Tensor | None, Tensor | None]


class Ground(NamedTuple):
    """What images are composed with.

    Parameters
    ----------
    background : Tensor, (C,)
        Behind all faces; without a gradient.
    through_total : bool
        Whether alpha is ``1 - exp(-total)`` of the first of the sums. Then its gradient is passed there, and
        none to alpha.
    exact : callable
        Does the same as a graph of torch, for derivatives of derivatives.
    """

    background: Tensor
    through_total: bool
    exact: Callable[[Tensor, Tensor], ComposedImages]


def least_weight(dtype: torch.dtype) -> float:
    """Return the weight up to which a mean has no gradient, for it would overflow."""
    return torch.finfo(dtype).tiny ** 0.8


def compose(ground: Ground, alpha: Tensor, sums: Tensor) -> ComposedImages:
    """Return alpha and depth, (B, H, W), colours times alpha and over the background, (B, H, W, C).

    Parameters
    ----------
    ground : Ground
    alpha : Tensor, (B, H, W)
    sums : Tensor, (B, H, W, ... + 2 + C)
        The last ones are the sums of w, w z, and w times the colours.
    """
    return _Composed.apply(ground, alpha, sums)


@eager_class
class _Composed(Function):
    """Images. Derivatives of their derivatives are those of a graph of torch."""

    @staticmethod
    def forward(ctx: Any, ground: Ground, alpha: Tensor, sums: Tensor) -> ComposedImages:
        ctx.ground = ground
        ctx.save_for_backward(alpha, sums)
        ctx.set_materialize_grads(False)
        channels = len(ground.background)
        depth = torch.empty(alpha.shape, dtype=alpha.dtype)
        premultiplied, color = (
            torch.empty(*alpha.shape, channels, dtype=alpha.dtype) for _ in range(2)
        )
        images = Images(*(_or_one(x) for x in (depth, premultiplied, color)))
        kernels = image_kernels(kernel_dtype(alpha.dtype))
        kernels.compose(_sums(ground, alpha, sums), images)
        return alpha, depth, premultiplied, color

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> Gradients:
        alpha, sums = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *_differentiable(ctx.ground, alpha, sums, upstream)
        by_alpha, *given = upstream
        through_total = ctx.ground.through_total
        if not through_total and all(x is None for x in given):
            return None, by_alpha, None
        by_planes = torch.empty(sums.shape[-1], *alpha.shape, dtype=alpha.dtype)
        none = alpha.new_zeros(1)
        found = none if through_total else torch.empty(alpha.shape, dtype=alpha.dtype)
        arrays = [none if x is None else _or_one(flat(x)) for x in (*given, by_alpha)]
        kernels = image_kernels(kernel_dtype(alpha.dtype))
        kernels.compose_adjoint(
            _sums(ctx.ground, alpha, sums),
            Given(*(int(x is not None) for x in (*given, by_alpha))),
            Images(*arrays[:-1]),
            arrays[-1],
            int(through_total),
            BySums(flat(found), flat(by_planes)),
        )
        return None, None if through_total else found, by_planes.movedim(0, -1)


def _differentiable(ground: Ground, alpha: Tensor, sums: Tensor, upstream: Gradients) -> Gradients:
    """Return the gradients of alpha and sums as a graph of torch."""
    # Alpha may be made of the sums, which is not a part of their gradient here.
    alpha, sums = alpha.view_as(alpha), sums.view_as(sums)
    pairs = [
        (image, up)
        for image, up in zip(ground.exact(alpha, sums), upstream, strict=True)
        if up is not None and image is not None and image.requires_grad
    ]
    wanted = [x for x in (alpha, sums) if x.requires_grad]
    if not pairs or not wanted:
        return None, None
    images, ups = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(images, wanted, ups, create_graph=True, allow_unused=True))
    return tuple(next(found) if x.requires_grad else None for x in (alpha, sums))


def _sums(ground: Ground, alpha: Tensor, sums: Tensor) -> Sums:
    channels = len(ground.background)
    return Sums(
        flat(alpha),
        flat(sums.movedim(-1, 0)),
        _or_one(flat(ground.background)),
        alpha.numel(),
        sums.shape[-1] - 2 - channels,
        channels,
        least_weight(sums.dtype),
    )


def _or_one(x: Tensor) -> Tensor:
    """Return a flat array that has an element: Taichi takes no empty ones."""
    return x.reshape(-1) if x.numel() else x.new_zeros(1)
