"""Tables of a T-conorm that compositing front to back reads: its generator by coverage, and the inverse."""

from __future__ import annotations

import math
from itertools import chain

import torch
from torch import Tensor

from taichisoft.softness.aggregation import Aggregation
from taichisoft.softness.aggregation.arithmetic import TINY
from taichisoft.softness.tables.domain import SHARP, Domain, pieces_of
from taichisoft.softness.tables.table import Table, tabulate

# Where the table of an inverse ends: at the generator of 1 minus this, which counts as full.
NOTHING_LEFT = 2.0**-40
# The cells of that table grow from the generator of this coverage on; of the second where it is steep.
LITTLE, LITTLE_IF_STEEP = 2.0**-12, 2.0**-20
# Octaves of a piece: kernels hold 100.
MOST_OCTAVES = 98
# Coverages and totals up to this count as 0 here, since tables are sampled beside their ends: a small power
# has risen to much there.
FIRST = 2.0**-46
# Cells: at least of a graded piece, of all between kinks, and at least between two of them.
GRADED_CELLS, KINKED_CELLS, LEAST_CELLS = 1024, 4096, 64


@torch.no_grad()
def part_domain(aggregation: Aggregation) -> Domain:
    """Return the domain of the generator as a function of a coverage minus 1: finer where it is steep."""
    kinks = tuple(sorted({k - 1 for k in aggregation.kinks() if FIRST < k < 1 - FIRST}))
    cells = _cells_between(kinks)
    domain = Domain(-1.0, 0.0, kinks, cells=cells, graded_cells=cells if kinks else 0)
    domain = domain.with_graded(0.0)
    # Counted from -1 on, so that next to it there is a cell with the slope there.
    return domain.with_graded(-1.0, SHARP if aggregation.steep_at_zero else 1.0)


def tabulate_part(aggregation: Aggregation, high: Tensor, domain: Domain) -> Table:
    """Return the table of ``g(s + 1)``; `high` is the upper end of the domain."""
    return tabulate(
        lambda s: aggregation.generator(_zero_up_to(s + 1, FIRST)),
        aggregation.generator(high + 1),
        domain,
        within=(0.0, math.inf),
    )


@torch.no_grad()
def inverse_domain(aggregation: Aggregation) -> Domain:
    """Return the domain of the inverse of a generator: up to where nothing is left, finer towards 0."""
    little = LITTLE_IF_STEEP if aggregation.steep_at_zero else LITTLE
    coverages = [little, 0.5, 1 - NOTHING_LEFT, *aggregation.kinks()]
    kept = next(chain(aggregation.parameters(), aggregation.buffers()), None)
    at = torch.tensor(coverages, dtype=torch.float64, device=None if kept is None else kept.device)
    least, middle, most, *kinks = aggregation.generator(at).tolist()
    inner = tuple(sorted({total for total in kinks if 0 < total < most}))
    if inner:
        return Domain(0.0, most, inner, cells=_cells_between(inner))
    least = max(least, TINY)
    graded = [(0.0, least)]
    if most > least * 2.0**MOST_OCTAVES:
        # Too far for one piece: cells grow anew from the middle on.
        graded.append((middle, max(middle, most * 2.0**-MOST_OCTAVES)))
    return Domain(0.0, most, graded=tuple(graded), graded_cells=GRADED_CELLS)


def tabulate_inverse(aggregation: Aggregation, high: Tensor, domain: Domain) -> Table:
    """Return the table of ``g^-1(total)``; `high` is the upper end of the domain."""
    knots = pieces_of(domain)[-1].knots().sort().values
    end = min(FIRST, float(knots[1]) / 2)
    return tabulate(
        lambda total: aggregation.inverse(_zero_up_to(total, end)),
        aggregation.inverse(high),
        domain,
        within=(0.0, 1.0),
    )


def _cells_between(kinks: tuple[float, ...]) -> int:
    """Return how many cells there are between two neighbouring kinks."""
    return max(KINKED_CELLS // (len(kinks) + 1), LEAST_CELLS)


def _zero_up_to(x: Tensor, end: float) -> Tensor:
    """Return x, and up to `end` the number 0 with the slope of x."""
    return torch.where(x <= end, x - x.detach(), x)
