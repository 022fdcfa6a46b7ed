"""Every coverage function that is tested: how it is made and what it must equal.

A new function is one entry of `FAMILIES`, or of `OTHERS` if it is no closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import scipy.stats
import torch
from torch import nn

from taichisoft.softness import coverage as tc
from taichisoft.softness.coverage.closed_form import ClosedForm
from taichisoft.softness.parameters import Real
from taichisoft.softness.scale import Pixels, Scale

Exact = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Family:
    """A closed form, of which plain, squared and shifted members are made.

    Parameters
    ----------
    kind : callable
        Its class, with its parameters but those common to all.
    exact : callable
        Its cumulative distribution function, NumPy float64.
    tabulation : float
        Largest error that its tables may make in coverage and in alpha, about twice what was measured.
    symmetric : bool
        Whether ``F(-x) = 1 - F(x)``.
    """

    kind: Callable[..., ClosedForm]
    exact: Exact
    tabulation: float
    symmetric: bool = False


@dataclass(frozen=True)
class Case:
    """A coverage function.

    Parameters
    ----------
    make : callable
        Makes it with a scale.
    tabulation : float
        Largest error that its tables may make in coverage and in alpha, about twice what was measured.
    exact : callable, optional
        Its values as a function of the distance in scales, NumPy float64, if they are known.
    symmetric : bool
        Whether ``F(-s) = 1 - F(s)``.
    monotone : bool
        Whether it is monotone and anchored at 0 and 1 by construction.
    """

    make: Callable[[float | Scale], tc.Coverage]
    tabulation: float
    exact: Exact | None = None
    symmetric: bool = False
    monotone: bool = True


def _reversed(cdf_of_rest: Exact) -> Exact:
    return lambda x: cdf_of_rest(-x)


def _without_overflow(cdf: Exact) -> Exact:
    # These are 0 or 1 to all digits long before 500.
    return lambda x: cdf(np.clip(x, -500, 500))


def _cubic(x: np.ndarray) -> np.ndarray:
    y = np.clip((x + 1) / 2, 0, 1)
    return y**2 * (3 - 2 * y)


FAMILIES: dict[str, Family] = {
    "uniform": Family(tc.Uniform, scipy.stats.uniform(-1, 2).cdf, 1.5e-8, symmetric=True),
    "cubic_hermite": Family(tc.CubicHermite, _cubic, 3e-8, symmetric=True),
    "wigner": Family(tc.Wigner, scipy.stats.semicircular.cdf, 1.6e-8, symmetric=True),
    "gaussian": Family(tc.Gaussian, scipy.stats.norm.cdf, 3.6e-11, symmetric=True),
    "laplace": Family(tc.Laplace, scipy.stats.laplace.cdf, 1.2e-8, symmetric=True),
    "logistic": Family(tc.Logistic, scipy.stats.logistic.cdf, 1.6e-10, symmetric=True),
    "gudermannian": Family(
        tc.Gudermannian, _without_overflow(scipy.stats.hypsecant.cdf), 5e-10, symmetric=True
    ),
    "cauchy": Family(tc.Cauchy, scipy.stats.cauchy.cdf, 1e-7, symmetric=True),
    "reciprocal": Family(
        tc.Reciprocal, lambda x: 0.5 + x / (2 + 2 * np.abs(x)), 8e-8, symmetric=True
    ),
    "gumbel_max": Family(tc.GumbelMax, _without_overflow(scipy.stats.gumbel_r.cdf), 3.4e-10),
    "gumbel_min": Family(tc.GumbelMin, _without_overflow(scipy.stats.gumbel_l.cdf), 1e-10),
    "exponential": Family(tc.Exponential, scipy.stats.expon.cdf, 1.6e-10),
    "exponential_reversed": Family(tc.ExponentialReversed, _reversed(scipy.stats.expon.sf), 7e-8),
    "gamma_half": Family(partial(tc.Gamma, shape=0.5), scipy.stats.gamma(0.5).cdf, 2.2e-7),
    "gamma_one": Family(partial(tc.Gamma, shape=1.0), scipy.stats.gamma(1.0).cdf, 1.6e-10),
    "gamma_two": Family(partial(tc.Gamma, shape=2.0), scipy.stats.gamma(2.0).cdf, 2e-9),
    "gamma_reversed_half": Family(
        partial(tc.GammaReversed, shape=0.5), _reversed(scipy.stats.gamma(0.5).sf), 2.2e-7
    ),
    "gamma_reversed_one": Family(
        partial(tc.GammaReversed, shape=1.0), _reversed(scipy.stats.gamma(1.0).sf), 7e-8
    ),
    "gamma_reversed_two": Family(
        partial(tc.GammaReversed, shape=2.0), _reversed(scipy.stats.gamma(2.0).sf), 2.4e-7
    ),
    "gamma_reversed_ten": Family(
        partial(tc.GammaReversed, shape=10.0), _reversed(scipy.stats.gamma(10.0).sf), 2e-11
    ),
    "levy": Family(tc.Levy, scipy.stats.levy.cdf, 5e-8),
    "levy_reversed": Family(tc.LevyReversed, _reversed(scipy.stats.levy.sf), 1.6e-7),
}
# How the members of a family differ: prefix of the name, whether squared, (initial) shift.
VARIANTS = (
    ("", False, 0.0),
    ("squared_", True, 0.0),
    ("shifted_", False, 0.3),
    ("moved_", True, -0.7),
)


def _member(family: Family, squared: bool, shift: float) -> Case:
    def make(scale: float | Scale) -> ClosedForm:
        return family.kind(scale, squared=squared, shift=Real(shift, learn=True) if shift else 0.0)

    def exact(s: np.ndarray) -> np.ndarray:
        return family.exact((s * np.abs(s) if squared else s) - shift)

    return Case(make, family.tabulation, exact, symmetric=family.symmetric and not shift)


@torch.no_grad()
def curved_mlp(scale: float | Scale, seed: int, **options) -> tc.MLPCoverage:
    """Return a network with a curved rise, whatever its default start is."""
    coverage = tc.MLPCoverage(scale, **options)
    generator = torch.Generator().manual_seed(seed)
    for layer, gain in zip(coverage.layers, (0.5, 0.35, 0.35, 0.35, 1.5), strict=True):
        noise = torch.rand(layer.weight.shape, generator=generator, dtype=torch.float64)
        layer.weight.copy_(gain * (0.6 + 0.8 * noise))
        if layer.bias is not None:
            noise = torch.rand(layer.bias.shape, generator=generator, dtype=torch.float64)
            layer.bias.copy_(0.2 * noise)
    return coverage


@torch.no_grad()
def with_random_weights(coverage: tc.Coverage, size: float, seed: int) -> tc.Coverage:
    """Fill all parameters but the scale with normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in coverage.named_parameters():
        if not name.startswith("scale"):
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.copy_(size * noise)
    return coverage


@torch.no_grad()
def small_network() -> nn.Sequential:
    """Return a module of a user, from one number in a column to one in a column."""
    layers = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1), nn.Sigmoid())
    layers[0].weight.copy_(torch.tensor([[0.6], [0.9], [1.3]]))
    layers[0].bias.copy_(torch.tensor([0.2, -0.3, 0.1]))
    layers[2].weight.copy_(torch.tensor([[1.5, 1.0, 2.0]]))
    layers[2].bias.fill_(-0.4)
    return layers.double()


def every_closed_form() -> list[ClosedForm]:
    """Return the step and the plain member of every family, their widths relative to a mixture's scale."""
    return [tc.Heaviside(), *(family.kind() for family in FAMILIES.values())]


def _smooth_mixture(scale: float | Scale) -> tc.Mixture:
    components = [tc.Gaussian(Pixels(0.8, learn=True)), tc.Logistic(), tc.Laplace()]
    return tc.Mixture(components, scale, weights=[0.5, 0.3, 0.2])


def _mixture_with_steps(scale: float | Scale) -> tc.Mixture:
    components = [
        tc.Heaviside(),
        tc.Uniform(Pixels(0.5, learn=True), shift=Real(0.2, learn=True)),
        tc.GammaReversed(shape=0.5),
        tc.Gaussian(0.3),
    ]
    return tc.Mixture(components, scale, weights=[0.1, 0.3, 0.3, 0.3])


OTHERS: dict[str, Case] = {
    "heaviside": Case(lambda scale: tc.Heaviside(), 0.0, lambda s: np.where(s >= 0, 1.0, 0.0)),
    "mlp": Case(partial(curved_mlp, seed=3), 8e-9, monotone=False),
    "mlp_without_biases": Case(
        partial(curved_mlp, seed=0, biases=False, reach=2.5), 1.8e-8, symmetric=True, monotone=False
    ),
    "spline": Case(partial(tc.MonotoneSpline, knots=7), 1.5e-10),
    "random_spline": Case(
        lambda scale: with_random_weights(tc.MonotoneSpline(scale), 2.0, 1), 4.5e-9
    ),
    "smooth_mixture": Case(_smooth_mixture, 1.8e-9),
    "mixture_with_steps": Case(_mixture_with_steps, 5e-8),
    "mixture_of_all": Case(lambda scale: tc.Mixture(every_closed_form(), scale), 8e-9),
    "custom": Case(lambda scale: tc.CustomCoverage(small_network(), scale), 1.2e-9, monotone=False),
}

CASES: dict[str, Case] = OTHERS | {
    prefix + name: _member(family, squared, shift)
    for name, family in FAMILIES.items()
    for prefix, squared, shift in VARIANTS
}


@cache
def made(name: str) -> tc.Coverage:
    """Return a coverage by name with a learned scale of one pixel; shared, so not to be changed."""
    return CASES[name].make(Pixels(1.0, learn=True))


def numbers(*values: float) -> torch.Tensor:
    """Return numbers as a float64 tensor."""
    return torch.tensor(values, dtype=torch.float64)


def special(name: str) -> torch.Tensor:
    """Return where a function is not smooth, or where its domain ends."""
    domain = made(name).domain()
    return numbers(domain.low, domain.high, *domain.kinks, *(at for at, _ in domain.graded))
