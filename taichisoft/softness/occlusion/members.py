"""Occlusion functions: all that the library exports, one line each."""

from taichisoft.softness.occlusion.base import Occlusion as Occlusion
from taichisoft.softness.occlusion.base import ReferenceDepth as ReferenceDepth
from taichisoft.softness.occlusion.closed_form import DepthCurve as DepthCurve
from taichisoft.softness.occlusion.closed_form import DepthSoftmax as DepthSoftmax
from taichisoft.softness.occlusion.closed_form import HardOcclusion as HardOcclusion
from taichisoft.softness.occlusion.front_to_back import FrontToBack as FrontToBack
from taichisoft.softness.occlusion.learned import MLPOcclusion as MLPOcclusion
from taichisoft.softness.occlusion.learned import MonotoneDepth as MonotoneDepth
