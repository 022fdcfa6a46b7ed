"""Estimators of the derivative of an objective with respect to a softness."""

from meta.gradients.base import Estimate, MetaGradient, trainable
from meta.gradients.evolution import Evolution, EvolutionStrategies, OneSidedEvolution
from meta.gradients.first_order import FirstOrder
from meta.gradients.persistent import PersistentEvolution
from meta.gradients.unrolled import Truncated, Unrolled

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
