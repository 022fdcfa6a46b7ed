"""Functions of one number that T-conorms are made of, exact in every digit where formulas cancel.

All are differentiable twice, with finite derivatives everywhere.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd import Function

from taichisoft.base.eager import eager_class
from taichisoft.base.transforms import transforming

# Results of powers stay between these, so that sums over faces and their derivatives fit float32.
TINY, HUGE = 1e-30, 1e30
# The complement of a coverage of 1 counts as this much: alpha still rounds to 1.
LEAST_COMPLEMENT = 1e-38
# Terms of the series below: enough for float64, second derivatives included, where they are used.
_TERMS = range(10)


@eager_class
class _OneMinusExp(Function):
    """``1 - exp(-x)`` with a derivative that does not cancel.

    torch takes the derivative of expm1 as its value plus 1, which cancels where alpha is nearly 1.
    """

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.neg(x).expm1_().neg_()

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return gradient * torch.exp(-x)
        # In place: at the size of an image, new memory costs more than the arithmetic.
        return torch.neg(x).exp_().mul_(gradient)


def one_minus_exp(x: Tensor) -> Tensor:
    """Return ``1 - exp(-x)``, exact in value and derivatives of any order for small and large x."""
    if not transforming():
        return _OneMinusExp.apply(x)
    # The same in functions that transforms know, with two masks more.
    small = x < 0.5
    near, far = torch.where(small, x, 0), torch.where(small, 0, x)
    return torch.where(small, -torch.expm1(-near), 1 - torch.exp(-far))


def optical_depth(coverage: Tensor) -> Tensor:
    """Return ``-log(1 - coverage)``, at most 87.5; the inverse of `one_minus_exp`."""
    small = coverage < 0.5
    near_zero = -torch.log1p(-torch.where(small, coverage, 0))
    return torch.where(small, near_zero, -torch.log((1 - coverage).clamp(min=LEAST_COMPLEMENT)))


def odds(coverage: Tensor) -> Tensor:
    """Return ``coverage / (1 - coverage)``, at most `HUGE`."""
    return coverage / (1 - coverage).clamp(min=1 / HUGE)


def power(base: Tensor, exponent: Tensor) -> Tensor:
    """Return ``base ** exponent`` for base >= 0 and exponent > 0, without unbounded slopes.

    A base up to `TINY` gives 0 with no gradient; results stop at `HUGE`.
    """
    usable = base > TINY
    logarithm = exponent * torch.log(torch.where(usable, base, 1))
    return torch.where(usable, logarithm.clamp(max=math.log(HUGE)).exp(), 0)


def mean_decay(a: Tensor) -> Tensor:
    """Return ``(1 - exp(-a)) / a``, the mean of exp(-a t) over t in [0, 1]; any sign, 1 at 0."""
    small = a.abs() < 1
    near = torch.where(small, a, 0)
    series = torch.exp(-near / 2) * _even_series(
        near / 2, [math.factorial(2 * k + 1) for k in _TERMS]
    )
    far = torch.where(small, 1, a)
    return torch.where(small, series, -torch.expm1(-far) / far)


def mean_inverse(z: Tensor) -> Tensor:
    """Return ``log(1 + z) / z``, the mean of 1 / (1 + z t) over t in [0, 1]; z > -1, 1 at 0."""
    small = z.abs() < 0.2
    near = torch.where(small, z, 0)
    # log(1 + z) = 2 atanh(z / (2 + z)), whose series converges fast.
    series = 2 / (2 + near) * _even_series(near / (2 + near), [2 * k + 1 for k in _TERMS])
    far = torch.where(small, 1, z)
    return torch.where(small, series, torch.log1p(far) / far)


def _even_series(x: Tensor, divisors: list[int]) -> Tensor:
    """Return the sum of ``x^(2 k) / divisors[k]``."""
    squared = x * x
    total = torch.full_like(x, 1 / divisors[-1])
    for divisor in reversed(divisors[:-1]):
        total = total * squared + 1 / divisor
    return total
