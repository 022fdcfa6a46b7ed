"""Evolution strategies: the meta-gradient from forward trajectories alone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from meta.config.settings import Count, PositiveFloat
from meta.learning.gradients.base import MetaGradient, MetaGradientSettings
from meta.learning.gradients.estimate import Slope
from meta.learning.gradients.point import Point
from meta.learning.method import Method
from meta.learning.objective import Objective, Outcome, mean_outcome
from taichisoft.base.checks import check_integer, check_number


class Evolution(MetaGradient):
    """The gradient of the objective smoothed over a ball of parameters, from values alone.

    Values are all that is used, so any backend will do, and objectives without a derivative (hard images) as
    well. All values of an estimate are of the same problems.

    Parameters
    ----------
    sigma : float
        Size of the perturbation of each parameter, root mean square. It is the same absolute size for all
        of them; the weights of a softness are of order 1, and scales are kept as logarithms, so that it is
        a relative change of a scale.

    Notes
    -----
    After Salimans et al., "Evolution strategies as a scalable alternative to reinforcement learning"
    (2017), with directions that are orthogonal to each other as in Choromanski et al., "Structured
    evolution with compact architectures for scalable policy optimization" (ICML 2018): n of them then explore
    n dimensions.
    """

    def __init__(self, sigma: float):
        self.sigma = check_number(sigma, "sigma", above=0)

    def estimate(self, objective: Objective, method: Method, generator: torch.Generator) -> Slope:
        """Return the estimate; see `MetaGradient.estimate`."""
        point = Point(method)
        gradient, outcome = self.explore(objective, point, generator)
        return Slope(outcome, point.by_name(gradient))

    @abstractmethod
    def explore(
        self, objective: Objective, point: Point, generator: torch.Generator
    ) -> tuple[Tensor, Outcome]:
        """Return the gradient at the centre of a point, (D,) float64, and the outcome."""


class EvolutionStrategies(Evolution):
    """By antithetic pairs: ``g = sum_i (f(p + sigma e_i) - f(p - sigma e_i)) e_i / (2 n sigma)``.

    The pairs cancel every even order of the objective. With as many pairs as parameters the estimate of a
    linear or quadratic objective is exact.

    Parameters
    ----------
    sigma : float
        See `Evolution`.
    pairs : int
        Number n of pairs, at least 1; an estimate takes 2 n evaluations.

    Notes
    -----
    The outcome is the mean over all evaluations, that is of the smoothed objective; an evaluation at the
    parameters themselves would add to the cost and not to the gradient.
    """

    def __init__(self, sigma: float, pairs: int):
        super().__init__(sigma)
        self.pairs = check_integer(pairs, "pairs", minimum=1)

    def explore(
        self, objective: Objective, point: Point, generator: torch.Generator
    ) -> tuple[Tensor, Outcome]:
        """Return gradient and outcome; see `Evolution.explore`."""
        total, outcomes = torch.zeros_like(point.center), []
        for direction in directions(self.pairs, len(total), generator).to(total.device):
            step = self.sigma * direction
            pair = [objective.evaluate(point.moved(point.center + s * step)) for s in (1, -1)]
            total += (pair[0].value - pair[1].value) * direction
            outcomes += pair
        return total / (2 * self.pairs * self.sigma), mean_outcome(outcomes)


class OneSidedEvolution(Evolution):
    """The plain form: ``g = sum_i (f(p + sigma e_i) - f(p)) e_i / (n sigma)``.

    It has the expectation of antithetic pairs at nearly half of the cost, and adds the curvature of the
    objective to the noise. Without f(p), which changes no expectation, the noise would grow without bound as
    sigma shrinks.

    Parameters
    ----------
    sigma : float
        See `Evolution`.
    count : int
        Number n of directions, at least 1; an estimate takes n + 1 evaluations.

    Notes
    -----
    The outcome is that of the parameters themselves.
    """

    def __init__(self, sigma: float, count: int):
        super().__init__(sigma)
        self.count = check_integer(count, "count", minimum=1)

    def explore(
        self, objective: Objective, point: Point, generator: torch.Generator
    ) -> tuple[Tensor, Outcome]:
        """Return gradient and outcome; see `Evolution.explore`."""
        total, middle = (
            torch.zeros_like(point.center),
            objective.evaluate(point.moved(point.center)),
        )
        for direction in directions(self.count, len(total), generator).to(total.device):
            there = objective.evaluate(point.moved(point.center + self.sigma * direction))
            total += (there.value - middle.value) * direction
        return total / (self.count * self.sigma), middle


@dataclass(frozen=True)
class EvolutionSettings(MetaGradientSettings, ABC):
    """Evolution strategies."""

    sigma: PositiveFloat = 0.2  # Size of the perturbations.
    pairs: Count = 4  # Antithetic pairs of perturbations.


@dataclass(frozen=True)
class AntitheticSettings(EvolutionSettings):
    """Evolution strategies by antithetic pairs."""

    name: ClassVar[str] = "es"
    label: ClassVar[str] = "evolution, antithetic"

    def build(self, steps: int) -> EvolutionStrategies:
        """Return the estimator."""
        return EvolutionStrategies(self.sigma, self.pairs)


@dataclass(frozen=True)
class OneSidedSettings(EvolutionSettings):
    """Plain evolution strategies, with as many directions as pairs have evaluations: at about their cost."""

    name: ClassVar[str] = "es-plain"
    label: ClassVar[str] = "evolution, one-sided"

    def build(self, steps: int) -> OneSidedEvolution:
        """Return the estimator."""
        return OneSidedEvolution(self.sigma, 2 * self.pairs)


def directions(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Return random directions of length ``sqrt(size)``, (count, size) float64.

    Each set of up to `size` successive ones is orthogonal, uniformly rotated, so that the mean of their outer
    products is the identity in expectation.
    """
    blocks = []
    for start in range(0, count, size):
        kept = min(size, count - start)
        normal = torch.randn(size, size, generator=generator, dtype=torch.float64)
        rotation, triangle = torch.linalg.qr(normal)
        # Without these signs the rotations would not be uniform (Mezzadri 2007).
        rotation = rotation * torch.sign(torch.diagonal(triangle))
        blocks.append(math.sqrt(size) * rotation.mT[:kept])
    return torch.cat(blocks)
