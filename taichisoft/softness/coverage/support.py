"""Supports of closed forms: where they have mass and are not smooth, by which tables are laid out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from taichisoft.softness.tables.domain import UNIFORM, Domain

# Uniform cells resolve what is at least this part of the domain long; about the centre of a rise, this part
# of its length must be resolved.
RESOLVED = 1 / 16
# Uniform cells resolve a rise in a domain up to this many times as long: the worst error of alpha, that of
# Laplace's distribution, is 9e-7 there.
UNIFORM_ENOUGH = 3.5
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
        Points towards which cells shrink, and down to which distance, as in `Domain`. A finite `high`
        must be one, since ``-log(1 - F)`` is singular where F reaches 1.
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
        of p.
        """
        root = self._mapped(
            signed_root, lambda at, width: min(width, width / (2 * math.sqrt(abs(at) + width)))
        )
        return replace(root, kinks=(*root.kinks, 0.0))

    def with_rise(self, centre: float, length: float) -> Support:
        """Return the support with cells that shrink towards the centre of a rise of that length."""
        return replace(self, graded=(*self.graded, (centre, RESOLVED * length)))

    def domain(self, low: float, high: float) -> Domain:
        """Return the domain from `low` to about `high` with the special points inside it.

        A single kink is put on the corner of a uniform cell by moving `high` down a little, by less than
        a thousandth, so that the table stays in one piece.
        """
        if not low < high:
            return Domain(low, low)
        domain = self.exact_domain(low, high)
        if domain.graded or len(domain.kinks) != 1:
            return domain
        return Domain(low, _aligned(low, domain.kinks[0], high), domain.kinks)

    def exact_domain(self, low: float, high: float) -> Domain:
        """Return the domain from `low` to `high` > `low` with the special points inside it.

        Cells grow from the graded points on across kinks, and from the end of the domain next to a graded
        point outside of it.
        """
        inside = {kink for kink in self.kinks if low < kink < high}
        places = inside | {min(max(at, low), high) for at, _ in self.graded}
        widths = {at: self._width_at(at) for at in sorted(places)}
        graded = _unresolved(widths, RESOLVED * (high - low))
        kinks = tuple(at for at in widths if at not in graded and low < at < high)
        return Domain(low, high, kinks, tuple(graded.items()))

    def _width_at(self, at: float) -> float:
        """Return on which length the function varies at a point, judged by the graded points alone."""
        return min((abs(at - point) + w for point, w in self.graded), default=math.inf)

    def _mapped(
        self, place: Callable[[float], float], width: Callable[[float, float], float]
    ) -> Support:
        return Support(
            place(self.low),
            place(self.high),
            tuple(place(at) for at in self.kinks),
            tuple((place(at), width(at, w)) for at, w in self.graded),
        )


def _unresolved(widths: dict[float, float], uniform: float) -> dict[float, float]:
    """Return which places must be graded, given on which length the function varies at each.

    Uniform cells resolve lengths above `uniform`; but if any place is graded, the cells that have grown from
    it to the next place, to 1/32 of the distance, resolve no less than that distance.
    """
    if min(widths.values(), default=math.inf) > uniform:
        return {}
    gaps = [b - a for a, b in pairwise(widths)]
    farther = map(max, [0.0, *gaps], [*gaps, 0.0])
    return {
        at: w
        for (at, w), gap in zip(widths.items(), farther, strict=True)
        if w <= max(uniform, gap)
    }


def signed_root(x: float) -> float:
    """Return the number s with ``s |s| = x``, rounded as `ClosedForm` does it for tensors."""
    return x if math.isinf(x) else x / math.sqrt(max(abs(x), ROOT_GUARD))


def _aligned(low: float, kink: float, high: float) -> float:
    """Return the upper end next below `high` that puts the kink on one of the uniform corners."""
    cells = math.ceil(UNIFORM * (kink - low) / (high - low))
    return low + UNIFORM * (kink - low) / cells if cells < UNIFORM else high
