"""A mixture of closed forms: a continuous space with every classical choice as a corner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_number, check_type
from taichisoft.softness.coverage.base import Coverage, relative_width
from taichisoft.softness.coverage.closed_form import ClosedForm
from taichisoft.softness.coverage.support import RESOLVED, UNIFORM_ENOUGH, Support
from taichisoft.softness.scale import Pixels, Scale
from taichisoft.softness.tables.domain import Domain

# A weight of 0 is kept as the logarithm of this, so that it can still be learned.
NO_WEIGHT = math.exp(-40.0)
# A step has no span; cells shrink to this part of the domain towards it.
LEAST_SPAN = 1 / 64
# How far from a step, in widths, the domain begins and ends: at its very end a step would be removed with the
# tail, or be seen from below.
AROUND_STEP = 1 / 64
# Ends of components this near to each other, as a part of them, are the same one.
ROUNDING = 1e-14


class Mixture(Coverage):
    """A convex combination of closed forms, ``sum_i w_i F_i(s / r_i)`` with the weights a softmax.

    Differentiable twice with respect to the distance, the weights, and the widths and shifts of the
    components that are learned. The cut-off is that of the component that reaches farthest.

    Parameters
    ----------
    components : sequence of ClosedForm
        Functions F_i. The scale of each must be a `Pixels`, which here means its width r_i relative to the
        scale of the mixture, and no pixels; its default of 1 is the same width.
    scale : float or Scale
        Scale of the mixture; a number is in pixels.
    weights : sequence of float, optional
        Initial weights w_i >= 0 with the sum 1. Default: all equal.
    learn : bool
        Whether the weights are learned.

    Attributes
    ----------
    logits : Parameter or buffer, (len(components),)
        Logarithms of the weights up to a constant, float64; any values are valid.
    """

    components: Sequence[ClosedForm]
    logits: Tensor

    def __init__(
        self,
        components: Sequence[ClosedForm],
        scale: float | Scale = 1.0,
        *,
        weights: Sequence[float] | None = None,
        learn: bool = True,
    ):
        super().__init__(scale)
        self.components = cast("Sequence[ClosedForm]", nn.ModuleList(_checked(components)))
        self.hold("logits", _logits(weights, len(self.components)), learn=learn)

    def weights(self) -> Tensor:
        """Return the weights of the components, a (len(components),) float64 tensor with the sum 1."""
        return torch.softmax(self.logits.double(), 0)

    def forward(self, s: Tensor) -> Tensor:
        """Return the coverage at signed distances `s` in scales of the mixture."""
        values = [
            f(s / relative_width(f)) * w
            for f, w in zip(self.components, self.weights(), strict=True)
        ]
        return torch.stack(values).sum(0)

    def low(self) -> Tensor:
        """Return the cut-off in scales, differentiable where it moves with the components."""
        begins = [(f.low() - _around(f.domain())) * relative_width(f) for f in self.components]
        return torch.stack(begins).min()

    def high(self) -> Tensor:
        """Return the upper end in scales, differentiable where it moves with the components."""
        high = self._farthest()
        # A domain may end a little lower, by less than a thousandth.
        return high + (self.domain().high - high).detach()

    def ends(self) -> Tensor:
        """Return the coverages at both ends; what starts or is full there is exactly 0 or 1."""
        at = torch.stack([self.low(), self.high()])
        low, high = at.tolist()
        values = []
        for f, w in zip(self.components, self.weights(), strict=True):
            width = relative_width(f)
            support = f.placed().stretched(float(width.detach()))
            known = at.new_tensor(
                [_reached(low, support.low), _reached(support.high, high)], dtype=torch.bool
            )
            values.append(torch.where(known, at.new_tensor([0.0, 1.0]), f(at / width)) * w)
        return torch.stack(values).sum(0)

    def _farthest(self) -> Tensor:
        ends = [(f.high() + _around(f.domain())) * relative_width(f) for f in self.components]
        return torch.stack(ends).max()

    def domain(self) -> Domain:
        """Return the union of the components' domains with all their special points."""
        extents = [_Extent(f) for f in self.components]
        low = float(self.low().detach())
        high = float(self._farthest().detach())
        kinks = tuple(kink for extent in extents for kink in extent.support.kinks)
        graded = tuple(point for extent in extents for point in extent.support.graded)
        graded += tuple(point for extent in extents for point in extent.ends(low, high))
        whole = Support(kinks=kinks, graded=graded)
        if graded or high - low > UNIFORM_ENOUGH * min(extent.length for extent in extents):
            for extent in extents:
                if not extent.ends(low, high):
                    whole = whole.with_rise(extent.centre, extent.length)
        return whole.domain(low, high)

    def settings(self) -> dict[str, Any]:
        """Return the constructor arguments that make an equal module, up to its exact weights."""
        return {
            "components": list(self.components),
            "scale": self.scale,
            "weights": self.weights().tolist(),
            "learn": isinstance(self.logits, nn.Parameter),
        }

    def extra_repr(self) -> str:
        """Return the current weights."""
        return "weights=" + ", ".join(f"{weight:.4g}" for weight in self.weights().tolist())


class _Extent:
    """Where a component varies, in scales of the mixture."""

    def __init__(self, component: ClosedForm):
        domain, width = component.domain(), float(relative_width(component).detach())
        self.length = min(component.rise(), domain.span) * width
        self.centre = component.centre() * width
        self.support = component.placed().stretched(width)

    def ends(self, low: float, high: float) -> tuple[tuple[float, float], ...]:
        """Return the ends of the support between low and high: slopes may jump there."""
        width = RESOLVED * (self.length or LEAST_SPAN * (high - low))
        return tuple((at, width) for at in (self.support.low, self.support.high) if low < at < high)


def _checked(components: Sequence[ClosedForm]) -> Sequence[ClosedForm]:
    check_type(components, "components", (list, tuple, nn.ModuleList))
    if not components:
        raise ValueError("components must hold at least one ClosedForm, got none")
    for index, component in enumerate(components):
        check_type(component, f"components[{index}]", ClosedForm)
        check_type(component.scale, f"components[{index}].scale", Pixels)
    return components


def _logits(weights: Sequence[float] | None, count: int) -> Tensor:
    if weights is None:
        return torch.zeros(count, dtype=torch.float64)
    check_type(weights, "weights", (list, tuple))
    if len(weights) != count:
        raise ValueError(f"weights must be {count} numbers, one per component, got {len(weights)}")
    numbers = [check_number(weight, f"weights[{i}]") for i, weight in enumerate(weights)]
    if min(numbers) < 0 or abs(sum(numbers) - 1) > 1e-6:
        raise ValueError(f"weights must be >= 0 and have the sum 1, got {numbers}")
    return torch.tensor(numbers, dtype=torch.float64).clamp(min=NO_WEIGHT).log()


def _around(domain: Domain) -> float:
    """Return how far beyond a component's domain that of the mixture extends."""
    return AROUND_STEP if domain.span == 0 else 0.0


def _reached(first: float, second: float) -> bool:
    """Return whether the first, if finite, is not above the second, but for rounding."""
    if not (math.isfinite(first) and math.isfinite(second)):
        return False
    return first <= second + ROUNDING * (abs(first) + abs(second))
