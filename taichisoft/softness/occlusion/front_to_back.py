"""Occlusion front to back: a face adds to alpha what those in front of it have left."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.base.checks import check_type
from taichisoft.softness.courses import as_positive_or_course
from taichisoft.softness.coverage import Coverage, CubicHermite
from taichisoft.softness.coverage.base import LEAST_RISE
from taichisoft.softness.depth_scale import DepthFraction
from taichisoft.softness.occlusion.base import DepthWidth, Occlusion
from taichisoft.softness.scale import ConstantScale
from taichisoft.softness.tables.domain import SHARP, Domain

# Of the extent in depth of what is drawn.
GAMMA = 0.02
# An order that is nearer to 1 than this at equal depths lets equally deep faces hide each other wholly.
LEAST_LEFT = 1e-9


class FrontToBack(Occlusion):
    """Weights by what a face adds to alpha behind the faces in front of it.

    With the coverage D_k of a face, its depth z_k at the point nearest to the pixel, and the generator g of
    the T-conorm, ``S_k = sum_j g(h((z_k - z_j) / gamma) D_j)`` is what is in front of it, and its weight is
    ``w_k = g^-1(S_k + g(D_k)) - g^-1(S_k)``. The order h is how much face j counts as being in front of face
    k. With a hard order the weights add up to alpha; under the probabilistic sum that is the compositing of
    layers from front to back. Under `Max` sums are maxima, ``w_k = max(S_k, D_k) - S_k``.

    Faces that are equally deep but for rounding count as half in front of each other (as h is at 0, for an
    order that is not symmetric), so that the image does not depend on the order of the faces. Under `Max`
    with a hard order the one with the smaller index is in front. How colour changes as such faces move apart
    follows from the slope of h at 0. Where h is bent there, as that of `Exponential`, it is the mean of both
    sides, and so is its second derivative. A slope without a bound is finite, and large. Under `BoundedSum`,
    `Yager`, `AczelAlsina` and `Dombi` an order that is 0 there, as that of `Exponential`, gives a wrong one:
    rates at which nearly nothing is in front are those of powers next to 0, beyond what tables hold.

    Faces of nearly equal depth may add up to so much that each is hidden by the others. Then they share the
    pixel: each keeps a weight, however small, and colour and depth are means by these weights. Behind faces
    that are wholly in front and together full, nothing is seen.

    An edge in front of something has the gradient of the area that it covers. Where two faces share an edge
    and their coverages do not add up to 1 under the T-conorm, what is behind shows through that seam. Under
    `Frank` with a large p it is less than under `Probabilistic`, under `BoundedSum` nothing.

    ``ts.FrontToBack()`` is the default of a renderer. ``ts.FrontToBack(gamma=0.05)`` has its gamma in scene
    units, ``ts.FrontToBack(ts.Heaviside())`` a hard order.

    Parameters
    ----------
    order : Coverage
        The function h: any coverage function that is below 1 at 0, closed-form or learned. It is stretched to
        reach 1 at the upper end of its domain; `Heaviside` is the hard order. Its scale does not count (gamma
        takes its place) and must be neither learned nor annealed. Default: `CubicHermite`. With it a face
        counts as wholly in front from one gamma on, and as not in front at all from one gamma behind.
    gamma : float, Positive, AnnealedPositive, PiecewisePositive or DepthFraction
        Depth difference that is one scale of h: in scene units, or, as a `DepthFraction`, relative to the
        extent in depth of what is drawn. A number is fixed. Default: a fraction of 0.02. See `suggest_gamma`.

    Raises
    ------
    TypeError
        The scale of h is annealed, or an argument of a wrong type.
    ValueError
        gamma is not positive; the scale of h is learned, or its slope is not its own (`StraightThrough`); or
        h is 1 at equal depths, so that the nearest of two faces would not show.
    """

    def __init__(
        self,
        order: Coverage | None = None,
        gamma: float | DepthWidth | DepthFraction | None = None,
    ):
        super().__init__()
        order = CubicHermite(1.0) if order is None else order
        if isinstance(order, int | float):
            raise TypeError(
                f"order must be a Coverage, got {order!r}; a depth difference is gamma: gamma={order!r}"
            )
        check_type(order, "order", Coverage)
        check_type(order.scale, "order.scale", ConstantScale)
        if any(True for _ in order.scale.parameters()):
            raise ValueError("order must have a fixed scale: gamma takes its place")
        if order.surrogate is not None:
            raise ValueError(f"order must have its own slope, got a {type(order).__name__}")
        self.order = order
        self.gamma = _as_gamma(DepthFraction(GAMMA) if gamma is None else gamma)
        with torch.no_grad():
            tie = self.at_tie()
        if not tie.is_meta and float(tie) > 1 - LEAST_LEFT:
            raise ValueError(f"order must be below 1 at equal depths, got {float(tie):g}")

    def forward(self, u: Tensor) -> Tensor:
        """Return h at ``u = (depth - depth of the other face) / gamma``; any shape, float64.

        0 at and below the lower end of the domain, 1 at the upper end and above (if it is a step, from there
        on). Twice differentiable with respect to `u` and the parameters.
        """
        top = self.order.without_tail(u.new_tensor(self.order.domain().high))
        return self.order.without_tail(u) / top.clamp(min=LEAST_RISE)

    def domain(self) -> Domain:
        """Return the range of `u` on which h varies, that of the order; as one cell where one will do."""
        domain = self.order.domain()
        if self.order.is_cubic and domain.span > 0:
            return Domain(domain.low, domain.high, cells=1)
        return domain

    def at_tie(self) -> Tensor:
        """Return h for equal depths, a float64 scalar: the mean of both sides of 0."""
        # There is one at least: the scale is fixed.
        device = next(self.order.buffers()).device
        return self(torch.tensor([-SHARP, SHARP], dtype=torch.float64, device=device)).mean()

    def widths(self, extent: Tensor) -> Tensor:
        """Return gamma in scene units for B images, (B,) float64, given their extents in depth, (B,)."""
        if isinstance(self.gamma, DepthFraction):
            return self.gamma.widths(extent)
        return self.gamma().to(extent.device).expand(extent.shape)


def _as_gamma(gamma: float | DepthWidth | DepthFraction) -> DepthWidth | DepthFraction:
    """Return a number as a fixed one, and a width as it is."""
    if isinstance(gamma, DepthFraction):
        return gamma
    wanted = "Positive, PiecewisePositive, AnnealedPositive or DepthFraction"
    return as_positive_or_course(gamma, "gamma", wanted)
