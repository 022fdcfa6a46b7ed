"""Minimum and maximum that compile to one instruction.

``ti.min`` promises to skip a NaN, which costs LLVM two more instructions per lane; no NaN reaches the
kernels, since inputs are checked. Measured: 10 % of the forward pass.
"""

from taichisoft.base.taichi import ti


@ti.func
def lesser(a, b):
    """Return the smaller of two numbers."""
    return ti.select(a < b, a, b)


@ti.func
def greater(a, b):
    """Return the larger of two numbers."""
    return ti.select(a > b, a, b)


@ti.func
def clip(x, low, high):
    """Return x limited to [low, high]."""
    return lesser(greater(x, low), high)
