"""T-conorms without a parameter."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.softness.aggregation.arithmetic import one_minus_exp, optical_depth
from taichisoft.softness.aggregation.base import Aggregation


class Probabilistic(Aggregation):
    """The probabilistic sum ``1 - prod_k (1 - D_k)``, through optical depth ``-log(1 - D)``.

    Summing optical depths keeps gradients of nearly saturated faces exact in float32, where the product
    of ``1 - D`` cancels.
    """

    def generator(self, coverage: Tensor) -> Tensor:
        """Return -log(1 - D); full coverage counts as 1 - 1e-38, whose alpha rounds to 1."""
        return optical_depth(coverage)

    def inverse(self, total: Tensor) -> Tensor:
        """Return 1 - exp(-total)."""
        return one_minus_exp(total)

    def complement(self, total: Tensor) -> Tensor:
        """Return exp(-total)."""
        return torch.exp(-total)


class Einstein(Aggregation):
    """The Einstein sum ``(a + b) / (1 + a b)``, the addition of velocities in special relativity."""

    def generator(self, coverage: Tensor) -> Tensor:
        """Return 2 atanh(D), which is optical depth plus log(1 + D)."""
        return optical_depth(coverage) + torch.log1p(coverage)

    def inverse(self, total: Tensor) -> Tensor:
        """Return tanh(total / 2), as the alpha of an optical depth so that it does not saturate."""
        return one_minus_exp(total + torch.log1p(-one_minus_exp(total) / 2))

    def complement(self, total: Tensor) -> Tensor:
        """Return 2 exp(-total) / (1 + exp(-total))."""
        passed = torch.exp(-total)
        return 2 * passed / (1 + passed)


class BoundedSum(Aggregation):
    """The bounded sum ``min(1, a + b)``: Lukasiewicz's T-conorm, and Yager's with p = 1.

    For a coverage that is symmetric, ``F(d) + F(-d) = 1``, two faces that share an edge add up to exactly 1
    along it, so that a surface has no seams. Where the sum reaches 1, alpha is 1 and has no gradient. So it
    is for scales well below the length of edges in the image; `Frank` with a large p has a gradient there.

    Klement, Mesiar and Pap, "Triangular Norms" (2000); among the T-conorms of GenDR (Petersen et al. 2022).
    """

    def generator(self, coverage: Tensor) -> Tensor:
        """Return the coverage itself."""
        return coverage

    def inverse(self, total: Tensor) -> Tensor:
        """Return the total, at most 1."""
        return total.clamp(max=1)


class Max(Aggregation):
    """The largest coverage. Of tied faces the one with the smallest index gets the gradient."""

    takes_max = True

    def generator(self, coverage: Tensor) -> Tensor:
        """Return the coverage itself."""
        return coverage

    def inverse(self, total: Tensor) -> Tensor:
        """Return the maximum itself."""
        return total
