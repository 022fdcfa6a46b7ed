"""Estimators of the derivative of an objective with respect to a softness."""

from meta.learning.gradients.base import Estimate, MetaGradient, trainable
from meta.learning.gradients.evolution import Evolution, EvolutionStrategies, OneSidedEvolution
from meta.learning.gradients.first_order import FirstOrder
from meta.learning.gradients.persistent import PersistentEvolution
from meta.learning.gradients.unrolled import Truncated, Unrolled

__all__ = [
    "Estimate",
    "Evolution",
    "EvolutionStrategies",
    "FirstOrder",
    "MetaGradient",
    "OneSidedEvolution",
    "PersistentEvolution",
    "Truncated",
    "Unrolled",
    "trainable",
]
