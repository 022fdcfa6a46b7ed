"""A T-conorm whose generator is learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_integer, check_number
from taichisoft.softness.aggregation.arithmetic import one_minus_exp, optical_depth
from taichisoft.softness.aggregation.base import Aggregation
from taichisoft.softness.aggregation.rational_spline import RationalSpline

# No bin is narrower or flatter than this share of an equal one: a table must resolve it.
LEAST_SHARE = 0.1
# More would be narrower than the cells of a table.
MOST_BINS = 256


class MonotoneGenerator(Aggregation):
    """A learned generator ``phi(-log(1 - D))``, a valid T-conorm for any weights.

    phi is increasing: a rational-quadratic spline from (0, 0) to (reach, reach) and a line beyond. (A
    generator counts up to a factor, so nothing is lost by fixing the end.) It starts as the identity, which
    is the probabilistic sum.

    Parameters
    ----------
    bins : int
        Number of bins of the spline, from 1 to 256: there are as many weights for their widths, and for their
        heights.
    reach : float
        Optical depth at which the straight line begins: coverages up to ``1 - exp(-reach)`` are free.
    """

    def __init__(self, *, bins: int = 8, reach: float = 6.0):
        super().__init__()
        self.bins = check_integer(bins, "bins", minimum=1, maximum=MOST_BINS)
        self.reach = check_number(reach, "reach", above=0)
        self.widths = nn.Parameter(torch.zeros(self.bins, dtype=torch.float64))
        self.heights = nn.Parameter(torch.zeros(self.bins, dtype=torch.float64))

    def generator(self, coverage: Tensor) -> Tensor:
        """Return phi(-log(1 - D))."""
        depth = optical_depth(coverage)
        return self._spline(depth)(depth)

    def inverse(self, total: Tensor) -> Tensor:
        """Return 1 - exp(-phi^-1(total))."""
        exact = total.double()
        return one_minus_exp(self._spline(exact).inverse(exact)).to(total.dtype)

    def complement(self, total: Tensor) -> Tensor:
        """Return exp(-phi^-1(total))."""
        return torch.exp(-self._spline(total).inverse(total))

    @torch.no_grad()
    def kinks(self) -> tuple[float, ...]:
        """Return the coverages of the knots of phi."""
        return tuple(one_minus_exp(self._knots(self.widths)[1:]).tolist())

    def _spline(self, like: Tensor) -> RationalSpline:
        """Return phi in the dtype and on the device of its argument; an image may be elsewhere."""
        x, y = (self._knots(weights.to(like)) for weights in (self.widths, self.heights))
        return RationalSpline.through(x, y)

    def _knots(self, weights: Tensor) -> Tensor:
        shares = LEAST_SHARE / len(weights) + (1 - LEAST_SHARE) * torch.softmax(weights, 0)
        inner = self.reach * shares.cumsum(0)[:-1]
        return torch.cat([inner.new_zeros(1), inner, inner.new_full((1,), self.reach)])
