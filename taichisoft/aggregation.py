"""Aggregation: how the coverages of all faces at a pixel become its alpha."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.autograd import Function


class _OneMinusExp(Function):
    """``1 - exp(-x)``, exact in value and in derivatives of any order for small and large x.

    torch takes the derivative of expm1 as its value plus 1, which cancels where alpha is nearly 1.
    """

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.neg(x).expm1_().neg_()

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return gradient * torch.exp(-x)
        # In place: at the size of an image, new memory costs more than the arithmetic.
        return torch.neg(x).exp_().mul_(gradient)


class Aggregation(nn.Module):
    """A T-conorm, through its additive generator g: ``alpha = g^-1(sum_k g(D_k))``.

    The kernels sum (or take the maximum of) tabulated ``g(D)``; the inverse is applied to the image.
    """

    def settings(self) -> dict:
        """Return the constructor arguments that make an equal module: none."""
        return {}

    @property
    @abstractmethod
    def takes_max(self) -> bool:
        """Whether faces are combined by their maximum instead of the sum of the generator."""

    @abstractmethod
    def generator(self, coverage: Tensor) -> Tensor:
        """Return g of coverages in [0, 1]: increasing, 0 at 0, finite."""

    @abstractmethod
    def inverse(self, total: Tensor) -> Tensor:
        """Return alpha in [0, 1] for the combined generators, 0 at 0."""


class Probabilistic(Aggregation):
    """The probabilistic sum ``1 - prod_k (1 - D_k)``, through optical depth ``-log(1 - D)``.

    Summing optical depths keeps gradients of nearly saturated faces exact in float32, where the product
    of ``1 - D`` cancels.
    """

    @property
    def takes_max(self) -> bool:
        """Faces are summed."""
        return False

    def generator(self, coverage: Tensor) -> Tensor:
        """Return -log(1 - D); full coverage counts as 1 - 1e-38, whose alpha rounds to 1."""
        return -torch.log((1 - coverage).clamp(min=1e-38))

    def inverse(self, total: Tensor) -> Tensor:
        """Return 1 - exp(-total)."""
        return _OneMinusExp.apply(total)


class Max(Aggregation):
    """The largest coverage. Of tied faces the one with the smallest index gets the gradient."""

    @property
    def takes_max(self) -> bool:
        """Faces compete."""
        return True

    def generator(self, coverage: Tensor) -> Tensor:
        """Return the coverage itself."""
        return coverage

    def inverse(self, total: Tensor) -> Tensor:
        """Return the maximum itself."""
        return total
