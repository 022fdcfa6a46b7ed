"""Device functions that read a tabulated curve.

A curve is a function of one number ``s`` that is constant above ``high``, zero below
``high - span`` and piecewise cubic between. Its cells are numbered from the top: cell 0 is the
constant top, cells 1..N the polynomials, cell N + 1 the zero below. The kernel therefore needs no
branch: it clamps one coordinate and reads four coefficients.

The coordinate is ``x = 1 + y a / (1 + y g)`` with ``y = high - s``: uniform cells for ``g = 0``,
cells that shrink towards ``high`` for ``g > 0`` (for curves that are singular there).

Parameters of a curve, as an array of 5: ``inv_scale, high, a, g, N`` (see `taichisoft.table`).
"""

from functools import cache

from taichisoft.kernels.arithmetic import clip, greater
from taichisoft.kernels.shim import ti

PARAMETERS = 5


@cache
def lookup_functions(real):
    """Return the device functions ``locate``, ``value`` and ``slope`` for the float type `real`."""

    @ti.func
    def locate(s, high, a, g, last):
        """Cell, position in the cell in [0, 1), and d(position)/ds."""
        y = high - s
        shrink = 1 / (1 + greater(y, real(0.0)) * g)
        x = clip(1 + y * a * shrink, real(0.0), last + real(1.5))
        cell = ti.cast(x, ti.i32)
        return cell, x - ti.cast(cell, real), -a * shrink * shrink

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
