"""Occlusion front to back: a face adds to alpha what those in front of it have left."""

from __future__ import annotations

from torch import Tensor

from taichisoft.base.checks import check_type
from taichisoft.softness.annealing import AnnealedPositive
from taichisoft.softness.coverage import Coverage, CubicHermite
from taichisoft.softness.depth_scale import DepthFraction
from taichisoft.softness.occlusion.base import DepthWidth, Occlusion
from taichisoft.softness.parameters import as_positive
from taichisoft.softness.scale import ConstantScale

# Of the extent in depth of what is drawn.
GAMMA = 0.02


class FrontToBack(Occlusion):
    """Weights by what a face adds to alpha behind the faces in front of it.

    With the coverage D_k of a face, its depth z_k at the point nearest to the pixel, and the generator g of
    the T-conorm, ``S_k = sum_j g(h((z_k - z_j) / gamma) D_j)`` is what is in front of it, and its weight is
    ``w_k = g^-1(S_k + g(D_k)) - g^-1(S_k)``. The order h is how much face j counts as being in front of face
    k. With a hard order the weights add up to alpha; under the probabilistic sum that is the compositing of
    layers from front to back. Under `Max` sums are maxima, ``w_k = max(S_k, D_k) - S_k``.

    Faces that are equally deep but for rounding count as half in front of each other (as h is at 0, for an
    order that is not symmetric), so that the image does not depend on the order of the faces. Under `Max`
    with a hard order the one with the smaller index is in front.

    Parameters
    ----------
    order : Coverage
        The function h, any coverage function, closed-form or learned; `Heaviside` is the hard order. Its
        scale does not count (gamma takes its place) and must be neither learned nor annealed.
    gamma : float, Positive, AnnealedPositive or DepthFraction
        Depth difference that is one scale of h: in scene units, or, as a `DepthFraction`, relative to the
        extent in depth of what is drawn; a number is fixed.

    Raises
    ------
    TypeError
        The scale of h is annealed, or an argument of a wrong type.
    ValueError
        The scale of h is learned, or its slope is not its own (`StraightThrough`).
    """

    gamma: DepthWidth | DepthFraction

    def __init__(
        self,
        order: Coverage | None = None,
        gamma: float | DepthWidth | DepthFraction | None = None,
    ):
        super().__init__()
        order = CubicHermite(1.0) if order is None else order
        check_type(order, "order", Coverage)
        check_type(order.scale, "order.scale", ConstantScale)
        if any(True for _ in order.scale.parameters()):
            raise ValueError("order must have a fixed scale: gamma takes its place")
        if order.surrogate is not None:
            raise ValueError(f"order must have its own slope, got a {type(order).__name__}")
        self.order = order
        gamma = DepthFraction(GAMMA) if gamma is None else gamma
        kept = isinstance(gamma, AnnealedPositive | DepthFraction)
        self.gamma = gamma if kept else as_positive(gamma, "gamma")

    def widths(self, extent: Tensor) -> Tensor:
        """Return gamma in scene units for images, (B,) float64, given the extents in depth, (B,)."""
        if isinstance(self.gamma, DepthFraction):
            return self.gamma.widths(extent)
        return self.gamma().to(extent.device).expand(extent.shape)
