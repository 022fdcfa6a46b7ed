"""The zoo of occlusion functions: a factory takes gamma, a number or a `Positive`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from taichisoft.softness.coverage import Cauchy, GammaReversed, Gaussian, Logistic, Mixture, Uniform
from taichisoft.softness.occlusion import (
    DepthCurve,
    DepthSoftmax,
    HardOcclusion,
    MLPOcclusion,
    MonotoneDepth,
    Occlusion,
)


@torch.no_grad()
def randomised(occlusion: Occlusion, size: float, seed: int) -> Occlusion:
    """Return the occlusion function with noise added to all its weights but gamma."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in occlusion.named_parameters():
        if not name.startswith("gamma"):
            weight.add_(size * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    return occlusion


OCCLUSIONS: dict[str, Callable[..., Occlusion]] = {
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
