"""Gradients of compositing where alpha alone is passed one: those of coverage, without layers. Private."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.engine.bridge import Gradients, Needed, Tensors
from taichisoft.engine.coverage import CoveragePass
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.vector_coverage import VectorCoveragePass


def is_alone(upstream: Tensor) -> bool:
    """Return whether of the sums, (B, H, W, 3 + C), the first one alone, the total, is passed a gradient."""
    # As they lie in memory. Nearly always the sum of weights is passed one: it is looked at first.
    _, weights, *others = upstream.movedim(-1, 0)
    return not any(bool(plane.any()) for plane in (weights, *others))


def total_adjoint(
    coverage: CoveragePass | VectorCoveragePass,
    kept: Tensors,
    upstream: Tensor,
    inputs: Tensors,
    needed: Needed,
) -> Gradients:
    """Return the gradients of the inputs of compositing by the total.

    Parameters
    ----------
    coverage : CoveragePass or VectorCoveragePass
        Of the generator.
    kept : tuple of Tensor
        Of its forward pass; not read where faces compete.
    upstream : Tensor, (B, H, W, 3 + C)
        Of the sums.
    inputs, needed : tuple
        The fields of `CompositeInputs`, and what follows them, and which gradients are asked for.
    """
    names = CompositeInputs._fields
    of = [names.index(name) for name in ("points", "generator_cells", "generator_slopes", "width")]
    own = [inputs[i] for i in of]
    if coverage.takes_max:
        # Whose maxima they are.
        _, kept = coverage.values(*own)
    found = coverage.adjoint(upstream[..., 0], kept, tuple(own), tuple(needed[i] for i in of))
    gradients = [torch.zeros_like(x) if n else None for x, n in zip(inputs, needed, strict=True)]
    for i, gradient in zip(of, found, strict=True):
        gradients[i] = gradient
    return tuple(gradients)
