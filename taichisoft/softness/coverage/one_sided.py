"""Coverage functions that begin or end at the boundary: the exponential, gamma and Levy distributions.

The plain ones are 0 up to the boundary and rise inside; the reversed ones, ``1 - F(-x)``, decay outside and
are 1 from the boundary inwards.
"""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.base.checks import check_number
from taichisoft.softness.courses import RealOrCourse
from taichisoft.softness.coverage.closed_form import ClosedForm
from taichisoft.softness.coverage.support import Support
from taichisoft.softness.scale import Scale
from taichisoft.softness.tables.domain import SHARP

# Arguments nearer to 0 than these are evaluated there instead, which keeps infinite slopes out of the
# autograd graph. At the first a gamma distribution of any usual shape is 0; at the second Levy's is, exactly.
GAMMA_GUARD = 1e-60
LEVY_GUARD = 1e-4
# Levy's distribution is flat at 0 and bends first at this distance.
LEVY_WIDTH = 0.05
# From this shape on uniform cells resolve a gamma distribution near 0, whatever its power, and 1 - F of the
# reversed one is below 1e-6 there.
SMOOTH_SHAPE = 3.0


class Exponential(ClosedForm):
    """The exponential distribution: nothing outside, an exponential approach to 1 inside."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return 1 - exp(-x) for x >= 0, else 0."""
        return -torch.expm1(-x.clamp(min=0))

    def support(self) -> Support:
        """Return the positive half-line."""
        return Support(low=0.0)


class ExponentialReversed(ClosedForm):
    """The exponential distribution reversed: it decays outside, and is 1 from the boundary inwards."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return exp(x) for x <= 0, else 1."""
        return x.clamp(max=0).exp()

    def support(self) -> Support:
        """Return the negative half-line."""
        return Support(high=0.0, graded=((0.0, SHARP),))


class _WithShape(ClosedForm):
    """A gamma distribution of either direction: the shape, besides what every closed form has."""

    def __init__(
        self,
        scale: float | Scale = 1.0,
        *,
        squared: bool = False,
        shift: float | RealOrCourse = 0.0,
        reach: float | None = None,
        shape: float = 0.5,
    ):
        super().__init__(scale, squared=squared, shift=shift, reach=reach)
        self._shape = check_number(shape, "shape", above=0)

    @property
    def shape(self) -> float:
        """Shape of the distribution. It cannot be set, since quantiles are sought once."""
        return self._shape


class Gamma(_WithShape):
    """The gamma distribution: nothing outside, a rise inside.

    Parameters
    ----------
    scale : float or Scale
        Scale of the distribution; a number is in pixels.
    squared, shift, reach
        As in `ClosedForm`.
    shape : float
        Shape of the distribution, > 0. Below 1 the slope is infinite on the boundary; below 1/2 it is so
        steep that the table is rounded off within 1e-14 scales of it, by 4e-4 for a shape of 1/4.
    """

    def cdf(self, x: Tensor) -> Tensor:
        """Return the lower regularised incomplete gamma function of x for x > 0, else 0."""
        y = x.clamp(min=GAMMA_GUARD)
        inside = torch.special.gammainc(torch.full_like(y, self.shape), y)
        return torch.where(x > 0, inside, 0)

    def support(self) -> Support:
        """Return the positive half-line; near 0 the distribution is a power of x, the shape."""
        smooth = self.shape.is_integer() or self.shape >= SMOOTH_SHAPE
        return Support(low=0.0, graded=() if smooth else ((0.0, SHARP),))


class GammaReversed(_WithShape):
    """The gamma distribution reversed: it decays outside, and is 1 from the boundary inwards.

    Parameters
    ----------
    scale : float or Scale
        Scale of the distribution; a number is in pixels.
    squared, shift, reach
        As in `ClosedForm`.
    shape : float
        Shape of the distribution, > 0. Below 1 the slope is infinite on the boundary; below 1/2 it is so
        steep that the table is rounded off within 1e-14 scales of it, by 4e-4 for a shape of 1/4.
    """

    def cdf(self, x: Tensor) -> Tensor:
        """Return the upper regularised incomplete gamma function of -x for x < 0, else 1."""
        y = (-x).clamp(min=GAMMA_GUARD)
        outside = torch.special.gammaincc(torch.full_like(y, self.shape), y)
        return torch.where(x < 0, outside, 1)

    def support(self) -> Support:
        """Return the negative half-line, or for large shapes the real line, which is cut before 0."""
        if self.shape >= SMOOTH_SHAPE:
            return Support()
        return Support(high=0.0, graded=((0.0, SHARP),))


class Levy(ClosedForm):
    """The Levy distribution: nothing outside; inside, 1 - F falls as the root of 1 / distance only."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return erfc(sqrt(1 / (2 x))) for x > 0, else 0."""
        return torch.erfc((2 * x.clamp(min=LEVY_GUARD)).rsqrt())

    def support(self) -> Support:
        """Return the positive half-line."""
        return Support(low=0.0, graded=((0.0, LEVY_WIDTH),))


class LevyReversed(ClosedForm):
    """The Levy distribution reversed: 1 from the boundary inwards, and a very heavy tail outside.

    The tail falls as the root of 1 / distance. Of the default cut-off at 50 scales the removed tail is 0.11.
    """

    def cdf(self, x: Tensor) -> Tensor:
        """Return erf(sqrt(-1 / (2 x))) for x < 0, else 1."""
        return torch.erf((2 * (-x).clamp(min=LEVY_GUARD)).rsqrt())

    def support(self) -> Support:
        """Return the negative half-line."""
        return Support(high=0.0, graded=((0.0, LEVY_WIDTH),))
