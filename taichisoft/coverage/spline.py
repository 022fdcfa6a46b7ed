"""A learned coverage that is monotone and anchored at 0 and 1 for any weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from taichisoft.checks import check_integer, check_number
from taichisoft.coverage.base import Coverage
from taichisoft.coverage.closed_form import GRADING
from taichisoft.scale import Scale
from taichisoft.table import Domain


class MonotoneSpline(Coverage):
    """A monotone cubic spline from 0 at -reach to 1 at +reach.

    The rises between equally spaced knots are a softmax of the weights, so every weight vector is a
    valid coverage. Slopes at the knots are harmonic means of the neighbouring secants, which keeps a
    cubic monotone (Fritsch and Butland 1984).

    Parameters
    ----------
    scale : float or Scale
        Length in which distances are measured; a number is in pixels.
    reach : float
        Cut-off in scales.
    knots : int
        Number of intervals, hence of weights; at least 2.
    """

    def __init__(self, scale: float | Scale = 1.0, *, reach: float = 4.0, knots: int = 12):
        super().__init__(scale)
        self.reach = check_number(reach, "reach", above=0)
        check_integer(knots, "knots", minimum=2)
        # The start is a logistic curve: its rises over the intervals.
        ends = torch.linspace(-reach, reach, knots + 1, dtype=torch.float64)
        self.weight = nn.Parameter(torch.sigmoid(2 * ends).diff().log())

    def forward(self, s: Tensor) -> Tensor:
        """Return the coverage at signed distances `s` in scales."""
        rises = torch.softmax(self.weight, 0)
        count = len(rises)
        value = torch.cat([rises.new_zeros(1), rises.cumsum(0)])
        both = rises[:-1] + rises[1:]
        # Extreme weights make neighbouring rises vanish together; flat there, not 0 / 0.
        inner = 2 * rises[:-1] * rises[1:] / torch.where(both > 1e-150, both, 1)
        slope = torch.cat([rises.new_zeros(1), inner, rises.new_zeros(1)])
        x = ((s / self.reach).clamp(-1, 1) + 1) * (count / 2)
        k = x.detach().floor().clamp(0, count - 1).long()
        t = x - k
        m0, m1, rise = slope[k], slope[k + 1], rises[k]
        return value[k] + t * (m0 + t * ((3 * rise - 2 * m0 - m1) + t * (m0 + m1 - 2 * rise)))

    def domain(self) -> Domain:
        """Return [-reach, reach]."""
        return Domain(-self.reach, self.reach, GRADING)

    def settings(self) -> dict:
        """Return the constructor arguments that make an equal module, up to its weights."""
        return {"scale": self.scale, "reach": self.reach, "knots": len(self.weight)}

    def extra_repr(self) -> str:
        """Return what is shown of this module."""
        return f"reach={self.reach}, knots={len(self.weight)}"
