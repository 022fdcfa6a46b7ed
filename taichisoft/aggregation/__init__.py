"""Aggregation: how the coverages of all faces at a pixel become its alpha."""

from taichisoft.aggregation.base import Aggregation
from taichisoft.aggregation.families import Frank, Hamacher, SchweizerSklar
from taichisoft.aggregation.learned import MonotoneGenerator
from taichisoft.aggregation.plain import Einstein, Max, Probabilistic
from taichisoft.aggregation.powers import AczelAlsina, Dombi, Yager

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
