"""Coverage functions from the distribution of extreme values: skewed, with two light tails."""

from __future__ import annotations

from torch import Tensor

from taichisoft.softness.coverage.closed_form import ClosedForm
from taichisoft.softness.coverage.support import Support

# Where exp(-exp(x)) is 0 in every precision, long before exp(x) overflows.
VANISHED = 50.0


class GumbelMax(ClosedForm):
    """The Gumbel distribution of largest values: a sharp rise outside, a long approach to 1 inside."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return exp(-exp(-x))."""
        return (-(-x.clamp(min=-VANISHED)).exp()).exp()

    def support(self) -> Support:
        """Return the real line."""
        return Support()


class GumbelMin(ClosedForm):
    """The Gumbel distribution of smallest values: a long tail outside, a sharp rise to 1 inside."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return 1 - exp(-exp(x))."""
        return 1 - (-x.clamp(max=VANISHED).exp()).exp()

    def support(self) -> Support:
        """Return the real line."""
        return Support()
