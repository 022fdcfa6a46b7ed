"""Tables of compositing, packed into one array, and the device functions that look a number up in them.

In contrast to `taichisoft.engine.kernels.curve` the number of pieces is known when a kernel runs, so that one
compiled kernel serves every softness.
"""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.arithmetic import lesser
from taichisoft.engine.kernels.curve import HEADER, PIECE, place_function
from taichisoft.engine.kernels.kernel import Constant, Floats, Ints

# The tables.
GENERATOR = 0
GENERATOR_SLOPES = 1
COVERAGE = 2
COVERAGE_SLOPES = 3
ORDER = 4
PART = 5
INVERSE = 6
TABLES = 7


class LayerTables(NamedTuple):
    """All tables. Rows of cells are counted through them."""

    divided: Constant  # whether any of them has more than one piece
    places: Ints  # (TABLES * 2) number of pieces, 0 for slopes that there are not; first number
    numbers: Floats  # as in `taichisoft.engine.kernels.curve`, of one table after the other
    cells: Floats  # (K * 4)


@cache
def table_functions(real):
    """Return a namespace of device functions for the float type `real`."""
    integer = ti.i32 if real is ti.f32 else ti.i64
    place = place_function(real)

    # Of a table, the number of its pieces, where they begin, and its first piece: read once by a worker.
    Piece = ti.types.struct(
        pieces=ti.i32,
        at=ti.i32,
        anchor=real,
        rate=real,
        first=ti.i32,
        count=ti.i32,
        resolution=integer,
    )

    @ti.func
    def piece_at(pieces, at, tables: ti.template()):
        """Read a piece."""
        numbers = ti.static(tables.numbers)
        return Piece(
            pieces,
            at,
            numbers[at + 1],
            numbers[at + 2],
            ti.cast(numbers[at + 3], ti.i32),
            ti.cast(numbers[at + 4], ti.i32),
            ti.cast(numbers[at + 5], integer),
        )

    @ti.func
    def begin(which: ti.template(), tables: ti.template()):
        """Return a table, to look numbers up in."""
        at = tables.places[2 * which + 1] + HEADER
        return piece_at(tables.places[2 * which], at, tables)

    @ti.func
    def locate(s, table: ti.template(), tables: ti.template()):
        """Row of the cell, position in the cell in [0, 1), and d(position)/ds."""
        found = table
        if ti.static(tables.divided):
            for p in range(1, table.pieces):
                below = table.at + PIECE * p
                if s < tables.numbers[below - PIECE]:
                    found = piece_at(table.pieces, below, tables)
        cell, t, dt = place(s, found.anchor, found.rate, found.first, found.count, found.resolution)
        # In the first cell without the 1, next to which the last digits of a small number are gone.
        steps = (found.anchor - s) * found.rate * ti.cast(1 << found.resolution, real)
        return cell, ti.select(cell == found.first, lesser(steps, real(1.0)), t), dt

    @ti.func
    def look_up(s, table: ti.template(), tables: ti.template()):
        """Value at s, slope, row of the cell, position in it."""
        cell, t, dt = locate(s, table, tables)
        k = 4 * cell
        c1 = tables.cells[k + 1]
        c2 = tables.cells[k + 2]
        c3 = tables.cells[k + 3]
        value = ((c3 * t + c2) * t + c1) * t + tables.cells[k]
        return value, ((3 * c3 * t + 2 * c2) * t + c1) * dt, cell, t

    @ti.func
    def add_to_cell(sums: ti.template(), worker, size, cell, t, amount):
        """Add the gradient of a value at a place of a cell to the table of a worker."""
        k = worker * size + 4 * cell
        power = amount
        for c in ti.static(range(4)):
            sums[k + c] = sums[k + c] + power
            power *= t

    return SimpleNamespace(Piece=Piece, begin=begin, look_up=look_up, add_to_cell=add_to_cell)
