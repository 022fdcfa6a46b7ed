"""Vector registers as a type: kernels whose vectors stay whole down to the instructions of the processor.

Taichi takes vectors apart into numbers, and hopes that LLVM puts them together again. With its option
``real_matrix_scalarize`` off they stay as they are. Then some operations on them abort the compiler (1.7.4):
unary minus, conversions between integers and floating-point numbers, ``bit_cast``, ``exp``, ``log``, ``abs``,
``rsqrt``, ``pow``. Their replacements are here, lane by lane, which LLVM makes one instruction of, or by
arithmetic.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.arithmetic import greater, lesser

# Of a register of 256 bits; wider ones bring less than they cost in lanes that are not needed.
REGISTER_BITS = 256
OPTION = "real_matrix_scalarize"
OPTIMISATION = "advanced_optimization"
# Of Taichi's optimisation: the elimination of common subexpressions; 0 or 1.
COMMON = "opt_level"
REORDERING = "fast_math"


def has_vectors() -> bool:
    """Return whether this version of Taichi can keep vectors whole."""
    return hasattr(ti.lang.impl.current_cfg(), OPTION)


@contextmanager
def _switched_off(*names: str) -> Iterator[None]:
    """Compile without some options meanwhile."""
    config = ti.lang.impl.current_cfg()
    before = {name: getattr(config, name) for name in names}
    for name, value in before.items():
        setattr(config, name, type(value)(0))
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)


def whole_vectors() -> AbstractContextManager:
    """Keep vectors whole in what is compiled meanwhile, and leave common subexpressions to LLVM.

    To find them takes Taichi longer than all its other passes over the kernels of a silhouette
    (`ti.profiler.print_scoped_profiler_info` shows it). LLVM finds most of them in any case.
    """
    return _switched_off(OPTION, COMMON)


def whole_vectors_of_llvm() -> AbstractContextManager:
    """Keep vectors whole in what is compiled meanwhile, and leave optimising to LLVM.

    Taichi's own optimisation takes up to a minute for a large kernel, where LLVM takes some seconds with or
    without it and the kernel is as fast (measured).
    """
    return _switched_off(OPTION, OPTIMISATION)


def whole_vectors_in_order() -> AbstractContextManager:
    """Do the same, and take products in the order in which they are written.

    Else they may overflow on the way, where a large and a small number are among the factors.
    """
    return _switched_off(OPTION, OPTIMISATION, REORDERING)


def lanes_of(real) -> int:
    """Return how many numbers of a float type a register holds."""
    return REGISTER_BITS // (32 if real is ti.f32 else 64)


@cache
def vector_functions(real):
    """Return a namespace of vector types and device functions for the float type `real`."""
    lanes = lanes_of(real)
    integer, mantissa = (ti.i32, 23) if real is ti.f32 else (ti.i64, 52)
    bias = 127 if real is ti.f32 else 1023
    vec = ti.types.vector(lanes, real)
    ints = ti.types.vector(lanes, ti.i32)
    bits = ti.types.vector(lanes, integer)
    # Beyond, parts of exp(-v) are too small to be told from 0.
    most = 80.0 if real is ti.f32 else 700.0
    ln2 = math.log(2)
    # Of the series of exp.
    degree = 7 if real is ti.f32 else 13
    # Of the series of the logarithm.
    terms = 6 if real is ti.f32 else 12

    @ti.func
    def broadcast(number):
        """Return a vector of equal numbers."""
        return vec(0.0) + number

    @ti.func
    def to_ints(v):
        """Convert to int32, towards zero."""
        result = ints(0)
        for lane in ti.static(range(lanes)):
            result[lane] = ti.cast(v[lane], ti.i32)
        return result

    @ti.func
    def to_reals(v):
        """Convert integers to floating-point numbers."""
        result = vec(0.0)
        for lane in ti.static(range(lanes)):
            result[lane] = ti.cast(v[lane], real)
        return result

    @ti.func
    def to_bits(v):
        """Return the representation of floating-point numbers."""
        result = bits(0)
        for lane in ti.static(range(lanes)):
            result[lane] = ti.bit_cast(v[lane], integer)
        return result

    @ti.func
    def from_bits(v):
        """Return the floating-point numbers of a representation."""
        result = vec(0.0)
        for lane in ti.static(range(lanes)):
            result[lane] = ti.bit_cast(v[lane], real)
        return result

    @ti.func
    def narrowed(v):
        """Convert integers as wide as the floating-point numbers to int32."""
        result = ints(0)
        for lane in ti.static(range(lanes)):
            result[lane] = ti.cast(v[lane], ti.i32)
        return result

    @ti.func
    def integers(v):
        """Convert to integers as wide as the floating-point numbers, towards zero."""
        result = bits(0)
        for lane in ti.static(range(lanes)):
            result[lane] = ti.cast(v[lane], integer)
        return result

    @ti.func
    def exp_and_rest(v):
        """Return ``exp(-v)`` and ``1 - exp(-v)`` for v >= 0.

        The first to 4 + v units in the last place, the second to 4: v = -(n ln 2 + r), and ``exp(r) - 1`` by
        its series. (To take ln 2 in two parts, after Cody and Waite, the compiler undoes: it may reorder.) Of
        numbers beyond `most` they are those of `most`.
        """
        x = 0.0 - lesser(v, vec(real(most)))
        n = ti.floor(x * real(1 / ln2) + 0.5)
        r = x - n * real(ln2)
        # Horner's scheme of the series.
        q = vec(1.0)
        for k in ti.static(range(degree, 1, -1)):
            q = q * r * real(1.0 / k) + 1.0
        q = q * r
        power = from_bits((integers(n) + bias) << mantissa)
        passed = power + power * q
        # The compiler may reorder sums: a small rest must not be left to one of larger numbers.
        return passed, ti.select(n > -0.5, 0.0 - q, 1.0 - passed)

    @ti.func
    def log(v):
        """Return the logarithm of normal numbers above 0, to 4 units in the last place.

        Of the mantissa m in [0.7, 1.4] it is ``2 artanh((m - 1) / (m + 1))``, by its series.
        """
        number = to_bits(v)
        exponents = (number >> mantissa) - bias
        m = from_bits((number & integer((1 << mantissa) - 1)) | integer(bias << mantissa))
        n = to_reals(exponents)
        large = m > real(2**0.5)
        m = ti.select(large, m * 0.5, m)
        n = ti.select(large, n + 1.0, n)
        s = (m - 1.0) / (m + 1.0)
        squared = s * s
        q = vec(real(1 / (2 * terms + 1)))
        for k in ti.static(range(terms - 1, -1, -1)):
            q = q * squared + real(1 / (2 * k + 1))
        return n * real(ln2) + 2.0 * s * q

    return SimpleNamespace(
        lanes=lanes,
        vec=vec,
        ints=ints,
        bits=bits,
        integer=integer,
        mantissa=mantissa,
        lesser=lesser,
        greater=greater,
        broadcast=broadcast,
        to_ints=to_ints,
        to_reals=to_reals,
        to_bits=to_bits,
        from_bits=from_bits,
        narrowed=narrowed,
        exp_and_rest=exp_and_rest,
        log=log,
    )
