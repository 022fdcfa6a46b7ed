"""Learned occlusion functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_integer, check_number
from taichisoft.softness.occlusion.base import DepthWidth, ReferenceDepth, anchored
from taichisoft.softness.tables.domain import Domain
from taichisoft.softness.tables.monotone import MOST_KNOTS, monotone_cubic

HIDDEN = 6
# The weight never falls more slowly than exp(u / 100), so that removing the tail stays possible.
LEAST_RATE = 0.01


class MonotoneDepth(ReferenceDepth):
    """A monotone cubic spline from 0 at -reach to 1 at 0, for any weights.

    The rises between equally spaced knots are a softmax of the weights. It starts close to ``exp(u)``.

    Parameters
    ----------
    gamma : float, Positive, AnnealedPositive or PiecewisePositive
        Depth difference, in scene units, that is one unit of `reach`; a number is fixed.
    reach : float
        Cut-off, in units of gamma: a face farther behind the front is hidden.
    knots : int
        Number of intervals, hence of weights; from 2 to 256.
    """

    def __init__(self, gamma: float | DepthWidth = 0.05, *, reach: float = 4.0, knots: int = 8):
        super().__init__(gamma)
        self.reach = check_number(reach, "reach", above=0)
        self.knots = check_integer(knots, "knots", minimum=2, maximum=MOST_KNOTS)
        ends = torch.linspace(-self.reach, 0, self.knots + 1, dtype=torch.float64)
        # Logarithms of the rises, which themselves vanish far behind.
        self.weight = nn.Parameter(ends[1:] + torch.log(-torch.expm1(-ends.diff())))

    def forward(self, u: Tensor) -> Tensor:
        """Return the weight at ``u = (front depth - depth) / gamma <= 0``."""
        return anchored(self._rise, u, u.new_tensor(-self.reach))

    def domain(self) -> Domain:
        """Return [-reach, 0]; the second derivative jumps at the knots."""
        knots = tuple(self.reach * (k / self.knots - 1) for k in range(1, self.knots))
        return Domain(-self.reach, 0.0, knots)

    def _rise(self, u: Tensor) -> Tensor:
        rises = torch.softmax(self.weight.double(), 0)
        x = (u / self.reach + 1) * len(rises)
        # Steep at the front, so that faces that nearly tie are told apart; flat where they vanish.
        return monotone_cubic(x, rises, torch.zeros_like(rises[0]), 1.5 * rises[-1])


class MLPOcclusion(ReferenceDepth):
    """A learned network ``exp(u r(u))`` without its tail, where r > 0 is a 1-6-6-1 tanh network.

    After the learned depth function of Wu et al., "Learning to Rasterize Differentiably" (EGSR 2024). For
    any weights it is 1 at 0, 0 at the cut-off and in [0, 1] between; it need not be monotone. It starts
    close to ``exp(u)``.

    Parameters
    ----------
    gamma : float, Positive, AnnealedPositive or PiecewisePositive
        Depth difference, in scene units, that is one unit of `reach`; a number is fixed.
    reach : float
        Cut-off, in units of gamma: a face farther behind the front is hidden.
    seed : int
        Seed of the initial weights.
    """

    layers: Sequence[nn.Linear]

    def __init__(self, gamma: float | DepthWidth = 0.05, *, reach: float = 4.0, seed: int = 0):
        super().__init__(gamma)
        self.reach = check_number(reach, "reach", above=0)
        widths = [1, HIDDEN, HIDDEN, 1]
        layers = [nn.Linear(a, b, dtype=torch.float64) for a, b in pairwise(widths)]
        self.layers = cast("Sequence[nn.Linear]", nn.ModuleList(layers))
        self._initialise(torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        for layer, gain in zip(self.layers, (1.0, 1.0, 0.1), strict=True):
            noise = torch.rand(layer.weight.shape, generator=generator, dtype=torch.float64)
            layer.weight.copy_(gain * (2 * noise - 1) / math.sqrt(layer.in_features))
            layer.bias.zero_()
        # A rate of 1: the softplus of this is 1 - LEAST_RATE.
        self.layers[-1].bias.fill_(math.log(math.expm1(1 - LEAST_RATE)))

    def forward(self, u: Tensor) -> Tensor:
        """Return the weight at ``u = (front depth - depth) / gamma <= 0``."""
        return anchored(self._decay, u, u.new_tensor(-self.reach))

    def domain(self) -> Domain:
        """Return [-reach, 0]."""
        return Domain(-self.reach, 0.0)

    def _decay(self, u: Tensor) -> Tensor:
        first, second, last = self.layers
        x = u.to(first.weight.dtype).unsqueeze(-1)
        hidden = torch.tanh(second(torch.tanh(first(x))))
        rate = LEAST_RATE + nn.functional.softplus(last(hidden).squeeze(-1)).to(u.dtype)
        return torch.exp(u * rate)
