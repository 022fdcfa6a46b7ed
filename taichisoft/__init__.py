"""taichisoft: a differentiable rasterizer whose softness is learned. Torch in, torch out."""

from taichisoft import reference, shapes
from taichisoft.aggregation import Aggregation, Max, Probabilistic
from taichisoft.camera import Camera
from taichisoft.coverage import (
    ClosedForm,
    Coverage,
    ExponentialReversed,
    GammaReversed,
    Gaussian,
    Heaviside,
    Logistic,
    MLPCoverage,
    MonotoneSpline,
    Uniform,
)
from taichisoft.mesh import Mesh, MeshBatch
from taichisoft.occlusion import DepthSoftmax, Occlusion
from taichisoft.positive import Positive
from taichisoft.rasterizer import SoftImage, SoftRasterizer
from taichisoft.runtime import available_backends, backend, init
from taichisoft.scale import HeightFraction, Pixels, Scale
