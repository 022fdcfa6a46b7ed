"""Coverage: how the signed distance of a pixel to a triangle becomes a number in [0, 1]."""

from taichisoft.coverage.base import Coverage
from taichisoft.coverage.closed_form import ClosedForm
from taichisoft.coverage.custom import CustomCoverage
from taichisoft.coverage.extreme import GumbelMax, GumbelMin
from taichisoft.coverage.finite import CubicHermite, Heaviside, Uniform, Wigner
from taichisoft.coverage.mixture import Mixture
from taichisoft.coverage.mlp import MLPCoverage
from taichisoft.coverage.one_sided import (
    Exponential,
    ExponentialReversed,
    Gamma,
    GammaReversed,
    Levy,
    LevyReversed,
)
from taichisoft.coverage.spline import MonotoneSpline
from taichisoft.coverage.straight_through import StraightThrough
from taichisoft.coverage.support import Support
from taichisoft.coverage.symmetric import (
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
