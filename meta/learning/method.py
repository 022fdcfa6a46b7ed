"""How problems are solved: a softness, and how fast."""

from __future__ import annotations

from torch import nn

from meta.config.parts import RATE
from taichisoft import Positive, Softness, SoftRasterizer
from taichisoft.base.checks import check_number, check_type
from taichisoft.softness.parameters import as_positive


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


def rate_of(softness: Softness, usual: float) -> float:
    """Return the multiple of a family's own learning rate that a softness was learned with.

    Parameters
    ----------
    softness : Softness
        As a run saved it.
    usual : float
        What it is if its file has none: that of the settings.

    Raises
    ------
    TypeError, ValueError
        The file has something else there than a positive number.
    """
    return check_number(softness.trained.get(RATE, usual), f"trained {RATE}", above=0)
