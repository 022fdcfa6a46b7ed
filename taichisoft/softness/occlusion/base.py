"""The interfaces of occlusion: what all kinds are, and those that compare with a reference depth."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from taichisoft.softness.courses import PositiveOrCourse, as_positive_or_course
from taichisoft.softness.depth_scale import DepthFraction
from taichisoft.softness.part import Part
from taichisoft.softness.tables.clipping import LEAST_RISE, clipped
from taichisoft.softness.tables.domain import Domain

DepthWidth = PositiveOrCourse


class Occlusion(Part):
    """How faces hide each other: `FrontToBack`, or a `ReferenceDepth`.

    Attributes
    ----------
    gamma : Module
        The depth difference by which the function of a kind is stretched: a number of scene units, or a
        `DepthFraction`.
    """

    gamma: DepthWidth | DepthFraction

    @property
    def gamma_unit(self) -> str:
        """Unit of gamma, in words."""
        return self.gamma.unit if isinstance(self.gamma, DepthFraction) else "scene units"

    @abstractmethod
    def forward(self, u: Tensor) -> Tensor:
        """Return the function of a depth difference in gammas, float64."""

    @abstractmethod
    def domain(self) -> Domain:
        """Return the range of `u` on which the function varies."""


class ReferenceDepth(Occlusion):
    """A weight Z of the depth difference to the nearest face in reach: 1 there, falling behind it.

    This is the blending of SoftRas. Whatever reaches a pixel, however faintly, hides what is behind it: a
    near object covers its whole reach, and its edge has no gradient in colour and depth where something is
    far behind it. `FrontToBack` has neither fault.

    The difference is taken from the front-most face of the pixel, so the weight depends neither on near
    and far planes nor on the order of the faces.

    Parameters
    ----------
    gamma : float, Positive, AnnealedPositive or PiecewisePositive
        Depth difference, in scene units, over which the weight falls; a number is fixed. Not a
        `DepthFraction`.
    """

    gamma: DepthWidth

    def __init__(self, gamma: float | DepthWidth):
        super().__init__()
        wanted = "Positive, PiecewisePositive or AnnealedPositive, in scene units"
        self.gamma = as_positive_or_course(gamma, "gamma", wanted)

    @abstractmethod
    def forward(self, u: Tensor) -> Tensor:
        """Return the weight at ``u = (front depth - depth) / gamma <= 0``; any shape, float64.

        1 at 0, and 0 at and below the lower end of the domain (unless it jumps there). Twice
        differentiable with respect to `u` and the parameters.
        """

    @abstractmethod
    def domain(self) -> Domain:
        """Return the range of `u` on which the weight varies; below it a face is hidden."""


def anchored(curve: Callable[[Tensor], Tensor], u: Tensor, low: Tensor) -> Tensor:
    """Return a rising curve shifted and scaled so that it is 0 at `low` and below, and 1 at 0.

    Parameters
    ----------
    curve : callable
        Maps arguments in [low, 0] to values; its value at 0 exceeds that at `low`.
    u : Tensor
        Arguments <= 0, of any shape.
    low : Tensor
        The cut-off < 0, a scalar; differentiable.
    """
    tail, top = curve(torch.stack([low, torch.zeros_like(low)]).to(u)).unbind()
    end = float(low.detach())
    weight = (curve(u.clamp(end, 0)) - tail) / (top - tail).clamp(min=LEAST_RISE)
    return clipped(weight, torch.where(u > end, weight.clamp(0, 1), 0))
