"""What a total of generators leaves of alpha, so that no digits are lost where that is next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import torch
from torch import Tensor

from taichisoft.softness.aggregation import Aggregation
from taichisoft.softness.tables.table import value_and_slope

# Behind faces that are wholly in front and leave less than this, nothing is seen.
NOTHING_LEFT = 2.0**-40
# Down to here what is left is that of the T-conorm. It has no digits below, if it is a difference from 1 (and
# a sum that reaches 1 leaves nothing); and float32 must hold what comes after it.
LEAST_BY_DIFFERENCE, LEAST = 2.0**-30, 1e-20
# From there on it falls by a power of the total: between these two.
FLATTEST, STEEPEST = 1 / 8, 4.0
# Totals among which that place is looked for.
TRIALS = 256


@dataclass(frozen=True, eq=False)
class Remainder:
    """The inverse I of a generator, as ``I(s)`` below a middle and as ``I(s) - 1`` from there on.

    In ``I(S + G) - I(S)`` all digits are gone where S leaves nothing that shows next to 1, and under a sum
    that reaches 1 it is 0. So faces that all hide each other would leave a pixel without a colour. What is
    left, ``1 - I(s)``, keeps its digits; and from a knee on, where it is next to nothing, it falls by a power
    of s and never ends. So such faces share the pixel, and nothing else changes: alpha is not made of this.

    Parameters
    ----------
    aggregation : Aggregation
    middle : float
        Total from which on 1 is taken off: that of a coverage of about one half.
    knee : float
        Total from which on what is left falls by a power of it.
    full : float
        Total of faces wholly in front from which on nothing is seen.
    """

    aggregation: Aggregation
    middle: float
    knee: float
    full: float

    @classmethod
    def of(cls, aggregation: Aggregation) -> Remainder:
        """Return that of a T-conorm as it is; its parameters move what is left, but not the knee."""
        exact = _has_complement(aggregation)
        device = device_of(aggregation)
        with torch.no_grad():
            coverages = [0.5, 1 - LEAST_BY_DIFFERENCE, 1 - NOTHING_LEFT, 1.0]
            at = torch.tensor(coverages, dtype=torch.float64, device=device)
            middle, knee, full, most = aggregation.generator(at).tolist()
            if exact:
                steps = torch.linspace(0, 1, TRIALS, dtype=torch.float64, device=device)
                totals = middle * (most / middle) ** steps
                knee = float(totals[aggregation.complement(totals) >= LEAST].max())
        return cls(aggregation, middle, knee, full)

    def taken(self, total: Tensor) -> Tensor:
        """Return ``I(total)``."""
        return self.aggregation.inverse(total)

    def left(self, total: Tensor) -> Tensor:
        """Return what is left up to the knee, ``1 - I(total)``."""
        # Where it is a difference it may have no digits at the knee.
        return self._complement(total).clamp(min=LEAST)

    def steepness(self, left: Tensor, slope: Tensor) -> float:
        """Return the power with which it falls behind the knee, given what is left there, and its slope."""
        return min(STEEPEST, max(FLATTEST, -float(slope) * self.knee / float(left)))

    def added(self, in_front: Tensor, wholly: Tensor, own: Tensor) -> Tensor:
        """Return what faces add to alpha.

        Parameters
        ----------
        in_front : Tensor
            Totals in front of them.
        wholly : Tensor
            What of that is of faces wholly in front.
        own : Tensor
            Their own generators.
        """
        end = in_front + own
        crosses = (in_front < self.middle) & (end >= self.middle)
        rise = self._signed(end) - self._signed(in_front) + crosses.to(own)
        return torch.where(wholly >= self.full, 0, rise)

    def _signed(self, total: Tensor) -> Tensor:
        """Return ``I(total)``, and from the middle on that minus 1."""
        behind = (total.clamp(min=self.knee) / self.knee) ** -self._power
        left = self.left(total.clamp(max=self.knee)) * behind
        return torch.where(total < self.middle, self.taken(total), -left)

    @cached_property
    def _power(self) -> float:
        knee = torch.tensor([self.knee], dtype=torch.float64, device=device_of(self.aggregation))
        left, slope = value_and_slope(self.left, knee)
        return self.steepness(left.detach(), slope.detach())

    @property
    def _complement(self) -> Callable[[Tensor], Tensor]:
        if _has_complement(self.aggregation):
            return self.aggregation.complement
        return lambda total: 1 - self.aggregation.inverse(total)


def device_of(aggregation: Aggregation) -> torch.device | None:
    """Return where the parameters are; None if there are none."""
    kept = next(chain(aggregation.parameters(), aggregation.buffers()), None)
    return None if kept is None else kept.device


def _has_complement(aggregation: Aggregation) -> bool:
    """Whether a T-conorm has a complement of its inverse, and not that of another inverse."""
    names = [set(vars(kind)) for kind in type(aggregation).__mro__]

    def first(*wanted: str) -> int:
        return next((i for i, have in enumerate(names) if have & set(wanted)), len(names))

    own = first("complement")
    return own < len(names) - 1 and own <= first("inverse", "inverse_base")
