"""Fields that hold the fragments of a map: inputs, outputs, their gradients, and constants.

The maps: `COVERAGE` gives D of the loaded curve; `SHARES` gives D Z b_e, the weight of a face times its
perspective-correct barycentric coordinates; `COORDINATES` gives b_e alone.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti

COVERAGE = 0
SHARES = 1
COORDINATES = 2

# What is loaded: the inputs, with the gradient of the outputs, with the cotangents of the gradients.
VALUES = 0
FIRST = 1
SECOND = 2

# Fragments loaded at a time.
CAPACITY = 1 << 16


class Row:
    """Rows of the inputs: x, y, depth, inverse w of A, B, C; then numbers of the curves."""

    WIDTH = 12
    CELL = 13
    SLOPE_CELL = 17
    GAMMA = 21
    KEEP_CELL = 22
    FRONT = 26
    COUNT = 27


class Fixed:
    """Columns of the constants: what is decided when a fragment is loaded."""

    PX, PY, ON_LINE, AT_END, INSIDE, WINDING = range(6)
    S, T, RATE, WIDTH, SLOPE_T, SLOPE_RATE, U, KEEP_T, KEEP_RATE = range(6, 15)
    COUNT = 15


def corner_rows_of(kind):
    """Return the rows of the corners that a map depends on."""
    if kind == COVERAGE:
        return (0, 1, 4, 5)
    rows = range(Row.WIDTH)
    return tuple(rows) if kind == SHARES else tuple(row for row in rows if row % 4 != 2)


def differentiable_rows(real, count):
    """Return fields, one per row, that lie side by side for each fragment, and their gradients.

    A field that is read at the number of the fragment alone spares the reverse mode its atomic additions,
    which took five times as long (measured).
    """
    rows = tuple(ti.field(real, needs_grad=True) for _ in range(count))
    ti.root.dense(ti.i, CAPACITY).place(*rows)
    ti.root.dense(ti.i, CAPACITY).place(*(row.grad for row in rows))
    return rows


@cache
def fragment_fields(real, kind, straight):
    """Fields of a map for the float type `real`; `straight`: slopes have their own curve."""
    outputs = 1 if kind == COVERAGE else 3
    return SimpleNamespace(
        inputs=differentiable_rows(real, Row.COUNT),
        upstream=differentiable_rows(real, outputs),
        outputs=differentiable_rows(real, outputs),
        gradients=differentiable_rows(real, Row.COUNT),
        constants=ti.field(real, (CAPACITY, Fixed.COUNT)),
        # The cell of slopes without a gradient: a first derivative does not reach it.
        slope_coefficients=ti.field(real, (CAPACITY, 4)),
        edge_of=ti.field(ti.i32, CAPACITY),  # its code
        cell_of=ti.field(ti.i32, (CAPACITY, 3)),
    )
