"""Coverage functions that rise within a finite distance: the step, and three ramps on [-scale, scale]."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from taichisoft.softness.coverage.closed_form import ClosedForm
from taichisoft.softness.coverage.support import Support
from taichisoft.softness.tables.domain import SHARP


class Heaviside(ClosedForm):
    """The exact hard renderer: 1 on and inside the boundary, 0 outside. It has no slope to follow."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def cdf(self, x: Tensor) -> Tensor:
        """Return 1 where x >= 0, else 0."""
        return (x >= 0).to(x.dtype)

    def support(self) -> Support:
        """Return the single point 0."""
        return Support(0.0, 0.0)


class Uniform(ClosedForm):
    """The uniform distribution on [-scale, scale]: coverage rises linearly."""

    @property
    def is_cubic(self) -> bool:
        """True, unless it is a function of the squared distance."""
        return not self.squared

    def cdf(self, x: Tensor) -> Tensor:
        """Return (x + 1) / 2 between -1 and 1."""
        return ((x + 1) / 2).clamp(0, 1)

    def support(self) -> Support:
        """Return [-1, 1]."""
        return Support(-1.0, 1.0, graded=((1.0, SHARP),))


class CubicHermite(ClosedForm):
    """The cubic step on [-scale, scale] that starts and ends with slope 0."""

    @property
    def is_cubic(self) -> bool:
        """True, unless it is a function of the squared distance."""
        return not self.squared

    def cdf(self, x: Tensor) -> Tensor:
        """Return y^2 (3 - 2 y) with y = (x + 1) / 2 between -1 and 1."""
        y = ((x + 1) / 2).clamp(0, 1)
        return y * y * (3 - 2 * y)

    def support(self) -> Support:
        """Return [-1, 1]."""
        return Support(-1.0, 1.0, graded=((1.0, SHARP),))


class Wigner(ClosedForm):
    """Wigner's semicircle distribution on [-scale, scale]."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return 1/2 + (x sqrt(1 - x^2) + asin x) / pi between -1 and 1."""
        y = x.clamp(-1, 1)
        # The guard makes the slope of the root finite; the angle by atan2 needs none of its own.
        root = ((1 - y) * (1 + y)).clamp(min=1e-20).sqrt()
        return 0.5 + (y * root + torch.atan2(y, root)) / math.pi

    def support(self) -> Support:
        """Return [-1, 1]; near its ends F and 1 - F are powers of 3/2."""
        return Support(-1.0, 1.0, graded=((-1.0, SHARP), (1.0, SHARP)))
