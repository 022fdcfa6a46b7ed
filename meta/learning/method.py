"""How problems are solved: a softness, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from meta.config.parts import RATE
from taichisoft import ConditionedPositive, Positive, Situation, Softness, SoftRasterizer
from taichisoft.base.checks import check_number, check_type
from taichisoft.softness.parameters import as_positive
from tasks import Split
from tasks.base import TaskFamily

# Training problems whose situation is that of a family.
SEEN = 16


class Method(nn.Module):
    """A renderer, and a multiple of the learning rate: what meta-learning moves.

    Parameters
    ----------
    renderer : SoftRasterizer
        The softness.
    rate : Positive or float
        What the learning rate of the inner settings is multiplied with; a `Positive` may be learned.
        Default: 1, which changes nothing.
    """

    def __init__(self, renderer: SoftRasterizer, rate: Positive | float = 1.0):
        super().__init__()
        self.renderer = check_type(renderer, "renderer", SoftRasterizer)
        self.rate = as_positive(rate, "rate")

    def learned_rate(self, start: float) -> dict[str, float]:
        """Return the multiple of a family's own learning rate under the name `RATE`; empty if it is fixed.

        Parameters
        ----------
        start : float
            The multiple that the inner settings have already.
        """
        if not any(parameter.requires_grad for parameter in self.rate.parameters()):
            return {}
        return {RATE: start * self.rate.settings()["value"]}


def rate_of(softness: Softness, usual: float, family: TaskFamily | None = None) -> float:
    """Return the multiple of a family's own learning rate that a softness was learned with.

    Parameters
    ----------
    softness : Softness
        As a run saved it, or as it was merged from several: then its rate follows the situation.
    usual : float
        What it is if its file has none: that of the settings.
    family : TaskFamily, optional
        What is solved: the situation is that of some of its training problems. Default: the reference.

    Raises
    ------
    TypeError, ValueError
        The file has something else there than a positive number, or a rule for one.
    """
    found = softness.trained.get(RATE, usual)
    if not isinstance(found, Mapping):
        return check_number(found, f"trained {RATE}", above=0)
    rule = rate_rule(found)
    if family is not None:
        rule.set_situation(usual_situation(family))
    return check_number(float(rule().detach()), f"trained {RATE}", above=0)


def usual_situation(family: TaskFamily) -> Situation:
    """Return the situation of some training problems of a family, always the same ones."""
    return family.sample(0, SEEN, Split.TRAIN).situation()


def rate_rule(settings: Mapping[str, Any]) -> ConditionedPositive:
    """Return a rate that follows the situation from its settings in a file; ValueError if they are none."""
    try:
        return ConditionedPositive(**settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"trained {RATE} must be a number or a rule for one: {error}") from error
