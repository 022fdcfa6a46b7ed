"""The interface of a coverage function and what the rasterizer makes of it."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from taichisoft.scale import Scale, as_scale
from taichisoft.table import Domain


class Coverage(nn.Module):
    """A function from signed distance, in scales, to coverage in [0, 1].

    A subclass gives `forward` and `domain`. The rasterizer tabulates it on its domain, so `forward`
    may be any differentiable torch code and costs nothing per pixel.

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

    @abstractmethod
    def settings(self) -> dict:
        """Return the constructor arguments that make an equal module, up to learned weights."""

    def without_tail(self, s: Tensor) -> Tensor:
        """Return the coverage the renderer uses: its value at the cut-off is removed.

        ``(F(s) - F(low)) / (1 - F(low))`` inside the domain, so that a face fades out at the cut-off
        radius and no pixel sees a jump there.
        """
        domain = self.domain()
        if domain.span == 0:
            return self(s)
        tail = self(s.new_tensor([domain.low]))
        kept = (self(s.clamp(domain.low, domain.high)) - tail) / (1 - tail)
        clipped = kept.clamp(0, 1)
        # Rounding decides on which side of 0 the cut-off falls; whether it has a slope must not.
        rounding = (kept - clipped).abs() < 1e-12
        return torch.where(rounding, kept + (clipped - kept).detach(), clipped)
