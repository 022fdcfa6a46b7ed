"""Where a closed form has mass and where it is not smooth: what its table is laid out by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from taichisoft.pieces import UNIFORM, Domain

# A graded point this wide, as a fraction of the domain, is resolved by uniform cells as well.
WIDE = 1 / 16
# Below this the signed root is linear, so that its slope is finite.
ROOT_GUARD = 1e-30


@dataclass(frozen=True)
class Support:
    """The support of a distribution and the points where it is not smooth.

    Parameters
    ----------
    low, high : float
        Where the distribution has mass, possibly infinite. A jump or a bend at an end is implied.
    kinks : tuple of float
        Points in between at which the second derivative jumps.
    graded : tuple of (float, float)
        Points towards which cells shrink, and down to which distance, as in `taichisoft.pieces.Domain`.
        A finite `high` must be one, since ``-log(1 - F)`` is singular where F reaches 1.
    """

    low: float = -math.inf
    high: float = math.inf
    kinks: tuple[float, ...] = ()
    graded: tuple[tuple[float, float], ...] = ()

    def moved(self, shift: float) -> Support:
        """Return the support of ``F(x - shift)``."""
        return self._mapped(lambda at: at + shift, lambda at, width: width)

    def stretched(self, factor: float) -> Support:
        """Return the support of ``F(x / factor)``."""
        return self._mapped(lambda at: at * factor, lambda at, width: width * factor)

    def under_root(self) -> Support:
        """Return the support of ``F(s |s|)``, whose second derivative also jumps at 0.

        A function that varies on the length w about p varies on ``w / (2 sqrt(|p| + w))`` about the root
        of p, and on ``sqrt(|p| + w)`` about 0.
        """
        root = self._mapped(
            signed_root, lambda at, width: min(width, width / (2 * math.sqrt(abs(at) + width)))
        )
        around_zero = tuple((0.0, math.sqrt(abs(at) + w)) for at, w in self.graded if at != 0)
        return Support(root.low, root.high, (*root.kinks, 0.0), root.graded + around_zero)

    def domain(self, low: float, high: float) -> Domain:
        """Return the domain from `low` to about `high` with the special points inside it.

        A single kink is put on the corner of a uniform cell by moving `high` down a little, by less than
        a thousandth, so that the table stays in one piece.
        """
        if not low < high:
            return Domain(low, low)
        graded = tuple(
            (at, w) for at, w in self.graded if low <= at <= high and w <= WIDE * (high - low)
        )
        bends = {*self.kinks, *(at for at, _ in self.graded)} - {at for at, _ in graded}
        kinks = tuple(sorted(kink for kink in bends if low < kink < high))
        if not graded and len(kinks) == 1:
            high = _aligned(low, kinks[0], high)
        return Domain(low, high, kinks, graded)

    def _mapped(
        self, place: Callable[[float], float], width: Callable[[float, float], float]
    ) -> Support:
        return Support(
            place(self.low),
            place(self.high),
            tuple(place(at) for at in self.kinks),
            tuple((place(at), width(at, w)) for at, w in self.graded),
        )


def signed_root(x: float) -> float:
    """Return the number s with ``s |s| = x``, rounded as `ClosedForm` does it for tensors."""
    return x if math.isinf(x) else x / math.sqrt(max(abs(x), ROOT_GUARD))


def _aligned(low: float, kink: float, high: float) -> float:
    """Return the upper end next below `high` that puts the kink on one of the uniform corners."""
    cells = math.ceil(UNIFORM * (kink - low) / (high - low))
    return low + UNIFORM * (kink - low) / cells if cells < UNIFORM else high
