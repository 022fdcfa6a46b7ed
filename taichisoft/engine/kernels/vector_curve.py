"""Device functions of a tabulated curve in whole vectors: twins of `taichisoft.engine.kernels.curve`."""

from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.curve import HEADER, PIECE
from taichisoft.engine.kernels.vectors import vector_functions


class LoadedTable(NamedTuple):
    """A table with its layout in registers."""

    pieces: Any
    numbers: Any
    cells: Any
    layout: Any  # of `layout_of`


class CellsAt(NamedTuple):
    """Cells that were written to memory, from which they are read one by one."""

    array: Any
    start: Any


class _Layouts(dict):
    """Structs of the pieces of a table, by their number; device functions may look up but not call."""

    def __init__(self, real, integer):
        super().__init__()
        self._types = (real, integer)

    def __missing__(self, pieces: int):
        # Taichi has no vectors of one number that stay whole.
        reals, integers = (ti.types.vector(max(pieces, 2), of) for of in self._types)
        self[pieces] = ti.types.struct(
            anchor=reals, rate=reals, limit=reals, low=reals, base=integers, resolution=integers
        )
        return self[pieces]


@cache
def vector_lookup_functions(real):
    """Return a namespace of device functions for the float type `real`.

    ``layout_of`` is called once, before the loops; ``locate`` and ``cubic`` find cells, which ``value``,
    ``slope`` and ``bend`` evaluate.
    """
    of = vector_functions(real)
    vec, bits, integer, mantissa = of.vec, of.bits, of.integer, of.mantissa
    exponent_of_one = (127 if real is ti.f32 else 1023) << mantissa
    sign_and_exponent = -(1 << mantissa)
    mantissa_bits = (1 << mantissa) - 1
    # Whether the coefficients of a cubic are kept in pairs.
    paired = of.lanes == 8
    # Coefficients of the cubics of cells: see `cubic`.
    Cubic = ti.types.struct(low=vec, high=vec, low2=vec, high2=vec)

    layouts = _Layouts(real, integer)

    @ti.func
    def layout_of(table: ti.template()):
        """Read the pieces of a table.

        Of each its anchor, its rate, the number that stands for the row behind its last cell, its lower end,
        what is added to the leading bits of a number for its cell, and its resolution.
        """
        curve = ti.static(table.numbers)
        layout = layouts[table.pieces]()
        for p in ti.static(range(table.pieces)):
            k = HEADER + PIECE * p
            resolution = ti.cast(curve[k + 5], integer)
            shift = mantissa - resolution
            count = ti.cast(curve[k + 4], integer)
            layout.low[p] = curve[k]
            layout.anchor[p] = curve[k + 1]
            layout.rate[p] = curve[k + 2]
            layout.limit[p] = ti.bit_cast(integer(exponent_of_one) + (count << shift), real)
            layout.base[p] = ti.cast(curve[k + 3], integer) - (integer(exponent_of_one) >> shift)
            layout.resolution[p] = resolution
        return layout

    @ti.func
    def locate(s, table: ti.template()):
        """Cell, position in the cell in [0, 1), and d(position)/ds; of a `LoadedTable`."""
        anchor = of.broadcast(table.layout.anchor[0])
        rate = of.broadcast(table.layout.rate[0])
        limit = of.broadcast(table.layout.limit[0])
        base = bits(0) + table.layout.base[0]
        resolution = bits(0) + table.layout.resolution[0]
        for p in ti.static(range(1, table.pieces)):
            below = s < table.layout.low[p - 1]
            anchor = ti.select(below, of.broadcast(table.layout.anchor[p]), anchor)
            rate = ti.select(below, of.broadcast(table.layout.rate[p]), rate)
            limit = ti.select(below, of.broadcast(table.layout.limit[p]), limit)
            base = ti.select(below, bits(0) + table.layout.base[p], base)
            resolution = ti.select(below, bits(0) + table.layout.resolution[p], resolution)
        # The largest number below 1 is of the row before the first cell.
        below_one = of.from_bits(bits(0) + integer(exponent_of_one - 1))
        v = of.lesser(of.greater(1.0 + (anchor - s) * rate, below_one), limit)
        number = of.to_bits(v)
        cell = of.narrowed((number >> (mantissa - resolution)) + base)
        # What is left of the mantissa, as the mantissa of a number in [1, 2).
        rest = ((number << resolution) & integer(mantissa_bits)) | integer(exponent_of_one)
        t = of.from_bits(rest) - 1.0
        # 2^resolution over the octave of v, by its exponent alone.
        octave = number & integer(sign_and_exponent)
        per_cell = (integer(2 * exponent_of_one) - octave) + (resolution << mantissa)
        dt = (0.0 - rate) * of.from_bits(per_cell)
        # Before the first cell the slope is 0, and an infinite product with it would be no number.
        return cell, t, ti.select(v < 1.0, vec(0.0), dt)

    @ti.func
    def cell_of(cells: ti.template(), lane: ti.template()):
        """Return a cell of a vector, or of `CellsAt`."""
        result = 0
        if ti.static(isinstance(cells, CellsAt)):
            result = cells.array[cells.start + lane]
        else:
            result = cells[lane]
        return result

    @ti.func
    def cubic(table: ti.template(), cell: ti.template()):
        """Return the cubics of cells, a load of four numbers a lane.

        In registers of eight the coefficients stay in pairs, which takes half of the shuffles of a
        transposition: ``low`` has the first two, ``high`` the last two of the lanes 0, 1, 4, 5, and ``low2``
        and ``high2`` those of the lanes 2, 3, 6, 7. Else the four are those of all lanes.
        """
        result = Cubic()
        for lane in ti.static(range(of.lanes)):
            row = table.cells[cell_of(cell, lane)]
            if ti.static(paired):
                at = ti.static(lane // 4 * 4 + 2 * (lane % 2))
                for k in ti.static(range(2)):
                    if ti.static(lane // 2 % 2 == 0):
                        result.low[at + k] = row[k]
                        result.high[at + k] = row[2 + k]
                    else:
                        result.low2[at + k] = row[k]
                        result.high2[at + k] = row[2 + k]
            else:
                result.low[lane] = row[0]
                result.low2[lane] = row[1]
                result.high[lane] = row[2]
                result.high2[lane] = row[3]
        return result

    @ti.func
    def doubled(v):
        """Return the number of each lane twice: of the lanes 0, 1, 4, 5 and of 2, 3, 6, 7."""
        a = vec(0.0)
        b = vec(0.0)
        for k in ti.static(range(of.lanes)):
            lane = ti.static(k // 4 * 4 + k % 4 // 2)
            a[k] = v[lane]
            b[k] = v[lane + 2]
        return a, b

    @ti.func
    def factors():
        """Return 2 and 3 in turn."""
        result = vec(2.0)
        for k in ti.static(range(1, of.lanes, 2)):
            result[k] = 3.0
        return result

    @ti.func
    def lanes_of(a, b):
        """Return both numbers of each lane, of pairs in the order of `doubled`."""
        even = vec(0.0)
        odd = vec(0.0)
        for lane in ti.static(range(of.lanes)):
            at = ti.static(lane // 4 * 4 + 2 * (lane % 2))
            even[lane] = (a if ti.static(lane // 2 % 2 == 0) else b)[at]
            odd[lane] = (a if ti.static(lane // 2 % 2 == 0) else b)[at + 1]
        return even, odd

    @ti.func
    def value(at: ti.template(), t):
        """Return cubics at t."""
        result = vec(0.0)
        if ti.static(paired):
            a, b = doubled(t * t)
            even, odd = lanes_of(at.low + at.high * a, at.low2 + at.high2 * b)
            result = even + odd * t
        else:
            result = ((at.high2 * t + at.high) * t + at.low2) * t + at.low
        return result

    @ti.func
    def slope(at: ti.template(), t):
        """Return the derivatives of cubics at t."""
        result = vec(0.0)
        if ti.static(paired):
            _, c1 = lanes_of(at.low, at.low2)
            even, odd = lanes_of(at.high * factors(), at.high2 * factors())
            result = (odd * t + even) * t + c1
        else:
            result = (3.0 * at.high2 * t + 2.0 * at.high) * t + at.low2
        return result

    @ti.func
    def bend(at: ti.template(), t):
        """Return the second derivatives of cubics at t."""
        result = vec(0.0)
        if ti.static(paired):
            even, odd = lanes_of(2.0 * at.high, 2.0 * at.high2)
            result = even + 3.0 * odd * t
        else:
            result = 6.0 * at.high2 * t + 2.0 * at.high
        return result

    return SimpleNamespace(
        layout_of=layout_of,
        locate=locate,
        cell_of=cell_of,
        cubic=cubic,
        value=value,
        slope=slope,
        bend=bend,
    )
