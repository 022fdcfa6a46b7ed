"""A learned coverage that is monotone and anchored at 0 and 1 for any weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from taichisoft.base.checks import check_integer, check_number
from taichisoft.softness.coverage.base import Coverage
from taichisoft.softness.scale import Scale
from taichisoft.softness.tables.domain import SHARP, Domain
from taichisoft.softness.tables.monotone import MOST_KNOTS, monotone_cubic


class MonotoneSpline(Coverage):
    """A monotone cubic spline from 0 at -reach to 1 at +reach.

    The rises between equally spaced knots are a softmax of the weights, so every weight vector is a
    valid coverage. It starts and ends with slope 0; between, see `taichisoft.softness.tables.monotone`.

    Parameters
    ----------
    scale : float or Scale
        Length in which distances are measured; a number is in pixels.
    reach : float
        Cut-off in scales.
    knots : int
        Number of intervals, hence of weights; from 2 to 256.
    """

    def __init__(self, scale: float | Scale = 1.0, *, reach: float = 4.0, knots: int = 12):
        super().__init__(scale)
        self.reach = check_number(reach, "reach", above=0)
        self.knots = check_integer(knots, "knots", minimum=2, maximum=MOST_KNOTS)
        # The start is a logistic curve: its rises over the intervals.
        ends = torch.linspace(-self.reach, self.reach, self.knots + 1, dtype=torch.float64)
        # Logarithms, since far out the rises themselves vanish.
        rises = logsigmoid(2 * ends[1:]) + logsigmoid(-2 * ends[:-1])
        self.weight = nn.Parameter(rises + torch.log(-torch.expm1(-2 * ends.diff())))

    def forward(self, s: Tensor) -> Tensor:
        """Return the coverage at signed distances `s` in scales."""
        rises = torch.softmax(self.weight.double(), 0)
        flat = rises.new_zeros(())
        return monotone_cubic((s / self.reach + 1) * (len(rises) / 2), rises, flat, flat)

    def ends(self) -> Tensor:
        """Return 0 and 1, whatever the weights."""
        return torch.tensor([0.0, 1.0], dtype=torch.float64)

    def domain(self) -> Domain:
        """Return [-reach, reach]; the second derivative jumps at the knots."""
        knots = tuple(self.reach * (2 * k / self.knots - 1) for k in range(1, self.knots))
        return Domain(-self.reach, self.reach, knots, ((self.reach, SHARP),))
