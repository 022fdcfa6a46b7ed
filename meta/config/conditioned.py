"""A softness whose numbers follow the situation of a scene, made of one whose numbers do not."""

from __future__ import annotations

from torch import nn

from taichisoft import (
    ConditionedPositive,
    ConditionedReal,
    LearnedAnnealing,
    Positive,
    Real,
    Softness,
)
from taichisoft.softness.parameters import Number

KINDS: dict[type[Number], type[Number]] = {Positive: ConditionedPositive, Real: ConditionedReal}
"""Numbers that follow the situation, by those that do not."""


def follow_situation(softness: Softness) -> None:
    """Replace the numbers of a softness that can be learned by ones that follow the situation.

    Their weights are parameters and 0, so that it is the same in every situation until they are learned. What
    is fixed stays so, but for the length that a `LearnedAnnealing` multiplies: that is learned then. Numbers
    that follow the situation already are left as they are.
    """
    made: dict[nn.Module, nn.Module] = {}
    for parent in list(softness.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and _can_follow(softness, child):
                # One number in two places stays one.
                made.setdefault(child, _following(child))
                parent.register_module(name, made[child])


def _can_follow(softness: Softness, module: nn.Module) -> bool:
    if type(module) not in KINDS:
        return False
    scale = softness.coverage.scale
    is_start = isinstance(scale, LearnedAnnealing) and module in scale.start.modules()
    return is_start or any(True for _ in module.parameters())


def _following(number: Number) -> Number:
    """Return a learned number of the same value that follows the situation."""
    made = KINDS[type(number)](number.plain(), learn=True)
    made.load_state_dict(number.state_dict(), strict=False)
    return made
