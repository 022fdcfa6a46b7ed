"""Device functions that look tables up with rates: first two derivatives, and cells that move."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.vector_rates import OfCells, RowsOf
from taichisoft.engine.kernels.vector_table import flexible_lookup_functions
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def rate_table_functions(real):
    """Compile-on-first-use device functions for a float type."""
    of = vector_functions(real)
    look = flexible_lookup_functions(real)
    vec, lanes = of.vec, of.lanes
    row_of_cells = ti.types.vector(4, real)
    rounding = 1.2e-7 if real is ti.f32 else 2.3e-16
    # Values and slopes of a curve, derivatives of slopes by the position in a cell, at which rates values and
    # slopes move with the cells, and where they were looked up.
    Looked = ti.types.struct(
        value=vec, slope=vec, bend=vec, moved=vec, turned=vec, t=vec, rate=vec, cell=of.ints
    )

    @ti.func
    def steady(rate, s):
        """Return d(position)/ds; 0 in cells that are as narrow as s is rounded."""
        size = of.greater(s, 0.0 - s) + 1e-20
        steep = of.greater(rate, 0.0 - rate)
        return ti.select(steep * size * real(rounding) > 0.25, vec(0.0), rate)

    @ti.func
    def looked_up(
        s,
        table: ti.template(),
        which: ti.template(),
        more: ti.template(),
        motion: ti.template(),
    ):
        """Look a curve up with its first two derivatives; `which` of the tables it is, see `RowsOf`."""
        cell, t, rate = look.locate(s, table)
        return looked_up_at(cell, t, steady(rate, s), table, which, more, motion)

    @ti.func
    def looked_up_at(
        cell: ti.template(),
        t,
        rate,
        table: ti.template(),
        which: ti.template(),
        more: ti.template(),
        motion: ti.template(),
    ):
        """Look a curve up at known places in its cells."""
        result = Looked()
        cubic = look.cubic(table, cell)
        result.value = look.value(cubic, t)
        result.slope = look.slope(cubic, t) * rate
        # Next to 0 the second derivative of an inverse is beyond float32, and that times its rate is not.
        result.bend = look.bend(cubic, t) * rate
        result.t = t
        result.rate = rate
        result.cell = cell
        if ti.static(more.of_cells == OfCells.MOVE):
            cells = result.cell
            if ti.static(which > 0):
                cells = cells + more.rows[which]
            moves = look.cubic(motion, cells)
            result.moved = look.value(moves, t)
            result.turned = look.slope(moves, t) * rate
        return result

    @ti.func
    def slope_rate(looked: ti.template(), x_dot):
        """Return at which rate the slope of a curve moves with its argument, and with its cells."""
        return looked.bend * (looked.rate * x_dot) + looked.turned

    @ti.func
    def cells_at(array: ti.template(), start):
        """Return the cells of lanes that were written to memory."""
        result = of.ints(0)
        for lane in ti.static(range(lanes)):
            result[lane] = array[start + lane]
        return result

    @ti.func
    def row_cubic(row: ti.template(), t):
        """Return slope and bend of one cubic by its position."""
        slope = of.broadcast(3.0 * row[3]) * t + of.broadcast(2.0 * row[2])
        slope = slope * t + of.broadcast(row[1])
        return slope, of.broadcast(6.0 * row[3]) * t + of.broadcast(2.0 * row[2])

    @ti.func
    def scatter(cells_out: ti.template(), first, cell: ti.template(), t, t_dot, up, up_dot):
        """Add the rates of gradients to the cells of a table."""
        moved = up * t_dot
        for lane in ti.static(range(lanes)):
            p = t[lane]
            powers = row_of_cells(1.0, p, p * p, p * p * p)
            slopes = row_of_cells(0.0, 1.0, 2.0 * p, 3.0 * p * p)
            row = first + cell[lane]
            cells_out[row] = cells_out[row] + (powers * up_dot[lane] + slopes * moved[lane])

    @ti.func
    def add_looked_up(
        table: ti.template(),
        looked: ti.template(),
        x_dot,
        up,
        up_dot,
        worker,
        more: ti.template(),
        out: ti.template(),
    ):
        """Add the rates of the gradients of the cells that a curve was looked up in."""
        if ti.static(more.of_cells > OfCells.NONE):
            first = worker * more.rows[RowsOf.TOTAL]
            if ti.static(table > 0):
                first += more.rows[table]
            scatter(out.cells, first, looked.cell, looked.t, looked.rate * x_dot, up, up_dot)

    return SimpleNamespace(
        Looked=Looked,
        steady=steady,
        looked_up=looked_up,
        looked_up_at=looked_up_at,
        slope_rate=slope_rate,
        cells_at=cells_at,
        row_cubic=row_cubic,
        scatter=scatter,
        add_looked_up=add_looked_up,
    )
