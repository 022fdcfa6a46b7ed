"""Coverages: all that the library exports, one line each."""

from taichisoft.softness.coverage.base import Coverage as Coverage
from taichisoft.softness.coverage.closed_form import ClosedForm as ClosedForm
from taichisoft.softness.coverage.custom import CustomCoverage as CustomCoverage
from taichisoft.softness.coverage.extreme import GumbelMax as GumbelMax
from taichisoft.softness.coverage.extreme import GumbelMin as GumbelMin
from taichisoft.softness.coverage.finite import CubicHermite as CubicHermite
from taichisoft.softness.coverage.finite import Heaviside as Heaviside
from taichisoft.softness.coverage.finite import Uniform as Uniform
from taichisoft.softness.coverage.finite import Wigner as Wigner
from taichisoft.softness.coverage.mixture import Mixture as Mixture
from taichisoft.softness.coverage.mlp import MLPCoverage as MLPCoverage
from taichisoft.softness.coverage.one_sided import Exponential as Exponential
from taichisoft.softness.coverage.one_sided import ExponentialReversed as ExponentialReversed
from taichisoft.softness.coverage.one_sided import Gamma as Gamma
from taichisoft.softness.coverage.one_sided import GammaReversed as GammaReversed
from taichisoft.softness.coverage.one_sided import Levy as Levy
from taichisoft.softness.coverage.one_sided import LevyReversed as LevyReversed
from taichisoft.softness.coverage.spline import MonotoneSpline as MonotoneSpline
from taichisoft.softness.coverage.straight_through import StraightThrough as StraightThrough
from taichisoft.softness.coverage.symmetric import Cauchy as Cauchy
from taichisoft.softness.coverage.symmetric import Gaussian as Gaussian
from taichisoft.softness.coverage.symmetric import Gudermannian as Gudermannian
from taichisoft.softness.coverage.symmetric import Laplace as Laplace
from taichisoft.softness.coverage.symmetric import Logistic as Logistic
from taichisoft.softness.coverage.symmetric import Reciprocal as Reciprocal
