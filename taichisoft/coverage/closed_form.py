"""Classical coverage functions: cumulative distribution functions with a scale.

Names and parameters follow GenDR (Petersen et al. 2022, table 1); ``scale`` is the parameter of the
standard distribution in SciPy's convention.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import cached_property

import torch
from torch import Tensor

from taichisoft.checks import check_number
from taichisoft.coverage.base import Coverage
from taichisoft.scale import HeightFraction, Scale
from taichisoft.table import Domain

# Where infinite tails are cut: a coverage below the first is none, above 1 - the second is full.
LOW_TAIL = 1e-4
HIGH_TAIL = 1e-6
# Cell grading for distributions that reach 1 at a finite distance, where the optical depth of the
# probabilistic sum has a logarithmic singularity.
GRADING = 25.0


class ClosedForm(Coverage):
    """A cumulative distribution function of the signed distance.

    A subclass gives `cdf` and `support`.

    Parameters
    ----------
    scale : float or Scale
        Scale of the distribution; a number is in pixels.
    squared : bool
        Whether the argument is ``sign(d) d^2 / scale^2`` instead of ``d / scale``.
    """

    def __init__(self, scale: float | Scale = 1.0, *, squared: bool = False):
        super().__init__(scale)
        self.squared = squared

    @abstractmethod
    def cdf(self, x: Tensor) -> Tensor:
        """Return the standard cumulative distribution function."""

    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Return where the standard distribution has mass, possibly infinite."""

    def forward(self, s: Tensor) -> Tensor:
        """Return the coverage at signed distances `s` in scales."""
        return self.cdf(s * s.abs() if self.squared else s)

    def domain(self) -> Domain:
        """Return the support, with infinite tails cut at coverages of 1e-4 and 1 - 1e-6."""
        return self._domain

    @cached_property
    def _domain(self) -> Domain:
        low, high = self.support()
        grading = 0.0 if math.isinf(high) else GRADING
        low = self._quantile(LOW_TAIL) if math.isinf(low) else low
        high = self._quantile(1 - HIGH_TAIL) if math.isinf(high) else high
        if self.squared:
            low, high = (math.copysign(math.sqrt(abs(end)), end) for end in (low, high))
        return Domain(low, high, grading)

    def settings(self) -> dict:
        """Return the constructor arguments that make an equal module."""
        return {"scale": self.scale, "squared": self.squared}

    def extra_repr(self) -> str:
        """Return what is shown of this module besides its scale."""
        return f"squared={self.squared}"

    def _quantile(self, level: float) -> float:
        low, high = -1e4, 1e4
        for _ in range(60):
            middle = (low + high) / 2
            with torch.no_grad():
                below = float(self.cdf(torch.tensor(middle, dtype=torch.float64))) < level
            low, high = (middle, high) if below else (low, middle)
        return high


class Heaviside(ClosedForm):
    """The exact hard renderer: 1 on and inside the boundary, 0 outside. It has no slope to follow."""

    def __init__(self):
        super().__init__(1.0)

    def settings(self) -> dict:
        """Return no arguments: there are none."""
        return {}

    def cdf(self, x: Tensor) -> Tensor:
        """Return 1 where x >= 0, else 0."""
        return (x >= 0).to(x.dtype)

    def support(self) -> tuple[float, float]:
        """Return the single point 0."""
        return 0.0, 0.0


class Gaussian(ClosedForm):
    """The normal distribution, its standard deviation as scale."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return the normal cumulative distribution function."""
        return torch.special.ndtr(x)

    def support(self) -> tuple[float, float]:
        """Return the real line."""
        return -math.inf, math.inf


class Logistic(ClosedForm):
    """The logistic distribution. With ``squared=True`` it is the coverage of SoftRas."""

    @classmethod
    def softras(cls, sigma: float = 1e-5) -> Logistic:
        """Return the coverage of SoftRas (Liu et al. 2019, eq. 1) for its parameter ``sigma``."""
        return cls(HeightFraction.from_sigma(sigma), squared=True)

    def cdf(self, x: Tensor) -> Tensor:
        """Return the logistic function."""
        return torch.sigmoid(x)

    def support(self) -> tuple[float, float]:
        """Return the real line."""
        return -math.inf, math.inf


class Uniform(ClosedForm):
    """The uniform distribution on [-scale, scale]: coverage rises linearly."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return (x + 1) / 2 between -1 and 1."""
        return ((x + 1) / 2).clamp(0, 1)

    def support(self) -> tuple[float, float]:
        """Return [-1, 1]."""
        return -1.0, 1.0


class ExponentialReversed(ClosedForm):
    """The exponential distribution reversed: it decays outside, and is 1 from the boundary inwards."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return exp(x) for x <= 0, else 1."""
        return x.clamp(max=0).exp()

    def support(self) -> tuple[float, float]:
        """Return the negative half-line."""
        return -math.inf, 0.0


class GammaReversed(ClosedForm):
    """The gamma distribution reversed: it decays outside, and is 1 from the boundary inwards.

    Parameters
    ----------
    scale : float or Scale
        Scale of the distribution; a number is in pixels.
    shape : float
        Shape of the distribution, > 0. Below 1 the slope is infinite on the boundary.
    squared : bool
        Whether the argument is ``sign(d) d^2 / scale^2`` instead of ``d / scale``.
    """

    def __init__(self, scale: float | Scale = 1.0, *, shape: float = 0.5, squared: bool = False):
        super().__init__(scale, squared=squared)
        self.shape = check_number(shape, "shape", above=0)

    def settings(self) -> dict:
        """Return the constructor arguments that make an equal module."""
        return super().settings() | {"shape": self.shape}

    def cdf(self, x: Tensor) -> Tensor:
        """Return the upper regularised incomplete gamma function of -x for x < 0, else 1."""
        # The guard keeps an infinite slope out of the autograd graph; it is far below a cell.
        y = (-x).clamp(min=1e-12)
        outside = torch.special.gammaincc(torch.full_like(y, self.shape), y)
        return torch.where(x < 0, outside, 1)

    def support(self) -> tuple[float, float]:
        """Return the negative half-line."""
        return -math.inf, 0.0

    def extra_repr(self) -> str:
        """Return what is shown of this module besides its scale."""
        return f"shape={self.shape}, squared={self.squared}"
