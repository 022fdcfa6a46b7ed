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
from taichisoft.io import load_mesh, save_mesh
from taichisoft.losses import (
    EdgeLength,
    Laplacian,
    NormalConsistency,
    edge_length_loss,
    iou,
    iou_loss,
    laplacian_loss,
    mse,
    mse_loss,
    normal_consistency_loss,
)
from taichisoft.mesh import Mesh, MeshBatch
from taichisoft.occlusion import DepthSoftmax, Occlusion
from taichisoft.positive import Positive
from taichisoft.rasterizer import SoftImage, SoftRasterizer
from taichisoft.runtime import available_backends, backend, init
from taichisoft.scale import HeightFraction, Pixels, Scale
from taichisoft.serialize import load_softness, save_softness

__version__ = "0.1.0"

__all__ = [
    "Aggregation",
    "Camera",
    "ClosedForm",
    "Coverage",
    "DepthSoftmax",
    "EdgeLength",
    "ExponentialReversed",
    "GammaReversed",
    "Gaussian",
    "Heaviside",
    "HeightFraction",
    "Laplacian",
    "Logistic",
    "MLPCoverage",
    "Max",
    "Mesh",
    "MeshBatch",
    "MonotoneSpline",
    "NormalConsistency",
    "Occlusion",
    "Pixels",
    "Positive",
    "Probabilistic",
    "Scale",
    "SoftImage",
    "SoftRasterizer",
    "Uniform",
    "available_backends",
    "backend",
    "edge_length_loss",
    "init",
    "iou",
    "iou_loss",
    "laplacian_loss",
    "load_mesh",
    "load_softness",
    "mse",
    "mse_loss",
    "normal_consistency_loss",
    "reference",
    "save_mesh",
    "save_softness",
    "shapes",
]
