"""Aggregation: how the coverages of all faces at a pixel become its alpha."""

from taichisoft.softness.aggregation.base import Aggregation
from taichisoft.softness.aggregation.families import Frank, Hamacher, SchweizerSklar
from taichisoft.softness.aggregation.learned import MonotoneGenerator
from taichisoft.softness.aggregation.plain import Einstein, Max, Probabilistic
from taichisoft.softness.aggregation.powers import AczelAlsina, Dombi, Yager

__all__ = [
    "AczelAlsina",
    "Aggregation",
    "Dombi",
    "Einstein",
    "Frank",
    "Hamacher",
    "Max",
    "MonotoneGenerator",
    "Probabilistic",
    "SchweizerSklar",
    "Yager",
]
