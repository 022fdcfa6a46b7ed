"""The interface of a T-conorm."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from taichisoft.base.checks import check_number
from taichisoft.softness.parameters import Positive


class Aggregation(nn.Module):
    """A T-conorm, through its additive generator g: ``alpha = g^-1(sum_k g(D_k))``.

    The kernels sum (or take the maximum of) tabulated ``g(D)``; the inverse is applied to the image. A
    generator counts up to a factor, which is chosen so that numbers fit float32.

    Generator and inverse are differentiable twice, also with respect to a learned parameter.
    """

    def settings(self) -> dict:
        """Return the constructor arguments that make an equal module: none."""
        return {}

    @property
    @abstractmethod
    def takes_max(self) -> bool:
        """Whether faces are combined by their maximum instead of the sum of the generator."""

    @property
    def steep_at_zero(self) -> bool:
        """Whether g rises like a fractional power at 0, so that a table needs small cells there."""
        return False

    @abstractmethod
    def generator(self, coverage: Tensor) -> Tensor:
        """Return g of coverages in [0, 1], float64: increasing, 0 at 0, finite."""

    @abstractmethod
    def inverse(self, total: Tensor) -> Tensor:
        """Return alpha in [0, 1] for the combined generators, 0 at 0; dtype and shape as `total`."""


class Summed(Aggregation):
    """An Archimedean T-conorm: the generators of the faces are added."""

    @property
    def takes_max(self) -> bool:
        """Faces are summed."""
        return False


def as_positive(p: float | Positive) -> Positive:
    """Return the parameter p of a family: a `Positive` as it is, a number as a fixed one."""
    return p if isinstance(p, Positive) else Positive(check_number(p, "p", above=0))
