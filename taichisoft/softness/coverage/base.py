"""The interface of a coverage function and what the rasterizer makes of it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

import torch
from torch import Tensor

from taichisoft.softness.part import Part
from taichisoft.softness.scale import Scale, as_scale
from taichisoft.softness.tables.clipping import clipped
from taichisoft.softness.tables.domain import Domain

# Distances within this part of the upper end count as it. Scaling by a width moves a distance by less, tables
# ask farther inside.
AT_THE_END = 2.0**-50
# Least rise above the cut-off: what rises less is rounding of numbers near 1, and counts as less than full.
LEAST_RISE = 1e-9


class Surrogate(Protocol):
    """A function of the signed distance in scales whose slope is followed in place of another's."""

    def without_tail(self, s: Tensor) -> Tensor:
        """Return the function as the renderer uses it."""

    def domain(self) -> Domain:
        """Return the range of `s` on which it varies."""


class Coverage(Part):
    """A function from signed distance, in scales, to coverage in [0, 1].

    A subclass gives `forward` and `domain`, and `low` and `high` if they move with a parameter. The
    rasterizer tabulates it on its domain, so `forward` may be any differentiable torch code and costs
    nothing per pixel.

    Parameters
    ----------
    scale : float or Scale
        Width of the softness: a number is a fixed width in pixels.
    """

    def __init__(self, scale: float | Scale):
        super().__init__()
        self.scale = as_scale(scale)

    @abstractmethod
    def forward(self, s: Tensor) -> Tensor:
        """Return the coverage at signed distances `s` in scales, positive inside; any shape, float64."""

    @abstractmethod
    def domain(self) -> Domain:
        """Return the range of `s` on which the coverage varies; below it a face has no effect."""

    @property
    def is_cubic(self) -> bool:
        """Whether this is one polynomial of at most third degree between the ends of its domain."""
        return False

    @property
    def surrogate(self) -> Surrogate | None:
        """What gives the slope that gradients follow, if not this function itself (straight-through)."""
        return None

    def low(self) -> Tensor:
        """Return ``domain().low``, a float64 scalar tensor.

        A subclass whose cut-off moves with a parameter overrides this with a differentiable one, so that
        the gradient of the removed tail is right.
        """
        return torch.tensor(self.domain().low, dtype=torch.float64)

    def high(self) -> Tensor:
        """Return ``domain().high``, a float64 scalar tensor; differentiable if it moves, as `low`."""
        return torch.tensor(self.domain().high, dtype=torch.float64)

    def ends(self) -> Tensor:
        """Return the coverages at both ends of the domain, (2,) float64.

        They change with a parameter as the ends move along with it. A subclass that knows one of them (0 or
        1, say) overrides this, since at a corner rounding decides which slope torch takes.
        """
        return self(torch.stack([self.low(), self.high()]))

    def without_tail(self, s: Tensor) -> Tensor:
        """Return the coverage the renderer uses: its value at the cut-off is removed.

        ``(F(s) - F(low)) / (1 - F(low))`` inside the domain, so that a face fades out at the cut-off
        radius and no pixel sees a jump there; 0 below it, and constant above it: a corner in which full
        coverage is reached moves with a parameter, and what lies beyond does not follow.
        """
        domain = self.domain()
        if domain.span == 0:
            return self(s)
        tail, top = self.ends().to(s).unbind()
        beyond = s >= domain.high - AT_THE_END * abs(domain.high)
        value = torch.where(beyond, top, self(s.clamp(domain.low, domain.high)))
        kept = (value - tail) / (1 - tail).clamp(min=LEAST_RISE)
        # Whatever rounding makes of the two.
        kept = torch.where(s == domain.low, kept - kept.detach(), kept)
        return torch.where(s < domain.low, 0, clipped(kept, kept.clamp(0, 1)))


def relative_width(part: Coverage) -> Tensor:
    """Return the width of a part of another coverage, relative to that: the number of its `Pixels`."""
    return part.scale.in_pixels(1)
