"""Which softnesses take part in the published pose protocol, and what each may choose from.

Scales are in pixels of images of 64 x 64, unless they are said to be in half image heights, the unit of the
authors' program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.joint import solve_jointly
from meta.evaluation.baselines import BASELINES, Baseline
from meta.jobs.records import digest, plain_softness
from meta.learning.inner import InnerSettings, Trajectory, solve
from taichisoft import (
    Coverage,
    ExponentialAnnealing,
    GammaReversed,
    HeightFraction,
    MLPCoverage,
    MonotoneSpline,
    SoftRasterizer,
)
from taichisoft.softness.pretrained import load_from, names_in
from tasks.base import Task

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
# The published baseline goes from 1e-1 to 1e-7 half image heights, which is these in image heights.
PUBLISHED_SCALES = (0.5e-1, 0.5e-7)
# The published network is fed half image heights, and a face has no effect beyond a tenth of one: 3.2 pixels.
HALF_HEIGHT = 0.5
PUBLISHED_REACH = 0.1
JOINT_RATE = 0.03
# The spline has the same cut-off; it measures distances in quarters of it.
SPLINE_REACH = 4.0

Solver = Callable[[Task, SoftRasterizer, InnerSettings], Trajectory]


@dataclass(frozen=True, eq=False)
class Choice:
    """One softness.

    Parameters
    ----------
    text : str
        What tells it from the other choices of its entry, for tables; it changes whenever the softness does.
    make : callable
        Makes the renderer from a seed.
    """

    text: str
    make: Callable[[int], SoftRasterizer]


@dataclass(frozen=True, eq=False)
class Entry:
    """A softness that takes part, with its settings to choose from.

    Parameters
    ----------
    key, label : str
        Its name on the command line and in files, and in tables.
    choices : tuple of Choice
        At least one; of several the best on problems with other seeds takes part.
    solver : callable
        How the problems are solved.
    """

    key: str
    label: str
    choices: tuple[Choice, ...]
    solver: Solver


def solve_frozen(task: Task, renderer: SoftRasterizer, settings: InnerSettings) -> Trajectory:
    """Solve the problems under a softness that does not change."""
    return solve(task, renderer.requires_grad_(False), settings)


def solve_learning(task: Task, renderer: SoftRasterizer, settings: InnerSettings) -> Trajectory:
    """Solve the problems while the softness is learned from them, at the published rate."""
    return solve_jointly(task, renderer, settings, rate=JOINT_RATE)


def all_entries(weights: Path) -> dict[str, Entry]:
    """Return all entries by key: learned ones first.

    Parameters
    ----------
    weights : Path
        Folder of softness files, one entry each.
    """
    entries = [*_pretrained(weights), *_joint(), _published_baseline()]
    for key, baseline in BASELINES.items():
        entries += [_constant(key, baseline), _annealed(key, baseline)]
    return {entry.key: entry for entry in entries}


def _pretrained(weights: Path) -> list[Entry]:
    return [
        Entry(f"pretrained-{name}", f"Learned: {name}", (_of_file(weights, name),), solve_frozen)
        for name in names_in(weights)
    ]


def _of_file(weights: Path, name: str) -> Choice:
    # What is written in a file about its training may change without the softness.
    known = digest(plain_softness(load_from(weights, name)))[:12]
    return Choice(
        f"softness {known}", lambda seed: SoftRasterizer(softness=load_from(weights, name))
    )


def _joint() -> list[Entry]:
    """Return the published network, and our spline with the same cut-off."""
    spline_scale = HALF_HEIGHT * PUBLISHED_REACH / SPLINE_REACH
    network = Choice("weights start in [0, 1], cut-off 3.2 px", _published_network)
    spline = Choice(
        "starts as a logistic curve, cut-off 3.2 px",
        lambda seed: _with(MonotoneSpline(HeightFraction(spline_scale), reach=SPLINE_REACH)),
    )
    return [
        Entry("joint-mlp", "Network learned with the poses", (network,), solve_learning),
        Entry("joint-spline", "Spline learned with the poses", (spline,), solve_learning),
    ]


def _published_network(seed: int) -> SoftRasterizer:
    coverage = MLPCoverage(HeightFraction(HALF_HEIGHT), reach=PUBLISHED_REACH, biases=False)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in coverage.parameters():
            drawn = torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.copy_(drawn)
    return _with(coverage)


def _published_baseline() -> Entry:
    """Return the published baseline, cut off where its coverage is 1e-4: at 7.6 scales instead of 15.

    The published program also cuts at ``sqrt(100 scale)`` half image heights, which is farther out.
    """
    first, last = PUBLISHED_SCALES
    choice = Choice(
        "1e-1 -> 1e-7 half heights",
        lambda seed: _with(
            GammaReversed(
                ExponentialAnnealing(HeightFraction(first), HeightFraction(last)), shape=0.5
            )
        ),
    )
    label = "Gamma 0.5 reversed, published schedule"
    return Entry("gamma-published", label, (choice,), solve_frozen)


def _constant(key: str, baseline: Baseline) -> Entry:
    choices = tuple(
        Choice(f"{scale:g} px", lambda seed, scale=scale: _with(baseline.coverage(scale)))
        for scale in CONSTANT_SCALES
    )
    return Entry(key, baseline.label, choices, solve_frozen)


def _annealed(key: str, baseline: Baseline) -> Entry:
    def choice(first: float, last: float) -> Choice:
        return Choice(
            f"{first:g} -> {last:g} px",
            lambda seed: _with(baseline.coverage(ExponentialAnnealing(first, last))),
        )

    choices = tuple(choice(*ends) for ends in ANNEALED_SCALES)
    return Entry(f"{key}-annealed", f"{baseline.label}, annealed", choices, solve_frozen)


def _with(coverage: Coverage) -> SoftRasterizer:
    """Return a renderer with the probabilistic sum, as in the published program."""
    return SoftRasterizer(coverage)
