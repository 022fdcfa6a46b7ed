"""The candidates of the published pose protocol, and what each may choose from.

Scales are in pixels of images of 64 x 64, unless they are said to be in half image heights, the unit of the
authors' program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks import joint
from meta.config.softness import scale_in_pixels
from meta.evaluation.baselines import BASELINES, Baseline
from meta.evaluation.candidates import Candidate, Choice, Grid
from meta.evaluation.measurements import OnStep
from meta.jobs.records import digest, plain_softness
from meta.learning.inner import InnerSettings, Trajectory
from meta.learning.method import rate_of
from taichisoft import (
    ExponentialAnnealing,
    GammaReversed,
    HeightFraction,
    MLPCoverage,
    MonotoneSpline,
    SoftRasterizer,
)
from taichisoft.softness.pretrained import load_from, names_in
from tasks.base import Task

IMAGE_SIZE = 64
# Every fixed function chooses among seven constant scales, and among seven annealed ones.
CONSTANT_SCALES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
ANNEALED_SCALES = (
    (1.0, 0.1),
    (1.0, 0.03),
    (1.0, 0.01),
    (0.3, 0.1),
    (0.3, 0.03),
    (0.3, 0.01),
    (0.1, 0.01),
)
# The published baseline goes from 1e-1 to 1e-7 half image heights, which is these in image heights. It is cut
# off where its coverage is 1e-4: at 7.6 scales instead of 15. The published program also cuts at
# ``sqrt(100 scale)`` half image heights, which is farther out.
PUBLISHED_SCALES = (0.5e-1, 0.5e-7)
# The published network is fed half image heights, and a face has no effect beyond a tenth of one: 3.2 pixels.
HALF_HEIGHT = 0.5
PUBLISHED_REACH = 0.1
JOINT_RATE = 0.03
# The spline has the same cut-off; it measures distances in quarters of it.
SPLINE_REACH = 4.0

Maker = Callable[[int], SoftRasterizer]


@dataclass(frozen=True)
class PoseChoice(Choice):
    """One softness of a candidate.

    Parameters
    ----------
    text : str
        What tells it from the other choices, for tables; it changes whenever the softness does.
    softness_rate : float
        See `PoseCandidate`.
    """

    text: str
    softness_rate: float


@dataclass(frozen=True, eq=False)
class PoseCandidate(Candidate):
    """A softness that takes part, with its settings to choose from.

    Parameters
    ----------
    makers : mapping of str to callable
        By the text of a choice, what makes its renderer from a seed.
    softness_rate : float
        Learning rate at which the softness follows the loss of the poses; 0: it stays as it is.
    seed : int
        Of what is random in the softness.
    """

    code = (joint,)

    makers: Mapping[str, Maker]
    softness_rate: float = 0.0
    seed: int = 0

    def choices(self, grid: Grid) -> list[PoseChoice]:
        """Return a choice for each maker, with its scale half-way and the rate learned with it."""
        (rate,) = grid.learning_rates
        choices = []
        for text, make in self.makers.items():
            renderer = make(self.seed)
            renderer.set_progress(0.5)
            scale, gamma = scale_in_pixels(renderer, IMAGE_SIZE), renderer.occlusion.gamma()
            # No problem is known here: a rate that follows the situation is that of the reference.
            own = rate_of(renderer.softness, 1.0) * rate
            choices.append(PoseChoice(scale, float(gamma), own, text, self.softness_rate))
        return choices

    def renderer(self, choice: PoseChoice) -> SoftRasterizer:
        """Return a new renderer, whose parameters need gradients if they are to follow the loss."""
        renderer = self.makers[choice.text](self.seed)
        return renderer if self.softness_rate else renderer.requires_grad_(False)

    def solve(
        self, task: Task, renderer: SoftRasterizer, settings: InnerSettings, on_step: OnStep
    ) -> Trajectory:
        """Solve the poses, and learn the softness with them if it has a rate."""
        if not self.softness_rate:
            return super().solve(task, renderer, settings, on_step)
        return joint.solve_jointly(
            task, renderer, settings, rate=self.softness_rate, on_step=on_step
        )

    def on_seed(self, choice: PoseChoice, seed: int) -> PoseCandidate:
        """Return the candidate with its choice made, for the poses of one seed."""
        makers = {choice.text: self.makers[choice.text]}
        return replace(self, key=f"{self.key}-{seed}", makers=makers, seed=seed)


def all_candidates(weights: Path) -> dict[str, PoseCandidate]:
    """Return all candidates by key, learned ones first; all with the probabilistic sum, as published.

    Parameters
    ----------
    weights : Path
        Folder of softness files, one candidate each.
    """
    candidates = [*_pretrained(weights), *_joint(), _published_baseline()]
    for key, baseline in BASELINES.items():
        candidates += _fixed(key, baseline)
    return {candidate.key: candidate for candidate in candidates}


def _fixed(key: str, baseline: Baseline) -> list[PoseCandidate]:
    """Return a fixed function at constant and at annealed scales."""
    coverage = baseline.coverage
    constant = {
        f"{scale:g} px": lambda seed, scale=scale: SoftRasterizer(coverage(scale))
        for scale in CONSTANT_SCALES
    }
    annealed = {
        "{:g} -> {:g} px".format(*ends): lambda seed, ends=ends: SoftRasterizer(
            coverage(ExponentialAnnealing(*ends))
        )
        for ends in ANNEALED_SCALES
    }
    return [
        PoseCandidate(key, baseline.label, constant),
        PoseCandidate(f"{key}-annealed", f"{baseline.label}, annealed", annealed),
    ]


def _pretrained(weights: Path) -> list[PoseCandidate]:
    candidates = []
    for name in names_in(weights):
        load = partial(load_from, weights, name)
        # What is written in a file about its training may change without the softness.
        text = f"softness {digest(plain_softness(load()))[:12]}"
        maker = {text: lambda seed, load=load: SoftRasterizer(softness=load())}
        candidates.append(PoseCandidate(f"pretrained-{name}", f"Learned: {name}", maker))
    return candidates


def _joint() -> list[PoseCandidate]:
    """Return the published network, and our spline with the same cut-off."""
    scale = HALF_HEIGHT * PUBLISHED_REACH / SPLINE_REACH
    network = {"weights start in [0, 1], cut-off 3.2 px": _published_network}
    spline = {
        "starts as a logistic curve, cut-off 3.2 px": lambda seed: SoftRasterizer(
            MonotoneSpline(HeightFraction(scale), reach=SPLINE_REACH)
        )
    }
    return [
        PoseCandidate("joint-mlp", "Network learned with the poses", network, JOINT_RATE),
        PoseCandidate("joint-spline", "Spline learned with the poses", spline, JOINT_RATE),
    ]


def _published_network(seed: int) -> SoftRasterizer:
    coverage = MLPCoverage(HeightFraction(HALF_HEIGHT), reach=PUBLISHED_REACH, biases=False)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in coverage.parameters():
            drawn = torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.copy_(drawn)
    return SoftRasterizer(coverage)


def _published_baseline() -> PoseCandidate:
    def make(seed: int) -> SoftRasterizer:
        scale = ExponentialAnnealing(*map(HeightFraction, PUBLISHED_SCALES))
        return SoftRasterizer(GammaReversed(scale, shape=0.5))

    label = "Gamma 0.5 reversed, published schedule"
    return PoseCandidate("gamma-published", label, {"1e-1 -> 1e-7 half heights": make})
