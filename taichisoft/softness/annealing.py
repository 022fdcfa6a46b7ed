"""Annealed scales: usable wherever fixed ones are, they follow the progress of an optimisation.

A wide softness sees far, a narrow one finds the exact place. Whoever runs the optimisation says how far it
is: ``for step in renderer.anneal(steps)``, or ``renderer.set_progress(k / (steps - 1))`` before step k.

A constant schedule is `Pixels` or `HeightFraction`. Numbers that follow the progress in the same way, as a
gamma, are in `taichisoft.softness.courses`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_integer, check_type
from taichisoft.softness.scale import ConstantScale, Scale, as_scale, check_progress

T = TypeVar("T")


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
        log_factor = between_knots(self.log_factor, self.progress, arithmetic_mean)
        return self.start.in_pixels(image_height) * log_factor.exp()


class PiecewiseAnnealing(Annealed):
    """Through lengths at equally spaced progresses, by the same factor every step between two of them.

    With two of them it is `ExponentialAnnealing`. Unlike `LearnedAnnealing`, which learns factors, it is made
    of lengths, each of which is fixed or learned.

    Parameters
    ----------
    knots : sequence of float or ConstantScale
        At least two: the lengths at progress 0, ..., 1, equally spaced; a number is a fixed length in pixels.
        One that has no part at a progress has a gradient of 0 there.

    Raises
    ------
    TypeError, ValueError
        `knots` is no list or tuple of these, or has fewer than two.
    """

    knots: Sequence[ConstantScale]

    def __init__(self, knots: Sequence[float | ConstantScale]):
        super().__init__()
        scales = [as_scale(*knot, ConstantScale) for knot in named_knots(knots)]
        self.knots = cast("Sequence[ConstantScale]", nn.ModuleList(scales))

    @property
    def unit(self) -> str:
        """The unit of all lengths, or each one's in order."""
        units = [knot.unit for knot in self.knots]
        return units[0] if len(set(units)) == 1 else ", ".join(units)

    def in_pixels(self, image_height: int) -> Tensor:
        """Return the length in pixels at the current progress, a scalar float64 tensor."""
        lengths = torch.stack([knot.in_pixels(image_height) for knot in self.knots])
        return between_knots(lengths, self.progress, geometric_mean)


def named_knots(knots: Sequence[T]) -> list[tuple[T, str]]:
    """Return two or more knots with their names in messages; TypeError or ValueError if they are not."""
    check_type(knots, "knots", (list, tuple, nn.ModuleList))
    if len(knots) < 2:
        raise ValueError(f"knots must hold at least 2 numbers, got {len(knots)}")
    return [(knot, f"knots[{index}]") for index, knot in enumerate(knots)]


def between_knots(
    values: Tensor, progress: float, mean: Callable[[Tensor, Tensor, float], Tensor]
) -> Tensor:
    """Return the value at a progress between the two nearest of equally spaced ones.

    Parameters
    ----------
    values : Tensor, (K,)
        At progress 0, ..., 1; at least two. Those that have no part in the result get a gradient of 0.
    progress : float
        From 0 to 1.
    mean : callable
        Of two values and the weight of the second one, exactly these at 0 and 1.
    """
    place = progress * (len(values) - 1)
    first = min(int(place), len(values) - 2)
    return mean(values[first], values[first + 1], place - first)


def geometric_mean(start: Tensor, end: Tensor, progress: float) -> Tensor:
    """Return the weighted geometric mean, exactly `start` at 0 and `end` at 1."""
    return start ** (1 - progress) * end**progress


def arithmetic_mean(start: Tensor, end: Tensor, progress: float) -> Tensor:
    """Return the weighted arithmetic mean, exactly `start` at 0 and `end` at 1."""
    return (1 - progress) * start + progress * end
