"""Coverage: how the signed distance of a pixel to a triangle becomes a number in [0, 1]."""

from taichisoft.coverage.base import Coverage
from taichisoft.coverage.closed_form import (
    ClosedForm,
    ExponentialReversed,
    GammaReversed,
    Gaussian,
    Heaviside,
    Logistic,
    Uniform,
)
from taichisoft.coverage.mlp import MLPCoverage
from taichisoft.coverage.spline import MonotoneSpline

__all__ = [
    "ClosedForm",
    "Coverage",
    "ExponentialReversed",
    "GammaReversed",
    "Gaussian",
    "Heaviside",
    "Logistic",
    "MLPCoverage",
    "MonotoneSpline",
    "Uniform",
]
