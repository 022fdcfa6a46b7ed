"""Device functions of a tabulated curve: cell of an argument, value, slope.

A curve is a function of one number ``s`` that is constant above its domain, zero below it and piecewise
cubic between. Its domain is divided into pieces (see `taichisoft.softness.tables.domain`). In a piece,
``v = 1 + (anchor - s) rate`` starts at 1 and its floating-point representation *is* the cell and the
position in it: the exponent and the first bits of the mantissa number the cell, the rest is the position.
Before the first cell of a piece and behind its last one there is a row with a constant, so that clamping
the number of the cell is all that the ends need.

The numbers of a curve, as an array: ``1 / width, reach``, then per piece ``low, anchor, rate, first, count,
resolution``. The number of pieces is a compile-time constant, a power of two, since a loop over it would
keep LLVM from vectorising; smooth curves have one. A table is a `taichisoft.engine.kernels.bundles.Table`.
"""

from functools import cache

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.arithmetic import clip

HEADER = 2
PIECE = 6
# Exponents of v beyond this are of no cell.
LARGEST = 2.0**100


@cache
def place_function(real):
    """Return the device function ``place`` for the float type `real`."""
    integer, mantissa = (ti.i32, 23) if real is ti.f32 else (ti.i64, 52)
    exponent_of_one = (127 if real is ti.f32 else 1023) << mantissa
    sign_and_exponent = -(1 << mantissa)
    mantissa_bits = (1 << mantissa) - 1

    @ti.func
    def place(s, anchor, rate, first, count, resolution):
        """Cell of a piece, position in the cell in [0, 1), and d(position)/ds."""
        v = clip(1 + (anchor - s) * rate, real(0.5), real(LARGEST))
        bits = ti.bit_cast(v, integer)
        shift = mantissa - resolution
        index = ti.cast((bits - integer(exponent_of_one)) >> shift, ti.i32)
        cell = first + clip(index, -1, count)
        # What is left of the mantissa, as the mantissa of a number in [1, 2).
        rest = ((bits << resolution) & integer(mantissa_bits)) | integer(exponent_of_one)
        t = ti.bit_cast(rest, real) - 1
        # 2^resolution over the octave of v, by its exponent alone.
        octave = bits & integer(sign_and_exponent)
        per_cell = integer(2 * exponent_of_one) - octave + (resolution << mantissa)
        dt = -rate * ti.bit_cast(per_cell, real)
        # Before the first cell the slope is 0, and an infinite product with it would be no number.
        return cell, t, ti.select(v < 1, real(0.0), dt)

    return place


@cache
def lookup_functions(real):
    """Return the device functions ``locate``, ``value`` and ``slope`` for the float type `real`."""
    integer = ti.i32 if real is ti.f32 else ti.i64
    place = place_function(real)

    @ti.func
    def locate(s, table: ti.template()):
        """Cell, position in the cell in [0, 1), and d(position)/ds."""
        curve = ti.static(table.numbers)
        anchor = curve[HEADER + 1]
        rate = curve[HEADER + 2]
        first = ti.cast(curve[HEADER + 3], ti.i32)
        count = ti.cast(curve[HEADER + 4], ti.i32)
        resolution = ti.cast(curve[HEADER + 5], integer)
        # Chosen among loop invariants: gathering them for each lane took half as long again (8 pieces).
        for p in ti.static(range(1, table.pieces)):
            k = HEADER + PIECE * p
            below = s < curve[k - PIECE]
            anchor = ti.select(below, curve[k + 1], anchor)
            rate = ti.select(below, curve[k + 2], rate)
            first = ti.select(below, ti.cast(curve[k + 3], ti.i32), first)
            count = ti.select(below, ti.cast(curve[k + 4], ti.i32), count)
            resolution = ti.select(below, ti.cast(curve[k + 5], integer), resolution)
        return place(s, anchor, rate, first, count, resolution)

    @ti.func
    def value(table: ti.template(), cell, t):
        """Return the polynomial of a cell at t."""
        cells = ti.static(table.cells)
        k = 4 * cell
        return ((cells[k + 3] * t + cells[k + 2]) * t + cells[k + 1]) * t + cells[k]

    @ti.func
    def slope(table: ti.template(), cell, t):
        """Return the derivative of the polynomial of a cell with respect to t."""
        cells = ti.static(table.cells)
        k = 4 * cell
        return (3 * cells[k + 3] * t + 2 * cells[k + 2]) * t + cells[k + 1]

    return locate, value, slope
