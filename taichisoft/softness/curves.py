"""Tabulated curves of a softness: what an engine sums, with their widths."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from taichisoft.base.checks import check_holds_numbers, check_type
from taichisoft.softness.aggregation import Aggregation, Probabilistic
from taichisoft.softness.coverage.straight_through import FAINT
from taichisoft.softness.inverse_table import InverseTable, tabulate_inverse
from taichisoft.softness.occlusion import FrontToBack, ReferenceDepth
from taichisoft.softness.part_table import part_domain, tabulate_part
from taichisoft.softness.softness import Softness
from taichisoft.softness.tables.domain import SHARP, Domain
from taichisoft.softness.tables.table import (
    PIECE_NUMBERS,
    Table,
    TableCache,
    reach_of,
    slope_of,
    tabulate,
)

# Within a table coverage stops this short of 1, where a generator may be singular.
FULL = 1 - 1e-6


@dataclass(frozen=True)
class Curve:
    """A tabulated curve with its width.

    Parameters
    ----------
    table : Table
        The tabulated curve.
    width : Tensor
        Scalar: pixels (or scene units for occlusion) per unit of the table's argument.
    slopes : Table, optional
        Values of the slope to use in place of the slope of `table` (straight-through).
    """

    table: Table
    width: Tensor
    slopes: Table | None = None

    @property
    def pieces(self) -> int:
        """Number of pieces of the table, for the kernels."""
        return len(self.table.layout) // PIECE_NUMBERS

    @property
    def slope_pieces(self) -> int:
        """Number of pieces of the table of slopes; 0 if there is none."""
        return 0 if self.slopes is None else len(self.slopes.layout) // PIECE_NUMBERS

    @property
    def faint(self) -> float:
        """Coverage up to which a face is not the nearest of a pixel: see `StraightThrough`."""
        return 0.0 if self.slopes is None else 1.5 * FAINT

    def numbers(self, like: Tensor) -> Tensor:
        """Return the array that `taichisoft.engine.kernels.curve` describes."""
        return self._numbers(self.table, like)

    def slope_numbers(self, like: Tensor) -> Tensor:
        """Return the same array for the table of slopes."""
        return self._numbers(self.slopes or self.table, like)

    def cells(self, like: Tensor) -> Tensor:
        """Return the cells in the dtype and on the device of `like`, differentiable."""
        return self.table.cells_like(like)

    def slope_cells(self, like: Tensor) -> Tensor:
        """Return the cells of the slopes; one row of zeros if there is no such table."""
        if self.slopes is None:
            return _no_cells(like.dtype, like.device)
        return self.slopes.cells_like(like)

    def reach(self, dtype: torch.dtype) -> float:
        """Return how far outside of a face the curve reaches, in pixels: as in `numbers` of that dtype.

        No device is waited for but that of the width.
        """
        reach = reach_of(self.width.item(), self._lowest)
        return torch.tensor(reach, dtype=torch.float64).to(dtype).item()

    @property
    def _lowest(self) -> float:
        """The argument below which neither the curve nor its slope is reached."""
        lowest = self.table.domain.low
        return lowest if self.slopes is None else min(lowest, self.slopes.domain.low)

    def _numbers(self, table: Table, like: Tensor) -> Tensor:
        check_holds_numbers(self.width, "the renderer")
        return table.numbers_like(like, self.width.item(), self._lowest)


@dataclass(frozen=True)
class CompositeCurves:
    """The curves of compositing front to back: see `FrontToBack`.

    Parameters
    ----------
    generator, coverage : Curve
        ``g(F(s))`` and ``F(s)``.
    order : Table
        ``h(u)``; above its domain it counts as 1.
    at_tie : Tensor, (3,)
        h, its slope and its second derivative for equal depths: means of both sides of 0, where h may jump or
        bend.
    part : Table
        ``g(x)`` of a part x of a coverage, by ``x - 1`` from -1 to 0.
    inverse : InverseTable
        ``g^-1(total)``, above a middle minus 1.
    occlusion : FrontToBack
        With the widths of h.
    takes_max : bool
        Whether maxima are taken instead of sums. Then g is the identity, and `part` and `inverse` are not
        used.
    by_index : bool
        Whether of equally deep faces the one with the smaller index is in front.
    exponential : bool
        Whether g^-1 is ``1 - exp(-total)``.
    """

    generator: Curve
    coverage: Curve
    order: Table
    at_tie: Tensor
    part: Table
    inverse: InverseTable
    occlusion: FrontToBack
    takes_max: bool
    by_index: bool
    exponential: bool


@lru_cache(maxsize=16)
def _no_cells(dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.zeros(1, 4, dtype=dtype, device=device)


def below_full(coverage: Tensor) -> Tensor:
    """Keep coverage within a table short of 1, where a generator may be singular."""
    return coverage.clamp(max=FULL)


def generated(aggregation: Aggregation, coverage: Tensor) -> Tensor:
    """Return the generator of coverage within a table: short of that of 1, unless maxima are taken."""
    return aggregation.generator(coverage if aggregation.takes_max else below_full(coverage))


class SoftnessCurves:
    """The curves of a softness, tabulated again only when it has changed.

    Parameters
    ----------
    softness : Softness
        What to tabulate.
    """

    def __init__(self, softness: Softness):
        self._softness = softness
        self._tables = TableCache()
        self._kept_tie: tuple[Table, Tensor] | None = None

    def generator(self, image_height: int) -> Curve:
        """Return the generator of coverage ``g(F(s))``, and of its slopes if they have their own."""
        softness = self._softness
        coverage, aggregation = softness.coverage, softness.aggregation
        scale = coverage.scale

        def build(high: Tensor, domain: Domain) -> Table:
            top = coverage.without_tail(high)
            # A slope of its own wants a generator whose derivative at full coverage is finite.
            through = coverage.surrogate is not None
            return tabulate(
                lambda s: generated(aggregation, coverage.without_tail(s)),
                generated(aggregation, top) if through else aggregation.generator(top),
                domain,
                within=(0.0, math.inf),
            )

        table = self._tables.get(
            "generator",
            build,
            lambda: generator_domain(softness),
            coverage,
            aggregation,
            apart=scale,
        )
        slopes = self._slopes("generator slopes", of_generator=True)
        return Curve(table, scale.in_pixels(image_height), slopes)

    def coverage(self, image_height: int) -> Curve:
        """Return the coverage ``F(s)``, and its slopes if they have their own."""
        coverage = self._softness.coverage
        scale = coverage.scale

        def build(high: Tensor, domain: Domain) -> Table:
            top = coverage.without_tail(high)
            return tabulate(coverage.without_tail, top, domain, within=(0.0, 1.0))

        table = self._tables.get("coverage", build, coverage.domain, coverage, apart=scale)
        slopes = self._slopes("coverage slopes", of_generator=False)
        return Curve(table, scale.in_pixels(image_height), slopes)

    def composite(self, image_height: int) -> CompositeCurves:
        """Return the curves of a softness whose occlusion is `FrontToBack`."""
        occlusion = check_type(self._softness.occlusion, "occlusion", FrontToBack)
        order, aggregation = occlusion.order, self._softness.aggregation

        def build(high: Tensor, domain: Domain) -> Table:
            return tabulate(occlusion, occlusion(high), domain, within=(0.0, 1.0))

        h = self._tables.get("order", build, occlusion.domain, order, apart=order.scale)
        part = self._tables.get(
            "part",
            lambda high, domain: tabulate_part(aggregation, high, domain),
            lambda: part_domain(aggregation),
            aggregation,
        )
        inverse = self._tables.get(
            "inverse",
            lambda *_: tabulate_inverse(aggregation),
            # It follows from the rest.
            lambda: Domain(0.0, 0.0),
            aggregation,
        )
        return CompositeCurves(
            self.generator(image_height),
            self.coverage(image_height),
            h,
            self._tie(h),
            part,
            check_type(inverse, "inverse", InverseTable),
            occlusion,
            aggregation.takes_max,
            aggregation.takes_max and h.domain.span == 0,
            # Of a subclass as well, unless it has an inverse of its own.
            type(aggregation).inverse is Probabilistic.inverse,
        )

    def _tie(self, order: Table) -> Tensor:
        """Return the order of equal depths, with derivatives: see `CompositeCurves`."""
        if self._kept_tie is not None and self._kept_tie[0] is order:
            return self._kept_tie[1]
        with torch.inference_mode(False), torch.set_grad_enabled(order.cells.requires_grad):
            sides = torch.tensor([-SHARP, SHARP], dtype=torch.float64, device=order.cells.device)
            tie = torch.stack(order.with_derivatives(sides)).mean(1)
        # As with tables: a mode of torch may have given it another class.
        if type(tie) is Tensor and not tie.requires_grad:
            self._kept_tie = (order, tie)
        return tie

    def occlusion(self) -> Curve:
        """Return the occlusion ``Z(u)``."""
        occlusion = check_type(self._softness.occlusion, "occlusion", ReferenceDepth)

        gamma = occlusion.gamma

        def build(high: Tensor, domain: Domain) -> Table:
            return tabulate(occlusion, occlusion(high), domain, within=(0.0, 1.0))

        table = self._tables.get("occlusion", build, occlusion.domain, occlusion, apart=gamma)
        return Curve(table, gamma())

    def _slopes(self, name: str, *, of_generator: bool) -> Table | None:
        coverage = self._softness.coverage
        surrogate = coverage.surrogate
        if surrogate is None:
            return None
        aggregation = self._softness.aggregation

        def slopes(s: Tensor) -> Tensor:
            slope = slope_of(surrogate.without_tail(s), s, create_graph=True)
            if not of_generator:
                return slope
            value = below_full(coverage.without_tail(s))
            value = value if value.requires_grad else value.requires_grad_()
            rate = slope_of(aggregation.generator(value), value, create_graph=True)
            return rate * slope

        return self._tables.get(
            name,
            lambda high, domain: tabulate(slopes, torch.zeros_like(high), domain),
            lambda: slope_domain(surrogate.domain(), coverage.domain()),
            coverage,
            aggregation,
            apart=coverage.scale,
        )


def generator_domain(softness: Softness) -> Domain:
    """Return the domain of the generator of coverage: finer where the generator is steep."""
    domain = softness.coverage.domain()
    if not softness.aggregation.steep_at_zero or domain.span == 0:
        return domain
    # Grading reaches up to here only, where its cells are as wide as uniform ones.
    meeting = domain.low + domain.span / 32
    kinks = domain.kinks if meeting in domain.kinks else (*domain.kinks, meeting)
    # Nor may cells that shrink towards the upper end be wide down there.
    apart = domain.low + domain.span * 7 / 8
    if any(at == domain.high for at, _ in domain.graded) and apart not in kinks:
        kinks = (*kinks, apart)
    return replace(domain, kinks=kinks).with_graded(domain.low)


def slope_domain(own: Domain, values: Domain) -> Domain:
    """Return the domain of slopes of their own, with the kinks of the values that lie in it."""
    corners = {values.low, values.high, *values.kinks, *own.kinks}
    corners |= {at for at, _ in values.graded}
    inside = tuple(sorted(x for x in corners if own.low < x < own.high))
    return Domain(own.low, own.high, inside, own.graded)
