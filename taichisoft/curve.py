"""A tabulated curve with its width: what the kernels need to evaluate it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.coverage.straight_through import FAINT
from taichisoft.table import PIECE_NUMBERS, Table


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
        """Return the array that `taichisoft.kernels.lookup` describes."""
        return self._numbers(self.table, like)

    def slope_numbers(self, like: Tensor) -> Tensor:
        """Return the same array for the table of slopes."""
        return self._numbers(self.slopes or self.table, like)

    def cells(self, like: Tensor) -> Tensor:
        """Return the cells in the dtype and on the device of `like`, differentiable."""
        return self.table.cells.to(like.device, like.dtype)

    def slope_cells(self, like: Tensor) -> Tensor:
        """Return the cells of the slopes; one row of zeros if there is no such table."""
        if self.slopes is None:
            return like.new_zeros(1, 4)
        return self.slopes.cells.to(like.device, like.dtype)

    def _numbers(self, table: Table, like: Tensor) -> Tensor:
        # In float64 where the width is: not every device has it.
        width = self.width.detach().to(torch.float64).reshape(1)
        lowest = min(t.domain.low for t in (self.table, self.slopes) if t is not None)
        reach = max(-lowest, 0.0) * width
        return (
            torch.cat([1 / width, reach, width.new_tensor(table.layout)])
            .to(like.dtype)
            .to(like.device)
        )
