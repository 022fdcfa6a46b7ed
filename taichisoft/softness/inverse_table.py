"""The table of the inverse of a generator, which compositing front to back reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.softness.aggregation import Aggregation
from taichisoft.softness.aggregation.arithmetic import TINY
from taichisoft.softness.part_table import FIRST, cells_between, zero_up_to
from taichisoft.softness.remainder import Remainder, device_of
from taichisoft.softness.tables.domain import Domain, pieces_of
from taichisoft.softness.tables.table import Table, of_parts, stacked, tabulate, value_and_slope

# Cells grow from the generator of this coverage on; of the second where it is steep.
LITTLE, LITTLE_IF_STEEP = 2.0**-12, 2.0**-20
# Octaves of a piece: kernels hold 100. So many of them are behind the knee.
MOST_OCTAVES, BEHIND_THE_KNEE = 98, 10
# Cells of a piece that grow, at least; and of an octave, if there are not very many of these.
GRADED_CELLS, CELLS_OF_AN_OCTAVE, MANY_OCTAVES = 1024, 64, 64
WITHIN = (-1.0, 1.0)
# A kink is taken for the middle if its coverage is between these.
MIDDLING = (0.1, 0.9)


@dataclass(frozen=True)
class InverseTable(Table):
    """The inverse of a generator as `Remainder` has it: above a middle, 1 is taken off.

    Rows are counted upwards through the pieces, so that the cell alone tells on which side of the middle a
    total is: what a comparison of the total itself would say could be rounded otherwise.

    Parameters
    ----------
    first_above : int
        Row of the first cell above the middle.
    full : float
        Total of faces wholly in front from which on nothing is seen.
    """

    first_above: int
    full: float

    @property
    def hidden(self) -> float:
        """A total behind which nothing more is added."""
        return 2 * self.domain.high

    def added(self, in_front: Tensor, wholly: Tensor, own: Tensor) -> Tensor:
        """Return what faces add to alpha: see `Remainder.added`."""
        start, below = self.looked_up(in_front)
        end, above = self.looked_up(in_front + own)
        crosses = (below < self.first_above) & (above >= self.first_above)
        return torch.where(wholly >= self.full, 0, end - start + crosses.to(own))


def tabulate_inverse(aggregation: Aggregation) -> InverseTable:
    """Return the table of the inverse of a generator, finer towards 0."""
    remainder = Remainder.of(aggregation)
    little = LITTLE_IF_STEEP if aggregation.steep_at_zero else LITTLE
    (least,) = _totals(aggregation, [little])
    least = max(least, TINY)
    kinks = [k for k in aggregation.kinks() if 0 < k < 1]
    if not kinks and _octaves(remainder.knee, least) <= MOST_OCTAVES - BEHIND_THE_KNEE:
        return _in_one_piece(remainder, least)
    return _in_sections(remainder, least, kinks)


def _in_one_piece(remainder: Remainder, least: float) -> InverseTable:
    """Return a table with the middle and the knee at corners of its only piece."""
    domain = _beyond_the_knee(0.0, remainder.knee, least)
    (piece,) = pieces_of(domain)
    corners = piece.samples(device_of(remainder.aggregation))
    knee = _nearest(corners, remainder.knee)
    middle = 1 + _nearest(corners[1:knee], remainder.middle)
    end = min(FIRST, float(corners[1]) / 2)
    taken = value_and_slope(lambda s: remainder.taken(zero_up_to(s, end)), corners[: middle + 1])
    parts = [taken, *_parts_above(remainder, corners[middle:], knee - middle)]
    return _with_sides(of_parts(parts, domain, WITHIN), piece.first + middle, remainder)


def _in_sections(remainder: Remainder, least: float, kinks: list[float]) -> InverseTable:
    """Return a table that is divided at the middle, and at the last of the kinks."""
    aggregation = remainder.aggregation
    middling = [k for k in kinks if MIDDLING[0] < k < MIDDLING[1]]
    middle, knee = remainder.middle, remainder.knee
    if middling:
        nearest = min(middling, key=lambda coverage: abs(coverage - 0.5))
        (middle,) = _totals(aggregation, [nearest])
    bends = [total for total in _totals(aggregation, kinks) if 0 < total < knee]
    below = tuple(total for total in bends if total < middle)
    above = tuple(total for total in bends if total > middle)
    octaves = _octaves(middle, least)
    lower = Domain(0.0, middle, graded=((0.0, least),), graded_cells=_cells(octaves))
    if bends:
        lower = Domain(0.0, middle, below, cells=cells_between(below))
    table = _below(remainder, lower)
    first_above = len(table.cells)
    last = middle
    if above:
        last = above[-1]
        bent = Domain(middle, last, above[:-1], cells=cells_between(above))
        table = stacked(table, _bent(remainder, bent))
    domain = _beyond_the_knee(last, knee, min(last, knee - last))
    (piece,) = pieces_of(domain)
    corners = piece.samples(device_of(aggregation))
    upper = of_parts(_parts_above(remainder, corners, _nearest(corners, knee)), domain, WITHIN)
    return _with_sides(stacked(table, upper), first_above, remainder)


def _beyond_the_knee(low: float, knee: float, width: float) -> Domain:
    """Return a domain of one piece from `low` to far behind the knee, with a corner there."""
    octaves = min(_octaves(knee - low, width), MOST_OCTAVES)
    all_octaves = min(octaves + BEHIND_THE_KNEE, MOST_OCTAVES)
    width = (knee - low) / (2.0**octaves - 1)
    high = low + width * (2.0**all_octaves - 1)
    # A little more than the width, or rounding could make an octave more of it.
    graded = ((low, width * (1 + 2.0**-20)),)
    return Domain(low, high, graded=graded, graded_cells=_cells(all_octaves))


def _octaves(span: float, width: float) -> int:
    return math.ceil(math.log2(1 + span / width))


def _cells(octaves: int) -> int:
    """Return the least number of cells of so many octaves."""
    return max(GRADED_CELLS, CELLS_OF_AN_OCTAVE * octaves if octaves <= MANY_OCTAVES else 0)


def _nearest(corners: Tensor, total: float) -> int:
    return int((corners - total).abs().argmin())


def _parts_above(
    remainder: Remainder, corners: Tensor, knee: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return values and slopes above the middle: up to the corner at the knee, and from there on."""
    value, slope = value_and_slope(lambda s: -remainder.left(s), corners[: knee + 1])
    least = value[-1]
    power = remainder.steepness(least.detach(), slope[-1].detach())
    behind = corners[knee:].detach()
    falling = (behind / behind[0]) ** -power
    return (value, slope), (least * falling, -power * least * falling / behind)


def _below(remainder: Remainder, domain: Domain) -> Table:
    """Return the table of the inverse below the middle."""
    knots = pieces_of(domain)[-1].knots().sort().values
    end = min(FIRST, float(knots[1]) / 2)
    top = torch.tensor(domain.high, dtype=torch.float64, device=device_of(remainder.aggregation))
    return tabulate(
        lambda s: remainder.taken(zero_up_to(s, end)), remainder.taken(top), domain, within=WITHIN
    )


def _bent(remainder: Remainder, domain: Domain) -> Table:
    """Return the table of the inverse minus 1 between kinks."""
    ends = torch.tensor(
        [domain.low, domain.high], dtype=torch.float64, device=device_of(remainder.aggregation)
    )
    bottom, top = -remainder.left(ends)
    return tabulate(lambda s: -remainder.left(s), top, domain, within=WITHIN, bottom=bottom)


def _with_sides(table: Table, first_above: int, remainder: Remainder) -> InverseTable:
    return InverseTable(table.cells, table.pieces, table.domain, first_above, remainder.full)


@torch.no_grad()
def _totals(aggregation: Aggregation, coverages: list[float]) -> list[float]:
    """Return the generator of coverages."""
    at = torch.tensor(coverages, dtype=torch.float64, device=device_of(aggregation))
    return aggregation.generator(at).tolist()
