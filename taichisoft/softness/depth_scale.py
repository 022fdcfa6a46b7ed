"""Depth scales: a length along the view relative to what is drawn."""

from __future__ import annotations

from torch import Tensor

from taichisoft.softness.courses import PositiveOrCourse, as_positive_or_course
from taichisoft.softness.part import Part


class DepthFraction(Part):
    """A depth difference as a fraction of the extent in depth of what is drawn.

    The extent is the difference of the largest and the smallest depth of the corners of the faces that are
    drawn in an image. A scene and its camera that are scaled together look the same. Everything that is drawn
    counts: one far object widens it for all others. Each image of a batch has its own extent.

    It is the gamma of a `FrontToBack`: ``ts.FrontToBack(gamma=ts.DepthFraction(0.02))``. A `ReferenceDepth`
    takes scene units only.

    Parameters
    ----------
    value : float, Positive, AnnealedPositive or PiecewisePositive
        The fraction, > 0; a number is fixed.

    Raises
    ------
    TypeError, ValueError
        ``value`` is none of these, or not positive.
    """

    unit = "fraction of the extent in depth"

    value: PositiveOrCourse

    def __init__(self, value: float | PositiveOrCourse = 0.02):
        super().__init__()
        self.value = as_positive_or_course(value, "value")

    def forward(self) -> Tensor:
        """Return the fraction at the current progress, a float64 scalar tensor."""
        return self.value()

    def widths(self, extent: Tensor) -> Tensor:
        """Return lengths in scene units, (B,) float64, given the extents in depth of B images.

        Parameters
        ----------
        extent : Tensor, (B,)
            In scene units, not negative.

        Returns
        -------
        Tensor, (B,), float64
            Differentiable with respect to the extents and the fraction. On the device of `extent`.
        """
        return self.value().to(extent.device) * extent.double()
