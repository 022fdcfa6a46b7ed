"""Annealed scales and gammas: usable wherever fixed ones are, they follow the progress of an optimisation.

A wide softness sees far, a narrow one finds the exact place. Whoever runs the optimisation says how far it
is: ``for step in renderer.anneal(steps)``, or ``renderer.set_progress(k / (steps - 1))`` before step k.

A constant schedule is `Pixels` or `HeightFraction`.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_integer
from taichisoft.softness.parameters import Positive, as_positive
from taichisoft.softness.part import Part
from taichisoft.softness.scale import ConstantScale, Scale, as_scale, check_progress


class FollowsProgress(nn.Module):
    """What depends on the progress of an optimisation.

    The progress is the state of a run and not of a softness: it starts at 0, is copied with the module and
    is neither in its ``state_dict`` nor in a saved file.

    Attributes
    ----------
    progress : float
        From 0, before the first step, to 1, at the last.
    told : bool
        Whether the progress was ever set.
    """

    told: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.progress = 0.0

    def set_progress(self, progress: float) -> None:
        """Go to a progress from 0 to 1."""
        self.progress = check_progress(progress)
        self.told = True

    def extra_repr(self) -> str:
        """Return the progress."""
        return f"progress={self.progress:.4g}"


class Annealed(FollowsProgress, Scale):
    """A scale that depends on the progress of an optimisation."""


class TwoEnded(Annealed):
    """A scale that goes from one length to another. A subclass gives `between`.

    Parameters
    ----------
    start, end : float or ConstantScale
        The first and the last length; a number is a fixed length in pixels. Both may be learned.
    """

    def __init__(self, start: float | ConstantScale, end: float | ConstantScale):
        super().__init__()
        self.start = as_scale(start, "start", ConstantScale)
        self.end = as_scale(end, "end", ConstantScale)

    @abstractmethod
    def between(self, start: Tensor, end: Tensor, progress: float) -> Tensor:
        """Return the length at a progress between two lengths in pixels, exactly these at 0 and 1."""

    @property
    def unit(self) -> str:
        """The unit of both ends, or each one's."""
        start, end = self.start.unit, self.end.unit
        return start if start == end else f"{start} (start), {end} (end)"

    def in_pixels(self, image_height: int) -> Tensor:
        """Return the length in pixels at the current progress, a scalar float64 tensor."""
        start, end = self.start.in_pixels(image_height), self.end.in_pixels(image_height)
        return self.between(start, end, self.progress)


class ExponentialAnnealing(TwoEnded):
    """From one length to another by the same factor every step: ``start^(1 - p) end^p``."""

    def between(self, start: Tensor, end: Tensor, progress: float) -> Tensor:
        """Return the weighted geometric mean."""
        return geometric_mean(start, end, progress)


class AnnealedPositive(FollowsProgress, Part):
    """A positive number that goes from one value to another by the same factor every step: a gamma.

    Parameters
    ----------
    start, end : float or Positive
        The first and the last value; a number is fixed. Both may be learned.
    """

    def __init__(self, start: float | Positive, end: float | Positive):
        super().__init__()
        self.start = as_positive(start, "start")
        self.end = as_positive(end, "end")

    def forward(self) -> Tensor:
        """Return the value at the current progress, a float64 scalar tensor."""
        return geometric_mean(self.start(), self.end(), self.progress)


def geometric_mean(start: Tensor, end: Tensor, progress: float) -> Tensor:
    """Return the weighted geometric mean, exactly `start` at 0 and `end` at 1."""
    return start ** (1 - progress) * end**progress


class CosineAnnealing(TwoEnded):
    """From one length to another along half a cosine: slowly near both ends.

    ``w start + (1 - w) end`` with ``w = (1 + cos(pi p)) / 2``; the course that Loshchilov and Hutter (SGDR,
    ICLR 2017) use for learning rates.
    """

    def between(self, start: Tensor, end: Tensor, progress: float) -> Tensor:
        """Return the weighted arithmetic mean."""
        weight = (1 + math.cos(math.pi * progress)) / 2
        return weight * start + (1 - weight) * end


class LearnedAnnealing(Annealed):
    """A course that is learned: the logarithm of the length is piecewise linear in the progress.

    ``start exp(f(p))``, where f runs linearly between the knots; it is 0 everywhere at first, so that the
    scale starts as a constant.

    Parameters
    ----------
    start : float or ConstantScale
        The length that the factors apply to; a number is a fixed length in pixels. Learning it as well is
        allowed, though one more factor for all knots adds nothing that they cannot do.
    knots : int
        Number of equally spaced knots, those at progress 0 and 1 included; at least 2.

    Attributes
    ----------
    log_factor : Parameter, (knots,)
        Logarithm of the factor at each knot, float64; any values are valid.
    """

    def __init__(self, start: float | ConstantScale, knots: int = 4):
        super().__init__()
        self.start = as_scale(start, "start", ConstantScale)
        self.knots = check_integer(knots, "knots", minimum=2)
        self.log_factor = nn.Parameter(torch.zeros(self.knots, dtype=torch.float64))

    @property
    def unit(self) -> str:
        """The unit of the start."""
        return self.start.unit

    def in_pixels(self, image_height: int) -> Tensor:
        """Return the length in pixels at the current progress, a scalar float64 tensor."""
        place = self.progress * (self.knots - 1)
        knot = min(int(place), self.knots - 2)
        weight = place - knot
        log_factor = (1 - weight) * self.log_factor[knot] + weight * self.log_factor[knot + 1]
        return self.start.in_pixels(image_height) * log_factor.exp()
