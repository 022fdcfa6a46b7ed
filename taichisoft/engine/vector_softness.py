"""The curves of compositing front to back, for kernels that work in whole vectors. Private."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from taichisoft.engine.bridge import flat
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.kernels.vector_layer_bundles import Kept, Number, Softness
from taichisoft.engine.kernels.vector_table import FlexibleTable
from taichisoft.softness.curves import FULL, CompositeCurves, Curve
from taichisoft.softness.remainder import NOTHING_LEFT
from taichisoft.softness.tables.domain import Piece
from taichisoft.softness.tables.table import Table


@dataclass(frozen=True, eq=False)
class VectorSoftness:
    """Bundles of curves.

    Parameters
    ----------
    curves : CompositeCurves
    like : Tensor
        Of the dtype of the kernels.
    opacity : bool
        Whether coverages are multiplied by an opacity.
    """

    curves: CompositeCurves
    like: Tensor
    opacity: bool

    def bundle(self, of: CompositeInputs, width: int, multiplies: bool) -> Softness:
        """Return all of them, for a pass that keeps so many vectors of a fragment.

        `multiplies` says whether what passes is a product.
        """
        curves = self.curves
        return Softness(
            curves.takes_max,
            self._curve(curves.generator, of.generator_cells),
            self._curve(curves.coverage, of.cells),
            self._table(curves.order, of.order_cells),
            self._table(curves.part, of.part_cells),
            self._table(curves.inverse, of.inverse_cells),
            self._numbers_of(of, width, multiplies),
            flat(of.gammas),
        )

    def _numbers_of(self, of: CompositeInputs, width: int, multiplies: bool) -> Tensor:
        domain = self.curves.order.domain
        row, sign, faint = faint_cell(self.curves.part.pieces[-1])
        numbers = [0.0] * Number.COUNT
        numbers[Number.LOW] = domain.low
        numbers[Number.HIGH] = domain.high
        numbers[Number.FULL] = self.curves.inverse.full
        numbers[Number.HIDDEN] = self.curves.inverse.hidden
        numbers[Number.FIRST_ABOVE] = self.curves.inverse.first_above
        tie = of.at_tie.tolist()
        numbers[Number.AT_TIE], numbers[Number.SLOPE_AT_TIE], numbers[Number.BEND_AT_TIE] = tie
        numbers[Number.FAINT] = faint
        numbers[Number.FAINT_ROW] = row
        numbers[Number.FAINT_START] = 0.0 if sign > 0 else 1.0
        numbers[Number.FAINT_RATE] = sign / faint
        order = self.curves.order.pieces
        single = len(order) == 1 and order[0].count == 1 and domain.span > 0
        numbers[Number.ORDER_ROW] = order[0].first if single else -1
        numbers[Number.ORDER_RATE] = order[0].rate * 2.0 ** order[0].resolution
        generator, coverage = self.curves.generator.table, self.curves.coverage.table
        numbers[Number.OPACITY] = float(self.opacity)
        numbers[Number.BY_INDEX] = float(self.curves.by_index)
        numbers[Number.SAME] = float(generator.pieces == coverage.pieces)
        numbers[Number.PRODUCT] = float(multiplies)
        numbers[Number.TOTAL] = float(not multiplies or width == Kept.FORWARD)
        numbers[Number.LEAST] = NOTHING_LEFT if self.opacity else 1 - FULL
        return self.like.new_tensor(numbers)

    def _curve(self, curve: Curve, cells: Tensor) -> FlexibleTable:
        return self._flexible(curve.table, curve.numbers(self.like), cells)

    def _table(self, table: Table, cells: Tensor) -> FlexibleTable:
        numbers = table.numbers_like(self.like, 1.0, table.domain.low)
        return self._flexible(table, numbers, cells)

    def _flexible(self, table: Table, numbers: Tensor, cells: Tensor) -> FlexibleTable:
        layout = torch.cat([numbers[:2], flexible_layout(table.pieces, numbers.dtype)])
        return FlexibleTable(layout, cells.detach().contiguous())

    def slopes(self, curve: Curve, cells: Tensor) -> FlexibleTable:
        """Return the slopes of a curve, if they are not its own."""
        if curve.slopes is None:
            # They are not read.
            return FlexibleTable(self.like.new_zeros(3), cells.detach().contiguous())
        return self._flexible(curve.slopes, curve.slope_numbers(self.like), cells)


@lru_cache(maxsize=64)
def faint_cell(last: Piece) -> tuple[int, float, float]:
    """Return the row of the cell of the least coverages, the sign of its slope, and up to where it goes.

    It is the first one of those that are counted from there on.
    """
    at = last.knots()
    if last.rate > 0:
        return last.first + last.count - 1, -1.0, float(at[-2] - at[-1])
    return last.first, 1.0, float(at[1] - at[0])


@lru_cache(maxsize=64)
def flexible_layout(pieces: tuple[Piece, ...], dtype: torch.dtype) -> Tensor:
    """Return the layout of pieces for `taichisoft.engine.kernels.vector_table`."""
    bias, integer = (127, torch.int32) if dtype is torch.float32 else (1023, torch.int64)
    parts = [torch.tensor([float(len(pieces))], dtype=torch.float64).to(dtype)]
    for piece in pieces:
        octave, place = divmod(piece.count, 2**piece.resolution)
        limit = 2.0**octave * (1 + place / 2**piece.resolution)
        numbers = torch.tensor([piece.low, piece.anchor, piece.rate, limit], dtype=torch.float64)
        base = piece.first - (bias << piece.resolution)
        parts += [
            numbers.to(dtype),
            torch.tensor([base, piece.resolution], dtype=integer).view(dtype),
        ]
    return torch.cat(parts)
