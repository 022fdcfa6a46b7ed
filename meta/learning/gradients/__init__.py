"""Estimators of a derivative of an objective, or of a step that lowers it: a file and a line each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import tyro

from meta.config.settings import FLAT, Kinds, chosen
from meta.learning.gradients.base import MetaGradient as MetaGradient
from meta.learning.gradients.base import MetaGradientSettings
from meta.learning.gradients.base import trainable as trainable
from meta.learning.gradients.covariance import CovarianceAdaptation as CovarianceAdaptation
from meta.learning.gradients.covariance import CovarianceSettings
from meta.learning.gradients.estimate import Estimate as Estimate
from meta.learning.gradients.estimate import Move as Move
from meta.learning.gradients.estimate import Slope as Slope
from meta.learning.gradients.evolution import AntitheticSettings, OneSidedSettings
from meta.learning.gradients.evolution import Evolution as Evolution
from meta.learning.gradients.evolution import EvolutionStrategies as EvolutionStrategies
from meta.learning.gradients.evolution import OneSidedEvolution as OneSidedEvolution
from meta.learning.gradients.first_order import FirstOrder as FirstOrder
from meta.learning.gradients.first_order import FirstOrderSettings
from meta.learning.gradients.persistent import PersistentEvolution as PersistentEvolution
from meta.learning.gradients.persistent import PersistentSettings
from meta.learning.gradients.unrolled import Truncated as Truncated
from meta.learning.gradients.unrolled import TruncatedSettings, UnrolledSettings
from meta.learning.gradients.unrolled import Unrolled as Unrolled

_LIST = (
    UnrolledSettings,
    TruncatedSettings,
    FirstOrderSettings,
    AntitheticSettings,
    OneSidedSettings,
    PersistentSettings,
    CovarianceSettings,
)
ESTIMATORS: Mapping[str, type[MetaGradientSettings]] = MappingProxyType(
    {settings.name: settings for settings in _LIST}
)
"""The settings of the estimators by their names."""


_NAME = tyro.conf.arg(
    help="Estimator of the meta-gradient.", help_behavior_hint="(default: {})".format
)
_USUAL = {name: settings() for name, settings in ESTIMATORS.items()}


def _choose(
    gradient: Annotated[Literal[tuple(ESTIMATORS)], _NAME] = "es",
    options: Annotated[dict[str, MetaGradientSettings], FLAT] = _USUAL,
) -> MetaGradientSettings:
    return chosen((gradient,), options)[0]


Estimator = Annotated[
    MetaGradientSettings, Kinds(ESTIMATORS), tyro.conf.arg(name="", constructor=_choose)
]
"""An estimator with its options; on the command line ``--gradient`` and an option for each of theirs."""
