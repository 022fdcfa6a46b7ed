"""Estimators of the derivative of an objective with respect to a softness."""

from meta.gradients.base import Estimate, MetaGradient, trainable
from meta.gradients.evolution import EvolutionStrategies
from meta.gradients.first_order import FirstOrder

__all__ = ["Estimate", "EvolutionStrategies", "FirstOrder", "MetaGradient", "trainable"]
