"""Coverage functions with infinite tails that are symmetric about the boundary."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from taichisoft.softness.coverage.closed_form import ClosedForm
from taichisoft.softness.coverage.support import Support
from taichisoft.softness.scale import HeightFraction


class Gaussian(ClosedForm):
    """The normal distribution, its standard deviation as scale."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return the normal cumulative distribution function."""
        return torch.special.ndtr(x)

    def support(self) -> Support:
        """Return the real line."""
        return Support()


class Laplace(ClosedForm):
    """The Laplace distribution: exponential on both sides."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return exp(x) / 2 for x < 0, else 1 - exp(-x) / 2."""
        # Not by the absolute value, whose slope at 0 torch takes as 0.
        return torch.where(x < 0, x.clamp(max=0).exp() / 2, 1 - (-x.clamp(min=0)).exp() / 2)

    def support(self) -> Support:
        """Return the real line; the curvature jumps at 0."""
        return Support(kinks=(0.0,))


class Logistic(ClosedForm):
    """The logistic distribution. With ``squared=True`` it is the coverage of SoftRas."""

    @classmethod
    def softras(cls, sigma: float = 1e-5) -> Logistic:
        """Return the coverage of SoftRas (Liu et al. 2019, eq. 1) for its parameter ``sigma``."""
        return cls(HeightFraction.from_sigma(sigma), squared=True)

    def cdf(self, x: Tensor) -> Tensor:
        """Return the logistic function."""
        return torch.sigmoid(x)

    def support(self) -> Support:
        """Return the real line."""
        return Support()


class Gudermannian(ClosedForm):
    """The hyperbolic secant distribution, whose integral is the Gudermannian function."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return 1/2 + (2 / pi) atan(tanh(x / 2)), equal to (2 / pi) atan(exp(x)) but without overflow."""
        return 0.5 + torch.atan(torch.tanh(x / 2)) * (2 / math.pi)

    def support(self) -> Support:
        """Return the real line."""
        return Support()


class Cauchy(ClosedForm):
    """The Cauchy distribution. Its tails fall as 1 / distance, so it is cut at 50 scales by default."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return 1/2 + atan(x) / pi."""
        return 0.5 + torch.atan(x) / math.pi

    def support(self) -> Support:
        """Return the real line."""
        return Support(graded=((0.0, 1.0),))


class Reciprocal(ClosedForm):
    """The rational step 1/2 + x / (2 + 2 |x|). Its tails fall as 1 / distance, as those of `Cauchy`."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return 1/2 + x / (2 + 2 |x|)."""
        return 0.5 + x / (2 + 2 * x.abs())

    def support(self) -> Support:
        """Return the real line; the curvature jumps at 0."""
        return Support(graded=((0.0, 1.0),))
