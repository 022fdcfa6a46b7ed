"""Aggregation: how the coverages of all faces at a pixel become its alpha."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn


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
        # Each form is exact where it is used: the derivative of expm1 is computed as its value plus 1,
        # which cancels for large totals, and 1 - exp cancels for small ones.
        return torch.where(total < 0.5, -torch.expm1(-total), 1 - torch.exp(-total))


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
