"""Straight-through softness: the value of one curve, the slope of another."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from taichisoft.base.checks import check_type
from taichisoft.softness.coverage.base import Coverage, Surrogate, relative_width
from taichisoft.softness.scale import Pixels, Scale
from taichisoft.softness.tables.domain import SHARP, Domain

# What the image has, for each face, where only the slope reaches: enough to tell the colour that would
# appear there, too little to be seen.
FAINT = 1e-6


class StraightThrough(Coverage):
    """Coverage whose image is made with one curve and whose gradient follows another.

    The image is that of `value`, to 1e-6 for each face: within the reach of `slope` a face has at least that
    coverage, so that colours and aggregations know of it where a gradient may make it appear. The
    derivative of coverage with respect to the *distance* is replaced by the slope of `slope`; all other
    derivatives are exact. So the parameters of `value` get their own gradient, and those of `slope` get one
    only through an optimisation that followed it: a meta-gradient.

    Parameters
    ----------
    value, slope : Coverage
        The two curves, each fixed or learned. Their scales, in `Pixels`, are relative to `scale`.
    scale : float or Scale
        Width of the softness: a number is a fixed width in pixels.

    Notes
    -----
    A second derivative is the exact derivative of the gradient, except that a gradient passed back through
    the image again follows `slope`. `taichisoft.reference` follows `value`.
    """

    def __init__(self, value: Coverage, slope: Coverage, scale: float | Scale = 1.0):
        super().__init__(scale)
        for part, name in ((value, "value"), (slope, "slope")):
            check_type(part, name, Coverage)
            check_type(part.scale, f"{name}.scale", Pixels)
            if part.surrogate is not None:
                raise TypeError(f"{name} must not be a StraightThrough itself")
        self.value = value
        self.slope = slope

    def forward(self, s: Tensor) -> Tensor:
        """Return the coverage of the image at signed distances `s` in scales, without what is faint."""
        return self.value(s / relative_width(self.value))

    def without_tail(self, s: Tensor) -> Tensor:
        """Return the coverage that the renderer uses: faint at the least."""
        value = self.value.without_tail(s / relative_width(self.value))
        return FAINT + (1 - FAINT) * value

    def domain(self) -> Domain:
        """Return the reach of both curves, up to where the image is full."""
        value, slope = _Rescaled(self.value).domain(), _Rescaled(self.slope).domain()
        low, high = min(value.low, slope.low), value.high
        graded = value.graded
        if value.span == 0:
            # A step is a jump inside this domain, at which it has its upper value.
            graded, high = ((value.high, SHARP),), max(slope.high, value.high + abs(slope.low))
        kinks = tuple(k for k in (*value.kinks, value.low) if low < k < high)
        return Domain(low, high, kinks, graded)

    @property
    def surrogate(self) -> Surrogate:
        """The curve whose slope is followed."""
        return _Rescaled(self.slope)


@dataclass(frozen=True)
class _Rescaled:
    """A coverage as a function of the distance in the scales of another."""

    part: Coverage

    def without_tail(self, s: Tensor) -> Tensor:
        """Return the coverage without the tail."""
        return self.part.without_tail(s / relative_width(self.part))

    def domain(self) -> Domain:
        """Return the range of `s` on which it varies."""
        return self.part.domain().scaled(float(relative_width(self.part).detach()))
