"""The table of the generator of a part of a coverage, which compositing front to back reads."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from taichisoft.softness.aggregation import Aggregation
from taichisoft.softness.tables.domain import SHARP, Domain
from taichisoft.softness.tables.table import Table, tabulate

# Coverages and totals up to this count as 0 here, since tables are sampled beside their ends: a small power
# has risen to much there.
FIRST = 2.0**-46
# Cells: of all between kinks, and at least between two of them.
KINKED_CELLS, LEAST_CELLS = 4096, 64


@torch.no_grad()
def part_domain(aggregation: Aggregation) -> Domain:
    """Return the domain of the generator as a function of a coverage minus 1: finer where it is steep."""
    kinks = tuple(sorted({k - 1 for k in aggregation.kinks() if FIRST < k < 1 - FIRST}))
    cells = cells_between(kinks)
    domain = Domain(-1.0, 0.0, kinks, cells=cells, graded_cells=cells if kinks else 0)
    domain = domain.with_graded(0.0)
    # Counted from -1 on, so that next to it there is a cell with the slope there.
    return domain.with_graded(-1.0, SHARP if aggregation.steep_at_zero else 1.0)


def tabulate_part(aggregation: Aggregation, high: Tensor, domain: Domain) -> Table:
    """Return the table of ``g(s + 1)``; `high` is the upper end of the domain."""
    return tabulate(
        lambda s: aggregation.generator(zero_up_to(s + 1, FIRST)),
        aggregation.generator(high + 1),
        domain,
        within=(0.0, math.inf),
    )


def cells_between(kinks: tuple[float, ...]) -> int:
    """Return how many cells there are between two neighbouring kinks."""
    return max(KINKED_CELLS // (len(kinks) + 1), LEAST_CELLS)


def zero_up_to(x: Tensor, end: float) -> Tensor:
    """Return x, and up to `end` the number 0 with the slope of x."""
    return torch.where(x <= end, x - x.detach(), x)
