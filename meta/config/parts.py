"""Kinds of coverage, scale, aggregation and occlusion, by the names that settings have for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taichisoft import (
    AczelAlsina,
    Aggregation,
    AnnealedPositive,
    BoundedSum,
    Cauchy,
    Coverage,
    CubicHermite,
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
    Pixels,
    Positive,
    Probabilistic,
    Real,
    Scale,
    Uniform,
    Yager,
)
from taichisoft.softness.occlusion.base import DepthWidth

MakeCoverage = Callable[[Scale | float, float, int], Coverage]


def _closed_form(cls: Callable[..., Coverage]) -> MakeCoverage:
    return lambda scale, shift, seed: cls(scale, shift=Real(shift, learn=True))


def _mixture(scale: Scale | float, shift: float, seed: int) -> Mixture:
    """Return a mixture of symmetric and one-sided, compact, exponential and heavy tails."""

    def part(cls: Callable[..., Coverage], **options: float) -> Coverage:
        return cls(Pixels(1.0, learn=True), shift=Real(shift, learn=True), **options)

    shapes = (Gaussian, Logistic, Uniform, ExponentialReversed)
    # Cauchy's usual cut-off at 50 scales would make every render slow.
    return Mixture([*map(part, shapes), part(Cauchy, reach=8.0)], scale)


COVERAGES: dict[str, MakeCoverage] = {
    "spline": lambda scale, shift, seed: MonotoneSpline(scale),
    "mlp": lambda scale, shift, seed: MLPCoverage(scale, seed=seed),
    "mixture": _mixture,
    "gaussian": _closed_form(Gaussian),
    "logistic": _closed_form(Logistic),
    "exponential": _closed_form(ExponentialReversed),
    "uniform": _closed_form(Uniform),
}
"""Coverages: from a scale, a shift in scales, and a seed for weights."""

SCHEDULES: dict[str, Callable[[float, float], Scale]] = {
    "constant": lambda start, end: Pixels(start, learn=True),
    "exponential": lambda start, end: ExponentialAnnealing(
        Pixels(start, learn=True), Pixels(end, learn=True)
    ),
    # The factors of the course can do all that a learned start could.
    "free": lambda start, end: LearnedAnnealing(Pixels(start)),
}
"""Scales over the steps: from its first and last length in pixels."""

AGGREGATIONS: dict[str, Callable[[Positive], Aggregation]] = {
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

GAMMA_SCHEDULES: dict[str, Callable[[float, float], DepthWidth]] = {
    "constant": lambda start, end: Positive(start, learn=True),
    "exponential": lambda start, end: AnnealedPositive(
        Positive(start, learn=True), Positive(end, learn=True)
    ),
}
"""Gammas over the steps: from its first and last value."""

GAMMA_UNITS: dict[str, Callable[[DepthWidth], DepthWidth | DepthFraction]] = {
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
"""What can be learned: how the names of its parameters begin, of which the longest beginning counts."""
