"""Coverage: how the signed distance of a pixel to a triangle becomes a number in [0, 1]."""

from taichisoft.softness.coverage.base import Coverage
from taichisoft.softness.coverage.closed_form import ClosedForm
from taichisoft.softness.coverage.custom import CustomCoverage
from taichisoft.softness.coverage.extreme import GumbelMax, GumbelMin
from taichisoft.softness.coverage.finite import CubicHermite, Heaviside, Uniform, Wigner
from taichisoft.softness.coverage.mixture import Mixture
from taichisoft.softness.coverage.mlp import MLPCoverage
from taichisoft.softness.coverage.one_sided import (
    Exponential,
    ExponentialReversed,
    Gamma,
    GammaReversed,
    Levy,
    LevyReversed,
)
from taichisoft.softness.coverage.spline import MonotoneSpline
from taichisoft.softness.coverage.straight_through import StraightThrough
from taichisoft.softness.coverage.support import Support
from taichisoft.softness.coverage.symmetric import (
    Cauchy,
    Gaussian,
    Gudermannian,
    Laplace,
    Logistic,
    Reciprocal,
)

__all__ = [
    "Cauchy",
    "ClosedForm",
    "Coverage",
    "CubicHermite",
    "CustomCoverage",
    "Exponential",
    "ExponentialReversed",
    "Gamma",
    "GammaReversed",
    "Gaussian",
    "Gudermannian",
    "GumbelMax",
    "GumbelMin",
    "Heaviside",
    "Laplace",
    "Levy",
    "LevyReversed",
    "Logistic",
    "MLPCoverage",
    "Mixture",
    "MonotoneSpline",
    "Reciprocal",
    "StraightThrough",
    "Support",
    "Uniform",
    "Wigner",
]
