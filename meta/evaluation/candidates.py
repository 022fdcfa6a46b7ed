"""Candidates of an evaluation: fixed softnesses with settings to choose, and learned ones.

Every fixed one has as many settings to choose from as any other. Their aggregation and occlusion are the
usual ones, the probabilistic sum and the softmax over depth; a learned one brings its own.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import ClassVar

from meta.config.softness import scale_in_pixels
from meta.evaluation.baselines import BASELINES
from meta.evaluation.measurements import OnStep, solve_unmeasured
from meta.learning.inner import InnerSettings, Trajectory
from meta.learning.method import usual_situation
from meta.learning.settings import TrainSettings
from taichisoft import (
    Coverage,
    DepthSoftmax,
    ExponentialAnnealing,
    Gaussian,
    Heaviside,
    Probabilistic,
    Scale,
    Situation,
    Softness,
    SoftRasterizer,
    StraightThrough,
)
from tasks.base import Task, TaskFamily

# The key of the softness of a run.
LEARNED = "learned"
# An annealed scale falls by this factor in all.
ANNEALING_RATIO = 10.0


@dataclass(frozen=True)
class Choice:
    """Settings that are found on training problems.

    Parameters
    ----------
    scale : float
        Of the coverage, in pixels; of an annealed one, half-way (the geometric mean of its ends).
    gamma : float
        Of the occlusion, in scene units.
    learning_rate : float
        Of the inner Adam.
    """

    scale: float
    gamma: float
    learning_rate: float


@dataclass(frozen=True)
class Grid:
    """What there is to choose from.

    Parameters
    ----------
    scales, gammas, learning_rates : tuple of float
        Values of each; one of each makes a choice.
    """

    scales: tuple[float, ...]
    gammas: tuple[float, ...]
    learning_rates: tuple[float, ...]

    def choices(self) -> list[Choice]:
        """Return all choices."""
        return [
            Choice(scale, gamma, rate)
            for scale in self.scales
            for gamma in self.gammas
            for rate in self.learning_rates
        ]


@dataclass(frozen=True)
class Candidate(ABC):
    """A softness that takes part.

    Parameters
    ----------
    key, label : str
        Its name in files, and in tables and legends.

    Raises
    ------
    ValueError
        The key has other characters than small letters, digits and hyphens.
    """

    code: ClassVar[tuple[ModuleType, ...]] = ()
    """Modules with which it solves, if it overrides `solve`: its records depend on them."""

    key: str
    label: str

    def __post_init__(self):
        if not re.fullmatch("[a-z0-9-]+", self.key):
            raise ValueError(f"key must be of small letters, digits and hyphens, got {self.key!r}")

    @abstractmethod
    def choices(self, grid: Grid) -> list[Choice]:
        """Return what it may choose from; of equally good ones the first is taken."""

    @abstractmethod
    def renderer(self, choice: Choice) -> SoftRasterizer:
        """Return a new renderer for a choice, whose parameters need no gradient."""

    def solve(
        self, task: Task, renderer: SoftRasterizer, settings: InnerSettings, on_step: OnStep
    ) -> Trajectory:
        """Solve a batch of problems with such a renderer, see `meta.evaluation.measurements.measure`."""
        return solve_unmeasured(task, renderer, settings, on_step)


@dataclass(frozen=True)
class Fixed(Candidate):
    """A coverage that is not learned; it chooses scale, gamma and learning rate.

    Parameters
    ----------
    coverage : callable
        Makes the coverage from a scale. Of the top level of a module, so that it can be pickled.
    schedule : callable
        Makes the scale from its length in pixels.
    """

    coverage: Callable[[Scale | float], Coverage]
    schedule: Callable[[float], Scale | float]

    def choices(self, grid: Grid) -> list[Choice]:
        """Return the whole grid."""
        return grid.choices()

    def renderer(self, choice: Choice) -> SoftRasterizer:
        """Return this coverage with the usual aggregation and occlusion."""
        coverage = self.coverage(self.schedule(choice.scale))
        made = SoftRasterizer(coverage, Probabilistic(), DepthSoftmax(choice.gamma))
        return made.requires_grad_(False)


@dataclass(frozen=True)
class Learned(Candidate):
    """A softness from a file; it has nothing to choose.

    To choose it a rate would cost it more than it gains: a handful of problems cannot tell rates apart.

    Parameters
    ----------
    path : Path
        The file.
    image_height : int
        Height in pixels of the images, for saying what its scale is.
    learning_rate : float
        Of the inner Adam: that under which it was learned, or which was learned with it.
    on_train : bool
        Whether it is evaluated on training problems as well, if any softness is: one that was learned from
        other problems need not be.
    situation : Situation
        What it is said to be like in, if it follows any; problems have their own.
    """

    path: Path
    image_height: int
    learning_rate: float
    on_train: bool = True
    situation: Situation = field(default_factory=Situation)

    @classmethod
    def of_file(
        cls,
        key: str,
        label: str,
        path: Path,
        problems: TrainSettings,
        family: TaskFamily,
        *,
        on_train: bool = True,
    ) -> Learned:
        """Return the softness of a file on problems as in a run, at the rate that was learned with it.

        Raises
        ------
        FileNotFoundError, TypeError, ValueError
            The file is missing or damaged.
        """
        softness = Softness.load(path)
        rate = problems.inner.of(family, softness).learning_rate
        situation = usual_situation(family) if softness.is_conditioned else Situation()
        return cls(key, label, path, problems.image_size, rate, on_train, situation)

    def choices(self, grid: Grid) -> list[Choice]:
        """Return its own rate alone, with its scale and gamma half-way."""
        renderer = self._load()
        renderer.set_progress(0.5)
        scale = scale_in_pixels(renderer, self.image_height)
        gamma = float(renderer.occlusion.gamma())
        return [Choice(scale, gamma, self.learning_rate)]

    def renderer(self, choice: Choice) -> SoftRasterizer:
        """Return the softness of the file."""
        return self._load()

    def _load(self) -> SoftRasterizer:
        renderer = SoftRasterizer(softness=Softness.load(self.path))
        renderer.set_situation(self.situation)
        return renderer


def constant(scale: float) -> float:
    """Return a scale that stays: the number itself."""
    return scale


def annealed(scale: float) -> ExponentialAnnealing:
    """Return a scale that falls tenfold over the steps and is the given one half-way."""
    factor = ANNEALING_RATIO**0.5
    return ExponentialAnnealing(scale * factor, scale / factor)


def straight_through(scale: Scale | float) -> StraightThrough:
    """Return a step with the slope of a Gaussian: a hard image that has a gradient."""
    return StraightThrough(Heaviside(), Gaussian(1.0), scale)


def _all_fixed() -> dict[str, Fixed]:
    found = [Fixed(key, base.label, base.coverage, constant) for key, base in BASELINES.items()]
    found += [
        Fixed(f"{key}-annealed", f"{base.label}, annealed", base.coverage, annealed)
        for key, base in BASELINES.items()
    ]
    label = "Straight-through: step, Gaussian slope"
    found.append(Fixed("straight-through", label, straight_through, constant))
    return {candidate.key: candidate for candidate in found}


FIXED: MappingProxyType[str, Fixed] = MappingProxyType(_all_fixed())
"""The fixed candidates by their names on the command line."""
