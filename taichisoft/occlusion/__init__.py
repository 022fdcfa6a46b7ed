"""Occlusion: how much a face behind the nearest one still contributes to the colour of a pixel."""

from taichisoft.occlusion.base import Occlusion
from taichisoft.occlusion.closed_form import DepthCurve, DepthSoftmax, HardOcclusion
from taichisoft.occlusion.learned import MLPOcclusion, MonotoneDepth

__all__ = [
    "DepthCurve",
    "DepthSoftmax",
    "HardOcclusion",
    "MLPOcclusion",
    "MonotoneDepth",
    "Occlusion",
]
