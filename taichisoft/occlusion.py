"""Occlusion: how much a face behind the nearest one still contributes to the colour of a pixel."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from taichisoft.positive import Positive
from taichisoft.table import Domain

# exp(-16) = 1e-7: what is farther behind does not show in float32.
SOFTMAX_REACH = 16.0


class Occlusion(nn.Module):
    """A weight Z of the depth difference to the nearest face in reach: 1 there, falling behind it.

    The difference is taken from the front-most face of the pixel, so the weight depends neither on near
    and far planes nor on the order of the faces.

    Parameters
    ----------
    gamma : float or Positive
        Depth difference, in scene units, over which the weight falls; a number is fixed.
    """

    def __init__(self, gamma: float | Positive):
        super().__init__()
        self.gamma = gamma if isinstance(gamma, Positive) else Positive(gamma)

    def settings(self) -> dict:
        """Return the constructor arguments that make an equal module."""
        return {"gamma": self.gamma}

    @abstractmethod
    def forward(self, u: Tensor) -> Tensor:
        """Return the weight at ``u = (front depth - depth) / gamma <= 0``; any shape, float64."""

    @abstractmethod
    def domain(self) -> Domain:
        """Return the range of `u` on which the weight varies; below it a face is hidden."""


class DepthSoftmax(Occlusion):
    """The softmax over depth of SoftRas: ``exp(u)``, with the tail at the cut-off removed."""

    def __init__(self, gamma: float | Positive = 0.05):
        super().__init__(gamma)

    def forward(self, u: Tensor) -> Tensor:
        """Return exp(u) without its value at the cut-off."""
        tail = u.new_tensor(-SOFTMAX_REACH).exp()
        return ((u.exp() - tail) / (1 - tail)).clamp(min=0)

    def domain(self) -> Domain:
        """Return [-16, 0]."""
        return Domain(-SOFTMAX_REACH, 0.0)
