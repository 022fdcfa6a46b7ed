"""Overlap: sums of intersection and union of images, with few images in between.

Images are fresh memory each time, which costs more than the arithmetic: the plain formula makes seven of them
on its way to a gradient, this one three, and the same numbers to the last bit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

from taichisoft.geometry.pixel_weights import where_usable


def overlap(alpha: Tensor, target: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the sums of ``a t`` and of ``a + t - a t`` over the pixels of each image, (B,) each.

    Parameters
    ----------
    alpha, target : Tensor, (B, H, W)
        Images; those of `target` may be one, (1, H, W) or (H, W), for all. Differentiable in both, any number
        of times, and by transforms of ``torch.func``.
    weights : Tensor, (B, H, W) or (1, H, W), optional
        What each pixel is multiplied by in the sums. Where it is 0, the images may hold anything.
    """
    if weights is not None:
        alpha, target = where_usable(weights, alpha, target)
        product = weights * alpha * target
        return product.sum((1, 2)), (weights * (alpha + target) - product).sum((1, 2))
    if target.requires_grad or target.shape != alpha.shape or _is_transformed():
        product = alpha * target
        return product.sum((1, 2)), (alpha + target - product).sum((1, 2))
    return _Overlap.apply(alpha, target)


def _is_transformed() -> bool:
    """Return whether torch looks into functions, which a function of our own would stop."""
    return (
        torch.compiler.is_compiling()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
    )


class _Overlap(Function):
    """The sums, for a target that has no gradient."""

    @staticmethod
    def forward(ctx: Any, alpha: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(target)
        product = alpha * target
        return product.sum((1, 2)), torch.add(alpha, target).sub_(product).sum((1, 2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (target,) = ctx.saved_tensors
        intersection, union = (gradient[:, None, None] for gradient in gradients)
        if torch.is_grad_enabled():
            return (intersection - union) * target + union, None
        return torch.mul(target, intersection - union).add_(union), None
