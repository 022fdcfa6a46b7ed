"""Closed-form coverage: a cumulative distribution function with a scale, a shift and a cut-off.

The members and their names follow GenDR (Petersen et al. 2022, table 1); scale and shape are the parameters
of the standard distribution in SciPy's convention.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from taichisoft.base.checks import check_number, check_type
from taichisoft.softness.courses import RealOrCourse, as_real_or_course
from taichisoft.softness.coverage.base import Coverage
from taichisoft.softness.coverage.support import ROOT_GUARD, UNIFORM_ENOUGH, Support
from taichisoft.softness.scale import Scale
from taichisoft.softness.tables.domain import Domain

# Where infinite tails are cut: a coverage below the first is none, above 1 - the second is full.
LOW_TAIL = 1e-4
HIGH_TAIL = 1e-6
# Heavy tails are cut at this many scales, since every pixel of a tail costs time.
LONGEST_REACH = 50.0
# At least this much of the rise lies above any cut-off.
LEAST_KEPT = 0.01
# Quantiles are sought between plus and minus this; the farthest used is 6.4e11, of the Levy distribution.
FARTHEST = 1e13


class ClosedForm(Coverage):
    """A cumulative distribution function of the signed distance.

    A subclass gives `cdf` and `support`, which must stay the same: quantiles are sought once. The coverage
    at s scales is ``cdf(s - shift)``, or ``cdf(s |s| - shift)`` if squared. It is differentiable twice with
    respect to `s` and the shift.

    Parameters
    ----------
    scale : float or Scale
        Scale of the distribution; a number is in pixels.
    squared : bool
        Whether the argument is ``sign(d) d^2 / scale^2`` instead of ``d / scale``.
    shift : float, Real or PiecewiseReal
        Location of the distribution, in units of the argument: positive shrinks a face, negative grows
        it. A number is fixed.
    reach : float, optional
        Cut-off in scales: farther outside a face has no effect. Default: where the coverage falls below
        1e-4, but at most 50 scales from the location (an argument of -2500 if squared). A support that
        starts nearer than that is not cut, and a cut-off never passes the point of coverage 0.99.
    """

    def __init__(
        self,
        scale: float | Scale = 1.0,
        *,
        squared: bool = False,
        shift: float | RealOrCourse = 0.0,
        reach: float | None = None,
    ):
        super().__init__(scale)
        check_type(squared, "squared", bool)
        self.squared = squared
        self.shift = as_real_or_course(shift, "shift")
        self.reach = None if reach is None else check_number(reach, "reach", above=0)
        self._domain: tuple[tuple, Domain] | None = None

    @abstractmethod
    def cdf(self, x: Tensor) -> Tensor:
        """Return the standard cumulative distribution function, twice differentiable by torch."""

    @abstractmethod
    def support(self) -> Support:
        """Return where the standard distribution has mass and where it is not smooth."""

    def forward(self, s: Tensor) -> Tensor:
        """Return the coverage at signed distances `s` in scales."""
        return self.cdf(self._argument(s))

    def placed(self) -> Support:
        """Return the support in signed distance (scales), shifted and squared."""
        moved = self.support().moved(float(self.shift().detach()))
        return moved.under_root() if self.squared else moved

    def centre(self) -> float:
        """Return a point amid the rise, in scales."""
        return float(self._distance_at(self._centre).detach())

    def rise(self) -> float:
        """Return the length of the rise in scales, tails left out."""
        with torch.no_grad():
            return float(
                self._distance_at(self._high_quantile) - self._distance_at(self._low_quantile)
            )

    def low(self) -> Tensor:
        """Return the cut-off in scales, differentiable with respect to the shift."""
        cut = self._fixed_cut()
        if cut is None:
            return self._location().new_tensor(-cast("float", self.reach))
        return self._distance_at(cut)

    def high(self) -> Tensor:
        """Return the upper end in scales, differentiable with respect to the shift."""
        high = self._distance_at(self._end())
        # The domain may end a little lower, by less than a thousandth.
        return high + (self.domain().high - high).detach()

    def ends(self) -> Tensor:
        """Return the coverages at both ends: constants, but for that at a cut-off which `reach` gives."""
        cut, end = self._fixed_cut(), self._location().new_tensor(self._end())
        if self.domain().high != float(self._distance_at(self._end()).detach()):
            end = self._argument(end.new_tensor(self.domain().high)).detach()
        lower = self._argument(self.low()) if cut is None else end.new_tensor(cut)
        return self.cdf(torch.stack([lower, end]))

    def _fixed_cut(self) -> float | None:
        """Return the argument of the distribution at which it is cut; None if that moves over it."""
        start, last = self.support().low, self._last_cut
        if self.reach is None:
            longest = -(LONGEST_REACH**2) if self.squared else -LONGEST_REACH
            start = self._low_quantile if math.isinf(start) else start
            return min(max(start, longest), last)
        with torch.no_grad():
            if -self.reach >= float(self._distance_at(last)):
                return last
            return start if -self.reach <= float(self._distance_at(start)) else None

    def _end(self) -> float:
        """Return the argument from which on coverage is full."""
        high = self.support().high
        return self._high_quantile if math.isinf(high) else high

    def domain(self) -> Domain:
        """Return the range from the cut-off to full coverage, and where it is not smooth."""
        # Asked for at every render; only these can change.
        state = (float(self.shift().detach()), self.squared, self.reach)
        if self._domain is None or self._domain[0] != state:
            self._domain = (state, self._find_domain())
        return self._domain[1]

    def _find_domain(self) -> Domain:
        with torch.no_grad():
            low, high = float(self.low()), float(self._distance_at(self._end()))
        support = self.placed()
        if not support.graded:
            rise = self.rise()
            if high - low > UNIFORM_ENOUGH * rise:
                support = support.with_rise(self.centre(), rise)
        return support.domain(low, high)

    def _argument(self, s: Tensor) -> Tensor:
        """Return the argument of the distribution at signed distances in scales."""
        return (s * s.abs() if self.squared else s) - self._location()

    def _location(self) -> Tensor:
        """Return the shift, in float64 whatever the dtype of its parameter."""
        return self.shift().double()

    def _distance_at(self, x: float) -> Tensor:
        """Return where the argument of the distribution is x, in scales."""
        moved = x + self._location()
        return moved / moved.abs().clamp(min=ROOT_GUARD).sqrt() if self.squared else moved

    @cached_property
    def _low_quantile(self) -> float:
        return self._quantile(LOW_TAIL)

    @cached_property
    def _high_quantile(self) -> float:
        return self._quantile(1 - HIGH_TAIL)

    @cached_property
    def _centre(self) -> float:
        """The number of the middle half that is next to 0, which is 0 itself for all but large gammas."""
        return min(max(self._quantile(1 / 4), 0.0), self._quantile(3 / 4))

    @cached_property
    def _last_cut(self) -> float:
        return self._quantile(1 - LEAST_KEPT)

    @torch.no_grad()
    def _quantile(self, level: float) -> float:
        low, high = -FARTHEST, FARTHEST
        # Each round divides the bracket by 64; this many bring it to the distance of neighbouring numbers.
        for _ in range(17):
            x = torch.linspace(low, high, 65, dtype=torch.float64)
            # Rounding may tell the ends of a tiny bracket apart from what they were found to be before.
            below = min(max(int((self.cdf(x) < level).sum()), 1), 64)
            low, high = float(x[below - 1]), float(x[below])
        return high
