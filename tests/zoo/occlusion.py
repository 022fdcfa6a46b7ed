"""The zoo of occlusion: a factory takes gamma, a number, a `Positive`, or in `ORDERS` a `DepthFraction`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from taichisoft.softness.coverage import (
    Cauchy,
    Exponential,
    GammaReversed,
    Gaussian,
    GumbelMax,
    Heaviside,
    Logistic,
    Mixture,
    MLPCoverage,
    MonotoneSpline,
    Uniform,
)
from taichisoft.softness.occlusion import (
    DepthCurve,
    DepthSoftmax,
    FrontToBack,
    HardOcclusion,
    MLPOcclusion,
    MonotoneDepth,
    Occlusion,
    ReferenceDepth,
)

AnyOcclusion = TypeVar("AnyOcclusion", bound=Occlusion)


@torch.no_grad()
def randomised(occlusion: AnyOcclusion, size: float, seed: int) -> AnyOcclusion:
    """Return the occlusion function with noise added to all its weights but gamma."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in occlusion.named_parameters():
        if not name.startswith("gamma"):
            weight.add_(size * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    return occlusion


OCCLUSIONS: dict[str, Callable[..., ReferenceDepth]] = {
    "softmax": DepthSoftmax,
    "gaussian": lambda gamma: DepthCurve(Gaussian(), gamma),
    "squared_logistic": lambda gamma: DepthCurve(Logistic(squared=True), gamma),
    "uniform": lambda gamma: DepthCurve(Uniform(), gamma),
    "shifted_uniform": lambda gamma: DepthCurve(Uniform(shift=-1.5), gamma),
    "cauchy": lambda gamma: DepthCurve(Cauchy(), gamma),
    "gamma_reversed": lambda gamma: DepthCurve(GammaReversed(shape=2.0), gamma),
    "mixture": lambda gamma: DepthCurve(Mixture([Gaussian(), Logistic()]), gamma),
    "monotone": MonotoneDepth,
    "monotone_random": lambda gamma: randomised(MonotoneDepth(gamma, knots=7), 1.0, 3),
    "mlp": MLPOcclusion,
    "mlp_random": lambda gamma: randomised(MLPOcclusion(gamma, reach=3.0), 0.5, 5),
    "hard": HardOcclusion,
}

ORDERS: dict[str, Callable[..., FrontToBack]] = {
    "hermite": lambda gamma: FrontToBack(gamma=gamma),
    "hard": lambda gamma: FrontToBack(Heaviside(), gamma),
    "gaussian": lambda gamma: FrontToBack(Gaussian(), gamma),
    "logistic": lambda gamma: FrontToBack(Logistic(), gamma),
    "squared_logistic": lambda gamma: FrontToBack(Logistic(squared=True), gamma),
    "uniform": lambda gamma: FrontToBack(Uniform(), gamma),
    "shifted_uniform": lambda gamma: FrontToBack(Uniform(shift=0.5), gamma),
    "cauchy": lambda gamma: FrontToBack(Cauchy(), gamma),
    "gumbel": lambda gamma: FrontToBack(GumbelMax(), gamma),
    "one_sided": lambda gamma: FrontToBack(Exponential(), gamma),
    "mixture": lambda gamma: FrontToBack(Mixture([Gaussian(), Logistic()]), gamma),
    "step_in_a_mixture": lambda gamma: FrontToBack(Mixture([Heaviside(), Gaussian()]), gamma),
    "spline": lambda gamma: FrontToBack(MonotoneSpline(), gamma),
    "spline_random": lambda gamma: randomised(FrontToBack(MonotoneSpline(knots=7), gamma), 1.0, 3),
    "mlp": lambda gamma: FrontToBack(MLPCoverage(), gamma),
    "mlp_random": lambda gamma: randomised(FrontToBack(MLPCoverage(reach=3.0), gamma), 0.3, 4),
}
