"""Device functions of a tabulated curve for whole vectors: see `taichisoft.engine.kernels.curve`, whose twin it is."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.curve import HEADER, LARGEST, PIECE
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def vector_lookup_functions(real):
    """Return a namespace of ``locate``, ``cubic`` and what evaluates it, for the float type `real`."""
    of = vector_functions(real)
    vec, ints, bits, integer, mantissa = of.vec, of.ints, of.bits, of.integer, of.mantissa
    exponent_of_one = (127 if real is ti.f32 else 1023) << mantissa
    sign_and_exponent = -(1 << mantissa)
    mantissa_bits = (1 << mantissa) - 1
    # Coefficients of the cubics of the cells.
    Cubic = ti.types.struct(c0=vec, c1=vec, c2=vec, c3=vec)

    @ti.func
    def locate(s, table: ti.template()):
        """Cell, position in the cell in [0, 1), and d(position)/ds."""
        curve = ti.static(table.numbers)
        anchor = of.broadcast(curve[HEADER + 1])
        rate = of.broadcast(curve[HEADER + 2])
        first = ints(0) + ti.cast(curve[HEADER + 3], ti.i32)
        count = ints(0) + ti.cast(curve[HEADER + 4], ti.i32)
        resolution = bits(0) + ti.cast(curve[HEADER + 5], integer)
        for p in ti.static(range(1, table.pieces)):
            k = HEADER + PIECE * p
            below = s < curve[k - PIECE]
            anchor = ti.select(below, of.broadcast(curve[k + 1]), anchor)
            rate = ti.select(below, of.broadcast(curve[k + 2]), rate)
            first = ti.select(below, ints(0) + ti.cast(curve[k + 3], ti.i32), first)
            count = ti.select(below, ints(0) + ti.cast(curve[k + 4], ti.i32), count)
            resolution = ti.select(below, bits(0) + ti.cast(curve[k + 5], integer), resolution)
        v = of.lesser(of.greater(1.0 + (anchor - s) * rate, vec(0.5)), vec(LARGEST))
        representation = of.to_bits(v)
        index = of.narrowed((representation - integer(exponent_of_one)) >> (mantissa - resolution))
        index = ti.select(index > -1, index, ints(-1))
        cell = first + ti.select(index < count, index, count)
        # What is left of the mantissa, as the mantissa of a number in [1, 2).
        rest = (representation << resolution) & integer(mantissa_bits)
        t = of.from_bits(rest | integer(exponent_of_one)) - 1.0
        # 2^resolution over the octave of v, by its exponent alone.
        octave = representation & integer(sign_and_exponent)
        per_cell = (bits(2 * exponent_of_one) - octave) + (resolution << mantissa)
        return cell, t, (0.0 - rate) * of.from_bits(per_cell)

    @ti.func
    def cubic(table: ti.template(), cell):
        """Return the cubics of cells: a load of four numbers a lane, and a transposition."""
        result = Cubic()
        for lane in ti.static(range(of.lanes)):
            row = table.cells[cell[lane]]
            result.c0[lane] = row[0]
            result.c1[lane] = row[1]
            result.c2[lane] = row[2]
            result.c3[lane] = row[3]
        return result

    @ti.func
    def value(at: ti.template(), t):
        """Return a cubic at t."""
        return ((at.c3 * t + at.c2) * t + at.c1) * t + at.c0

    @ti.func
    def slope(at: ti.template(), t):
        """Return the derivative of a cubic at t."""
        return (3.0 * at.c3 * t + 2.0 * at.c2) * t + at.c1

    @ti.func
    def bend(at: ti.template(), t):
        """Return the second derivative of a cubic at t."""
        return 6.0 * at.c3 * t + 2.0 * at.c2

    return SimpleNamespace(locate=locate, cubic=cubic, value=value, slope=slope, bend=bend)
