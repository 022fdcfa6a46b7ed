"""The zoo of compositing front to back: a small cover of coverages, T-conorms, orders and widths."""

from __future__ import annotations

from collections.abc import Callable

import taichisoft as ts
from tests.helpers import learned
from tests.zoo.aggregation import CASES as CONORMS
from tests.zoo.coverage import CASES as CURVES
from tests.zoo.coverage import curved_mlp, with_random_weights


def layered(
    coverage: str = "gaussian",
    aggregation: str = "probabilistic",
    order: ts.Coverage | None = None,
    gamma: float | ts.Positive | ts.DepthFraction | None = None,
    *,
    scale: float = 1.2,
    background: float = 0.25,
) -> ts.SoftRasterizer:
    """Return a renderer all of whose softness is learned."""
    gamma = ts.DepthFraction(ts.Positive(0.2, learn=True)) if gamma is None else gamma
    return ts.SoftRasterizer(
        CURVES[coverage].make(learned(scale)),
        CONORMS[aggregation].make(),
        ts.FrontToBack(order, gamma),
        background=background,
    )


def units(gamma: float) -> ts.Positive:
    """Return a learned width of the order in scene units."""
    return ts.Positive(gamma, learn=True)


# Every kind of coverage and T-conorm, and every kind of order, at least once.
LAYERED: dict[str, Callable[[], ts.SoftRasterizer]] = {
    "default": layered,
    "hard": lambda: layered(order=ts.Heaviside()),
    "logistic": lambda: layered("logistic", "einstein", ts.Logistic(), units(0.3)),
    "uniform bounded": lambda: layered("uniform", "yager_1", ts.Uniform(), units(0.5)),
    "yager": lambda: layered("squared_logistic", "yager_3", ts.Gaussian()),
    "frank": lambda: layered("cauchy", "frank_100", ts.Exponential(), units(0.2)),
    "frank hard": lambda: layered("gaussian", "frank_100", ts.Heaviside()),
    "hamacher": lambda: layered("shifted_exponential", "hamacher_10", ts.Laplace(shift=-0.3)),
    "aczel_alsina": lambda: layered("moved_wigner", "aczel_alsina_3", ts.Gudermannian()),
    "dombi": lambda: layered("random_spline", "dombi_3", ts.MonotoneSpline()),
    "schweizer_sklar": lambda: layered("mlp", "schweizer_sklar_-1", ts.Cauchy(), units(0.1)),
    "monotone": lambda: layered(
        "smooth_mixture",
        "monotone_random",
        with_random_weights(ts.MonotoneSpline(), 1.0, 4),
        units(0.4),
    ),
    "mlp order": lambda: layered("mixture_with_steps", order=curved_mlp(1.0, 3)),
    "asymmetric": lambda: layered(order=ts.GumbelMax(), gamma=units(0.4)),
    "max": lambda: layered(aggregation="max"),
    "max soft": lambda: layered("logistic", "max", ts.Logistic(), units(0.3)),
    "max hard": lambda: layered("logistic", "max", ts.Heaviside()),
    "heaviside": lambda: layered("heaviside"),
    "heaviside max": lambda: layered("heaviside", "max", ts.Heaviside()),
}
