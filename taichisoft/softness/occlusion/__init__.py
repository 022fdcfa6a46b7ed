"""Occlusion: how much a face behind the nearest one still contributes to the colour of a pixel."""

from taichisoft.softness.occlusion.base import Occlusion
from taichisoft.softness.occlusion.closed_form import DepthCurve, DepthSoftmax, HardOcclusion
from taichisoft.softness.occlusion.learned import MLPOcclusion, MonotoneDepth

__all__ = [
    "DepthCurve",
    "DepthSoftmax",
    "HardOcclusion",
    "MLPOcclusion",
    "MonotoneDepth",
    "Occlusion",
]
