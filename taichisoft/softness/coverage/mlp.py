"""The learned coverage of the paper: a small residual tanh network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_number
from taichisoft.softness.coverage.base import Coverage
from taichisoft.softness.scale import Scale
from taichisoft.softness.tables.domain import Domain

WIDTH = 4


class MLPCoverage(Coverage):
    """A 1-4-4-4-4-1 tanh network with a skip from the first to the fourth layer and a sigmoid output.

    After Wu et al., "Learning to Rasterize Differentiably" (EGSR 2024). Its input is the distance in
    scales, so that what was learned at one resolution holds at another. Without biases the curve is odd
    about the boundary (coverage 1/2 there); with them it can be skewed.

    Parameters
    ----------
    scale : float or Scale
        Length in which distances are measured; a number is in pixels.
    reach : float
        Cut-off in scales: farther outside a face has no effect, farther inside it is constant.
    biases : bool
        Whether the layers have biases.
    seed : int
        Seed of the initial weights, which make a curve close to the normal distribution.
    """

    layers: Sequence[nn.Linear]

    def __init__(
        self,
        scale: float | Scale = 1.0,
        *,
        reach: float = 4.0,
        biases: bool = True,
        seed: int = 0,
    ):
        super().__init__(scale)
        self.reach = check_number(reach, "reach", above=0)
        self.biases = bool(biases)
        widths = [1, WIDTH, WIDTH, WIDTH, WIDTH, 1]
        layers = [nn.Linear(a, b, bias=biases, dtype=torch.float64) for a, b in pairwise(widths)]
        self.layers = cast("Sequence[nn.Linear]", nn.ModuleList(layers))
        self._initialise(torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        # Positive weights make every unit rise with the distance; the noise tells the units apart. With
        # these gains and the default seed the curve is within 0.03 of the normal distribution.
        for layer, gain in zip(self.layers, (0.1, 0.1, 0.1, 0.1, 3.0), strict=True):
            noise = torch.rand(layer.weight.shape, generator=generator, dtype=torch.float64)
            layer.weight.copy_(gain * (0.6 + 0.8 * noise))
            if layer.bias is not None:
                layer.bias.zero_()

    def forward(self, s: Tensor) -> Tensor:
        """Return the coverage at signed distances `s` in scales."""
        first, second, third, fourth, last = self.layers
        x = s.to(first.weight.dtype).unsqueeze(-1)
        skip = torch.tanh(first(x))
        hidden = torch.tanh(third(torch.tanh(second(skip))))
        hidden = torch.tanh(fourth(hidden) + skip)
        return torch.sigmoid(last(hidden)).squeeze(-1).to(s.dtype)

    def domain(self) -> Domain:
        """Return [-reach, reach]."""
        return Domain(-self.reach, self.reach)
