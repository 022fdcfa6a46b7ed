"""Baselines: the fixed coverage functions to compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from taichisoft import (
    Coverage,
    ExponentialReversed,
    GammaReversed,
    Gaussian,
    Logistic,
    Scale,
    Uniform,
)


@dataclass(frozen=True)
class Baseline:
    """A fixed coverage function.

    Parameters
    ----------
    label : str
        Name in tables and legends.
    coverage : callable
        Makes the function from a scale, or from a number of pixels.
    """

    label: str
    coverage: Callable[[Scale | float], Coverage]


# Nothing but what can be pickled, as evaluations run in several processes.
BASELINES: MappingProxyType[str, Baseline] = MappingProxyType(
    {
        "gaussian": Baseline("Gaussian", Gaussian),
        "logistic": Baseline("Logistic", Logistic),
        "softras": Baseline("Logistic squared (SoftRas)", partial(Logistic, squared=True)),
        "exponential": Baseline("Exponential reversed", ExponentialReversed),
        "gamma": Baseline("Gamma 0.5 reversed", partial(GammaReversed, shape=0.5)),
        "uniform": Baseline("Uniform", Uniform),
    }
)
"""The fixed functions by name."""
