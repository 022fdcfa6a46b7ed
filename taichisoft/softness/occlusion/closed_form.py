"""Occlusion functions without weights to learn."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.base.checks import check_type
from taichisoft.softness.coverage import Coverage
from taichisoft.softness.coverage.support import Support
from taichisoft.softness.occlusion.base import DepthWidth, ReferenceDepth, anchored
from taichisoft.softness.scale import ConstantScale
from taichisoft.softness.tables.domain import Domain

# Within this many gammas of the front, a curve that is steep there is followed along its chord.
AT_FRONT = 1e-3
# exp(-16) = 1e-7: what is farther behind does not show in float32.
SOFTMAX_REACH = 16.0


class DepthSoftmax(ReferenceDepth):
    """The softmax over depth of SoftRas: ``exp(u)``, with the tail at the cut-off removed."""

    def __init__(self, gamma: float | DepthWidth = 0.05):
        super().__init__(gamma)

    def forward(self, u: Tensor) -> Tensor:
        """Return exp(u) without its value at the cut-off."""
        return anchored(torch.exp, u, u.new_tensor(-SOFTMAX_REACH))

    def domain(self) -> Domain:
        """Return [-16, 0]."""
        return Domain(-SOFTMAX_REACH, 0.0)


class DepthCurve(ReferenceDepth):
    """A coverage function F of the depth: ``(F(u) - F(low)) / (F(0) - F(low))``.

    Every distribution, mixture or learned coverage becomes an occlusion function: its part outside the
    boundary says how faces fade behind the front. One whose slope has no bound at the front, such as
    ``GammaReversed(shape=0.5)``, is replaced by its chord within 1e-3 gammas of it: faces that share an edge
    are equally deep there but for rounding, of which such a slope would make gradients.

    Parameters
    ----------
    coverage : Coverage
        The function F; it must rise below 0. Its scale does not count (gamma takes its place) and must
        be neither learned nor annealed.
    gamma : float, Positive, AnnealedPositive or PiecewisePositive
        Depth difference, in scene units, that is one scale of F; a number is fixed.

    Raises
    ------
    TypeError
        The scale of F is annealed.
    ValueError
        F does not rise below 0, its scale is learned, or its slope is not its own (`StraightThrough`).
    """

    def __init__(self, coverage: Coverage, gamma: float | DepthWidth = 0.05):
        super().__init__(gamma)
        check_type(coverage, "coverage", Coverage)
        check_type(coverage.scale, "coverage.scale", ConstantScale)
        if any(True for _ in coverage.scale.parameters()):
            raise ValueError("coverage must have a fixed scale: gamma takes its place")
        if coverage.surrogate is not None:
            raise ValueError(f"coverage must have its own slope, got a {type(coverage).__name__}")
        self.coverage = coverage
        with torch.no_grad():
            ends = torch.tensor([self.domain().low, 0.0], dtype=torch.float64)
            tail, top = coverage(ends).tolist()
        if not tail < top:
            raise ValueError(f"coverage must rise below 0, got {tail:g} and {top:g} at its ends")

    def forward(self, u: Tensor) -> Tensor:
        """Return F(u) without its value at the cut-off, relative to that at 0."""
        low = self.coverage.low()
        if not any(_steep_at_front(place) for place in self.coverage.domain().graded):
            return anchored(self.coverage, u, low)
        edge = anchored(self.coverage, u.new_tensor([-AT_FRONT]), low)
        chord = 1 + (1 - edge) * u / AT_FRONT
        return torch.where(
            u > -AT_FRONT, chord, anchored(self.coverage, u.clamp(max=-AT_FRONT), low)
        )

    def domain(self) -> Domain:
        """Return the part of the domain of F below 0; ValueError if there is none."""
        whole = self.coverage.domain()
        if whole.low >= 0:
            raise ValueError(f"coverage must rise below 0, got a cut-off at {whole.low:g}")
        # An upper end below 0 is a kink in the middle.
        kinks = (*whole.kinks, whole.high)
        graded = tuple(place for place in whole.graded if not _steep_at_front(place))
        if graded != whole.graded:
            kinks = (*(kink for kink in kinks if kink < -AT_FRONT), -AT_FRONT)
            graded = (*graded, (-AT_FRONT, AT_FRONT))
        return Support(kinks=kinks, graded=graded).exact_domain(whole.low, 0.0)


def _steep_at_front(place: tuple[float, float]) -> bool:
    """Whether a point towards which cells shrink, and down to which distance, is a slope without bound."""
    at, width = place
    return abs(at) < AT_FRONT and width < AT_FRONT


class HardOcclusion(ReferenceDepth):
    """Only the front-most face counts: the weight is 1 up to gamma behind the front, then 0.

    Within gamma faces tie and are averaged. It should exceed the rounding of depths (in float32 about 1e-6
    of the depth and of the coordinates), or the order of coinciding surfaces, and of neighbours at a common
    edge, would be left to rounding. The image has no gradient with respect to gamma.

    Parameters
    ----------
    gamma : float, Positive, AnnealedPositive or PiecewisePositive
        Depth difference, in scene units, within which faces tie; a number is fixed.
    """

    def __init__(self, gamma: float | DepthWidth = 1e-4):
        super().__init__(gamma)

    def forward(self, u: Tensor) -> Tensor:
        """Return 1 where u >= -1, else 0."""
        return (u >= -1).to(u.dtype)

    def domain(self) -> Domain:
        """Return the single point -1."""
        return Domain(-1.0, -1.0)
