"""Monotone rational-quadratic splines, whose inverse has a closed form.

Gregory and Delbourgo, "Piecewise rational quadratic interpolation to monotonic data" (1982); the inverse as
in Durkan et al., "Neural Spline Flows" (2019), equations 4 to 8.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RationalSpline:
    """An increasing function on [0, infinity) through given knots, a straight line behind the last.

    Parameters
    ----------
    x, y : Tensor
        (K + 1,) strictly increasing, both from 0.
    slope : Tensor
        (K + 1,) positive slopes at the knots.
    """

    x: Tensor
    y: Tensor
    slope: Tensor

    @classmethod
    def through(cls, x: Tensor, y: Tensor) -> RationalSpline:
        """Return a spline whose slopes are the harmonic means of the secants on both sides.

        No slope exceeds twice a neighbouring secant, so nothing happens within less than a bin.
        """
        secant = y.diff() / x.diff()
        inner = 2 / (1 / secant[:-1] + 1 / secant[1:])
        return cls(x, y, torch.cat([secant[:1], inner, secant[-1:]]))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values at `x` >= 0, of any shape."""
        inner = x.clamp(max=self.x[-1].detach())
        x0, y0, width, height, d0, d1 = self._bin(self.x, inner)
        secant = height / width
        t = (inner - x0) / width
        both = t * (1 - t)
        ratio = (secant * t * t + d0 * both) / (secant + (d0 + d1 - 2 * secant) * both)
        tail = self.y[-1] + self.slope[-1] * (x - self.x[-1])
        return torch.where(x > self.x[-1], tail, y0 + height * ratio)

    def inverse(self, y: Tensor) -> Tensor:
        """Return the arguments of values `y` >= 0, of any shape."""
        inner = y.clamp(max=self.y[-1].detach())
        x0, y0, width, height, d0, d1 = self._bin(self.y, inner)
        secant = height / width
        rise = inner - y0
        bend = rise * (d0 + d1 - 2 * secant)
        a, b, c = height * (secant - d0) + bend, height * d0 - bend, -secant * rise
        # Positive up to rounding, since both roots are real and differ where the spline has a slope.
        root = (b * b - 4 * a * c).clamp(min=1e-300).sqrt()
        tail = self.x[-1] + (y - self.y[-1]) / self.slope[-1]
        return torch.where(y > self.y[-1], tail, x0 - width * 2 * c / (b + root))

    def _bin(self, knots: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Return corner, width, height and both slopes of the bin between `knots` of each value."""
        place = torch.searchsorted(knots.detach(), value.detach().contiguous(), right=True)
        k = (place - 1).clamp(0, len(knots) - 2)
        width, height = self.x.diff(), self.y.diff()
        return self.x[k], self.y[k], width[k], height[k], self.slope[k], self.slope[k + 1]
