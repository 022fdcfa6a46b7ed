"""Kinds of coverage, scale, aggregation and occlusion, by the names that settings have for them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from meta.config.imported import imported, is_import_path
from taichisoft import (
    AczelAlsina,
    Aggregation,
    AnnealedPositive,
    BoundedSum,
    Cauchy,
    Coverage,
    CubicHermite,
    CustomCoverage,
    DepthFraction,
    DepthSoftmax,
    Dombi,
    Einstein,
    ExponentialAnnealing,
    ExponentialReversed,
    Frank,
    FrontToBack,
    Gaussian,
    Hamacher,
    HardOcclusion,
    Heaviside,
    LearnedAnnealing,
    Logistic,
    Max,
    Mixture,
    MLPCoverage,
    MLPOcclusion,
    MonotoneDepth,
    MonotoneGenerator,
    MonotoneSpline,
    Occlusion,
    PiecewiseAnnealing,
    PiecewisePositive,
    PiecewiseReal,
    Pixels,
    Positive,
    Probabilistic,
    Real,
    Scale,
    Uniform,
    Yager,
)
from taichisoft.softness.courses import PositiveOrCourse, RealOrCourse
from taichisoft.softness.scale import as_scale

MakeShift = Callable[[], RealOrCourse]
MakeCoverage = Callable[[Scale | float, MakeShift, int, float | None], Coverage]


def _closed_form(cls: Callable[..., Coverage]) -> MakeCoverage:
    return lambda scale, shift, seed, reach: cls(scale, shift=shift(), reach=reach)


def _mixture(scale: Scale | float, shift: MakeShift, seed: int, reach: float | None) -> Mixture:
    """Return a mixture of symmetric and one-sided, compact, exponential and heavy tails."""

    def part(cls: Callable[..., Coverage], **options: float) -> Coverage:
        return cls(Pixels(1.0, learn=True), shift=shift(), **options)

    shapes = (Gaussian, Logistic, Uniform, ExponentialReversed)
    # Cauchy's usual cut-off at 50 scales would make every render slow.
    return Mixture([*map(part, shapes), part(Cauchy, reach=8.0)], scale)


COVERAGES: dict[str, MakeCoverage] = {
    "spline": lambda scale, shift, seed, reach: MonotoneSpline(scale),
    "mlp": lambda scale, shift, seed, reach: MLPCoverage(scale, seed=seed),
    "mixture": _mixture,
    "gaussian": _closed_form(Gaussian),
    "logistic": _closed_form(Logistic),
    "exponential": _closed_form(ExponentialReversed),
    "uniform": _closed_form(Uniform),
}
"""Coverages: from a scale, what makes shifts in scales, a seed for weights, and where tails are cut."""


def coverage_of(name: str) -> MakeCoverage:
    """Return what makes the coverage of a name in `COVERAGES`, or of an import path."""
    return partial(_own, name) if is_import_path(name) else COVERAGES[name]


def _own(
    path: str, scale: Scale | float, shift: MakeShift, seed: int, reach: float | None
) -> Coverage:
    """Return a coverage of the user, or a module as one, with another scale."""
    # Weights that are drawn when it is made are those of the seed.
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        found = copy.deepcopy(imported(path, "coverage", nn.Module))
    made = found if isinstance(found, Coverage) else CustomCoverage(found)
    made.scale = as_scale(scale)
    return made


CLOSED_FORMS = ("gaussian", "logistic", "exponential", "uniform")
"""Those whose tails can be cut."""


def _evenly(start: float, end: float, knots: int) -> list[float]:
    """Return positive numbers from the first to the last, each by the same factor from the one before."""
    places = (knot / (knots - 1) for knot in range(knots))
    return [start ** (1 - place) * end**place for place in places]


SCHEDULES: dict[str, Callable[[float, float, int], Scale]] = {
    "constant": lambda start, end, knots: Pixels(start, learn=True),
    "exponential": lambda start, end, knots: ExponentialAnnealing(
        Pixels(start, learn=True), Pixels(end, learn=True)
    ),
    # The factors of the course can do all that a learned start could.
    "free": lambda start, end, knots: LearnedAnnealing(Pixels(start)),
    "knots": lambda start, end, knots: PiecewiseAnnealing(
        [Pixels(length, learn=True) for length in _evenly(start, end, knots)]
    ),
}
"""Scales over the steps: from its first and last length in pixels and a number of knots."""

SHIFT_SCHEDULES: dict[str, Callable[[float, int], RealOrCourse]] = {
    "constant": lambda shift, knots: Real(shift, learn=True),
    "knots": lambda shift, knots: PiecewiseReal([Real(shift, learn=True) for _ in range(knots)]),
}
"""Shifts over the steps: from a shift, the same at first all along, and a number of knots."""

AGGREGATION_SCHEDULES: dict[str, Callable[[float, int], PositiveOrCourse]] = {
    "constant": lambda p, knots: Positive(p, learn=True),
    "knots": lambda p, knots: PiecewisePositive([Positive(p, learn=True) for _ in range(knots)]),
}
"""Parameters of a T-conorm over the steps: as shifts."""

AGGREGATIONS: dict[str, Callable[[PositiveOrCourse], Aggregation]] = {
    "probabilistic": lambda p: Probabilistic(),
    "bounded": lambda p: BoundedSum(),
    "max": lambda p: Max(),
    "einstein": lambda p: Einstein(),
    "hamacher": Hamacher,
    "frank": Frank,
    "yager": Yager,
    "aczel-alsina": AczelAlsina,
    "dombi": Dombi,
    "generator": lambda p: MonotoneGenerator(),
}
"""T-conorms: from the parameter, which some do not have."""

GAMMA_SCHEDULES: dict[str, Callable[[float, float, int], PositiveOrCourse]] = {
    "constant": lambda start, end, knots: Positive(start, learn=True),
    "exponential": lambda start, end, knots: AnnealedPositive(
        Positive(start, learn=True), Positive(end, learn=True)
    ),
    "knots": lambda start, end, knots: PiecewisePositive(
        [Positive(gamma, learn=True) for gamma in _evenly(start, end, knots)]
    ),
}
"""Gammas over the steps: from its first and last value and a number of knots."""

GAMMA_UNITS: dict[str, Callable[[PositiveOrCourse], PositiveOrCourse | DepthFraction]] = {
    "scene": lambda gamma: gamma,
    "extent": DepthFraction,
}
"""What a gamma is counted in: scene units, or the extent in depth of what is drawn."""

ORDERS: dict[str, Callable[[int], Coverage]] = {
    "hermite": lambda seed: CubicHermite(),
    "logistic": lambda seed: Logistic(),
    "spline": lambda seed: MonotoneSpline(),
    "mlp": lambda seed: MLPCoverage(seed=seed),
    "hard": lambda seed: Heaviside(),
}
"""Orders of depths of an occlusion from front to back: from a seed for weights."""

OCCLUSIONS: dict[str, Callable[[Any, int, Coverage], Occlusion]] = {
    "softmax": lambda gamma, seed, order: DepthSoftmax(gamma),
    "spline": lambda gamma, seed, order: MonotoneDepth(gamma),
    "mlp": lambda gamma, seed, order: MLPOcclusion(gamma, seed=seed),
    "hard": lambda gamma, seed, order: HardOcclusion(gamma),
    "front_to_back": lambda gamma, seed, order: FrontToBack(order, gamma),
}
"""Occlusions: from gamma, a seed for weights and an order, which one alone has."""

LEARNABLE: dict[str, str] = {
    "coverage": "coverage.",
    "scale": "coverage.scale.",
    "aggregation": "aggregation.",
    "occlusion": "occlusion.",
    "gamma": "occlusion.gamma.",
}
"""What can be learned of a softness: how the names of its parameters begin, of which the longest counts."""

RATE = "rate"
"""What can be learned besides: a multiple of the inner learning rate."""
