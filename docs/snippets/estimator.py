from dataclasses import dataclass
from typing import ClassVar

import torch

from meta.config.settings import PositiveFloat
from meta.learning.gradients import MetaGradient, MetaGradientSettings, Slope
from meta.learning.gradients.point import Point
from meta.learning.method import Method
from meta.learning.objective import Objective, mean_outcome


class SimultaneousPerturbation(MetaGradient):
    """SPSA (Spall 1992): every parameter is moved by plus or minus sigma at the same time."""

    def __init__(self, sigma: float):
        self.sigma = sigma

    def estimate(self, objective: Objective, method: Method, generator: torch.Generator) -> Slope:
        """Return the estimate of one pair of evaluations."""
        point = Point(method)
        coins = torch.randint(0, 2, point.center.shape, generator=generator)
        signs = (2 * coins - 1).to(point.center)
        above, below = (
            objective.evaluate(point.moved(point.center + s * self.sigma * signs)) for s in (1, -1)
        )
        slope = (above.value - below.value) / (2 * self.sigma)
        # The reciprocal of a sign is that sign.
        return Slope(mean_outcome([above, below]), point.by_name(slope * signs))


@dataclass(frozen=True)
class SimultaneousPerturbationSettings(MetaGradientSettings):
    """SPSA, ``--gradient spsa``."""

    name: ClassVar[str] = "spsa"
    label: ClassVar[str] = "simultaneous perturbation"

    sigma: PositiveFloat = 0.1  # Size of the perturbation, ``--spsa.sigma``.

    def build(self, steps: int) -> SimultaneousPerturbation:
        """Return the estimator for trajectories of so many inner steps."""
        return SimultaneousPerturbation(self.sigma)
