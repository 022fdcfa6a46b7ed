"""The order of depths whose table has a single cell, in whole vectors: there is none to look for."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.vector_layer_bundles import Kept, Number
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def order_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    vec = of.vec

    @ti.func
    def row_of(softness: ti.template()):
        """Return the row of the only cell of the order, or -1."""
        return ti.cast(softness.numbers[Number.ORDER_ROW], ti.i32)

    @ti.func
    def in_cell(u, row, softness: ti.template(), width: ti.template()):
        """Return the order of a depth difference in gammas, and its slope (0 in the forward pass)."""
        numbers = ti.static(softness.numbers)
        rate = of.broadcast(numbers[Number.ORDER_RATE])
        t = (of.broadcast(numbers[Number.HIGH]) - u) * rate
        t = of.lesser(of.greater(t, vec(0.0)), vec(1.0))
        cubic = softness.order.cells[row]
        h = (of.broadcast(cubic[3]) * t + of.broadcast(cubic[2])) * t + of.broadcast(cubic[1])
        h = h * t + of.broadcast(cubic[0])
        slope = vec(0.0)
        if ti.static(width > Kept.FORWARD):
            slope = of.broadcast(3.0 * cubic[3]) * t + of.broadcast(2.0 * cubic[2])
            slope = (slope * t + of.broadcast(cubic[1])) * (0.0 - rate)
            inside = ti.select(t > 0.0, ti.select(t < 1.0, vec(1.0), vec(0.0)), vec(0.0))
            slope = slope * inside
        return h, slope

    @ti.func
    def slope_of(slope, tie: ti.template(), softness: ti.template()):
        """Return the slope of the order: where depths are equal, the mean of both sides."""
        at_tie = of.broadcast(softness.numbers[Number.SLOPE_AT_TIE])
        return ti.select(tie, at_tie, slope)

    return SimpleNamespace(row_of=row_of, in_cell=in_cell, slope_of=slope_of)
