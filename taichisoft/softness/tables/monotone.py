"""A monotone cubic through equally spaced knots."""

from __future__ import annotations

import torch
from torch import Tensor

# A table has cells of its own between any two knots: more would take it seconds.
MOST_KNOTS = 256


def monotone_cubic(x: Tensor, rises: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return a piecewise cubic that never falls.

    Slopes at inner knots are harmonic means of the neighbouring rises, which keeps each cubic monotone
    (Fritsch and Butland, "A method for constructing local monotone piecewise cubic interpolants", 1984).

    Parameters
    ----------
    x : Tensor
        Arguments of any shape: knot k is at k. Outside [0, K] the value of the nearer end counts.
    rises : Tensor
        (K,) increases from knot to knot, >= 0. The value at 0 is 0.
    first, last : Tensor
        Scalars: slopes at both ends, at most 3 times the first and the last rise.

    Returns
    -------
    Tensor
        Values of the shape of `x`, differentiable with respect to all arguments.
    """
    count = len(rises)
    value = torch.cat([rises.new_zeros(1), rises.cumsum(0)])
    both = rises[:-1] + rises[1:]
    # Extreme rises may vanish together; flat there, not 0 / 0.
    inner = 2 * rises[:-1] * rises[1:] / torch.where(both > 1e-150, both, 1)
    slope = torch.cat([first.reshape(1), inner, last.reshape(1)])
    x = x.clamp(0, count)
    k = x.detach().floor().clamp(0, count - 1).long()
    t = x - k
    m0, m1, rise = slope[k], slope[k + 1], rises[k]
    return value[k] + t * (m0 + t * ((3 * rise - 2 * m0 - m1) + t * (m0 + m1 - 2 * rise)))
