"""Device functions that read a tabulated curve.

A curve is a function of one number ``s`` that is constant above its domain, zero below it and piecewise
cubic between. Its domain is divided into pieces (see `taichisoft.pieces`). In a piece,
``v = 1 + (anchor - s) rate`` starts at 1 and its floating-point representation *is* the cell and the
position in it: the exponent and the first bits of the mantissa number the cell, the rest is the position.
Before the first cell of a piece and behind its last one there is a row with a constant, so that clamping
the number of the cell is all that the ends need.

Parameters of a curve, as an array: ``1 / width, reach``, then per piece ``low, anchor, rate, first, count,
resolution``. The number of pieces is a compile-time constant, a power of two, since a loop over it would
keep LLVM from vectorising; smooth curves have one.
"""

from functools import cache

from taichisoft.kernels.arithmetic import clip
from taichisoft.kernels.shim import ti

HEADER = 2
PIECE = 6
# Exponents of v beyond this are of no cell.
LARGEST = 2.0**100


@cache
def lookup_functions(real):
    """Return the device functions ``locate``, ``value`` and ``slope`` for the float type `real`."""
    integer, mantissa = (ti.i32, 23) if real is ti.f32 else (ti.i64, 52)
    exponent_of_one = (127 if real is ti.f32 else 1023) << mantissa
    sign_and_exponent = -(1 << mantissa)

    @ti.func
    def locate(s, curve: ti.template(), pieces: ti.template()):
        """Cell, position in the cell in [0, 1), and d(position)/ds."""
        k = HEADER
        for p in ti.static(range(pieces - 1)):
            k += ti.select(s < curve[HEADER + PIECE * p], PIECE, 0)
        rate = curve[k + 2]
        resolution = ti.cast(curve[k + 5], integer)
        v = clip(1 + (curve[k + 1] - s) * rate, real(0.5), real(LARGEST))
        bits = ti.bit_cast(v, integer)
        shift = mantissa - resolution
        one = ti.cast(1, integer)
        index = (bits - integer(exponent_of_one)) >> shift
        rest = bits & ((one << shift) - one)
        per_cell = 1 / ti.cast(one << shift, real)
        octave = ti.bit_cast(bits & integer(sign_and_exponent), real)
        cell = ti.cast(curve[k + 3], ti.i32) + clip(
            ti.cast(index, ti.i32), -1, ti.cast(curve[k + 4], ti.i32)
        )
        by_s = -rate * ti.cast(one << resolution, real) / octave
        return cell, ti.cast(rest, real) * per_cell, by_s

    @ti.func
    def value(cells: ti.template(), cell, t):
        """Return the polynomial of a cell at t."""
        k = 4 * cell
        return ((cells[k + 3] * t + cells[k + 2]) * t + cells[k + 1]) * t + cells[k]

    @ti.func
    def slope(cells: ti.template(), cell, t):
        """Return the derivative of the polynomial of a cell with respect to t."""
        k = 4 * cell
        return (3 * cells[k + 3] * t + 2 * cells[k + 2]) * t + cells[k + 1]

    return locate, value, slope
