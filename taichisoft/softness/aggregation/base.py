"""The interface of a T-conorm."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from taichisoft.softness.part import Part


class Aggregation(Part):
    """A T-conorm, through its additive generator g: ``alpha = g^-1(sum_k g(D_k))``.

    The kernels sum (or take the maximum of) tabulated ``g(D)``; the inverse is applied to the image. A
    generator counts up to a factor, which is chosen so that numbers fit float32.

    Generator and inverse are differentiable twice, also with respect to a learned parameter.
    """

    takes_max: ClassVar[bool] = False
    """Whether faces are combined by their maximum instead of the sum of the generator."""

    @property
    def steep_at_zero(self) -> bool:
        """Whether g rises like a power at 0, or bends next to it: a table needs small cells there."""
        return False

    def kinks(self) -> tuple[float, ...]:
        """Return the coverages within 0 and 1 at which a derivative of g jumps: the knots of a spline."""
        return ()

    @abstractmethod
    def generator(self, coverage: Tensor) -> Tensor:
        """Return g of coverages in [0, 1], float64: increasing, 0 at 0, finite."""

    @abstractmethod
    def inverse(self, total: Tensor) -> Tensor:
        """Return alpha in [0, 1] for the combined generators, 0 at 0; dtype and shape as `total`."""

    def complement(self, total: Tensor) -> Tensor:
        """Return ``1 - inverse(total)``, float64, to all digits where that is next to nothing.

        Compositing front to back reads it where faces hide each other. A subclass with another inverse need
        not have it: then it is a difference, of which what is below 1e-9 does not count.
        """
        return 1 - self.inverse(total)
