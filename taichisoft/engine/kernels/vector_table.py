"""Tabulated curves in whole vectors whose number of pieces is known when a kernel runs.

One compiled kernel serves all curves: where many curves meet in a kernel, one for each number of their pieces
would take minutes to compile. What a curve with several pieces pays for it is a loop over them.
"""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.kernel import Floats, Quads
from taichisoft.engine.kernels.vector_curve import vector_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions

# Numbers of a layout: 1 / width, reach, number of pieces, then of each piece its lower end, anchor, rate, the
# number that stands for the row behind its last cell, and, as the bits of integers, what is added to the
# leading bits of a number for its cell, and its resolution.
HEADER = 3
PIECE = 6


class Sizes:
    """Places of numbers: rows of all tables, and those before each but the first, that of the generator.

    Then the first of the bands that are taken, and their end.
    """

    TOTAL, COVERAGE, ORDER, PART, INVERSE, FIRST_BAND, END_BAND = range(7)


class FlexibleTable(NamedTuple):
    """A tabulated curve."""

    layout: Floats  # (3 + pieces * 6)
    cells: Quads  # (K)


@cache
def flexible_lookup_functions(real):
    """Return a namespace of device functions for the float type `real`; `cubic` and what reads it too."""
    of = vector_functions(real)
    fixed = vector_lookup_functions(real)
    vec, bits, integer, mantissa = of.vec, of.bits, of.integer, of.mantissa
    exponent_of_one = (127 if real is ti.f32 else 1023) << mantissa
    sign_and_exponent = -(1 << mantissa)
    mantissa_bits = (1 << mantissa) - 1
    row_of_cells = ti.types.vector(4, real)

    @ti.func
    def locate(s, table: ti.template()):
        """Cell, position in the cell in [0, 1), and d(position)/ds."""
        layout = ti.static(table.layout)
        anchor = of.broadcast(layout[HEADER + 1])
        rate = of.broadcast(layout[HEADER + 2])
        limit = of.broadcast(layout[HEADER + 3])
        base = bits(0) + ti.bit_cast(layout[HEADER + 4], integer)
        resolution = bits(0) + ti.bit_cast(layout[HEADER + 5], integer)
        for p in range(1, ti.cast(layout[2], ti.i32)):
            k = HEADER + PIECE * p
            below = s < of.broadcast(layout[k - PIECE])
            anchor = ti.select(below, of.broadcast(layout[k + 1]), anchor)
            rate = ti.select(below, of.broadcast(layout[k + 2]), rate)
            limit = ti.select(below, of.broadcast(layout[k + 3]), limit)
            base = ti.select(below, bits(0) + ti.bit_cast(layout[k + 4], integer), base)
            resolution = ti.select(below, bits(0) + ti.bit_cast(layout[k + 5], integer), resolution)
        # The largest number below 1 is of the row before the first cell.
        below_one = of.from_bits(bits(0) + integer(exponent_of_one - 1))
        steps = (anchor - s) * rate
        v = of.lesser(of.greater(1.0 + steps, below_one), limit)
        number = of.to_bits(v)
        cell = of.narrowed((number >> (mantissa - resolution)) + base)
        # What is left of the mantissa, as the mantissa of a number in [1, 2).
        rest = ((number << resolution) & integer(mantissa_bits)) | integer(exponent_of_one)
        t = of.from_bits(rest) - 1.0
        # In the first cell without the 1, next to which the last digits of a small number are gone.
        one = bits(0) + integer(exponent_of_one)
        first = of.narrowed((one >> (mantissa - resolution)) + base)
        per_step = of.from_bits((resolution << mantissa) + integer(exponent_of_one))
        t = ti.select(cell == first, of.lesser(steps * per_step, vec(1.0)), t)
        # 2^resolution over the octave of v, by its exponent alone.
        octave = number & integer(sign_and_exponent)
        per_cell = (integer(2 * exponent_of_one) - octave) + (resolution << mantissa)
        dt = (0.0 - rate) * of.from_bits(per_cell)
        # Before the first cell the slope is 0, and an infinite product with it would be no number.
        return cell, t, ti.select(v < 1.0, vec(0.0), dt)

    @ti.func
    def scatter(cells_out: ti.template(), first, cell: ti.template(), t, up):
        """Add gradients to the cells of a table."""
        for lane in ti.static(range(of.lanes)):
            p = t[lane]
            powers = row_of_cells(1.0, p, p * p, p * p * p)
            row = first + fixed.cell_of(cell, lane)
            cells_out[row] = cells_out[row] + powers * up[lane]

    return SimpleNamespace(
        scatter=scatter,
        locate=locate,
        cell_of=fixed.cell_of,
        cubic=fixed.cubic,
        value=fixed.value,
        slope=fixed.slope,
        bend=fixed.bend,
    )
