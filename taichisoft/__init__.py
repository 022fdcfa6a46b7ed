"""taichisoft: a differentiable rasterizer whose softness is learned. Torch in, torch out."""

from taichisoft import shapes
from taichisoft.appearance.lights import (
    AmbientLight,
    DirectionalLight,
    Light,
    Lighting,
    PointLight,
    Shading,
)
from taichisoft.appearance.texture import Texture, Wrap
from taichisoft.base.backend import available_backends, backend, init
from taichisoft.cameras.blender import SensorFit
from taichisoft.cameras.camera import Camera
from taichisoft.diagnosis.explanation import Explanation
from taichisoft.diagnosis.suggest import suggest_scale
from taichisoft.files.meshes import load_mesh, save_mesh
from taichisoft.files.textured_meshes import load_textured_mesh
from taichisoft.fitting.fit import fit
from taichisoft.fitting.history import History
from taichisoft.fitting.multi_start import MultiStart, multi_start
from taichisoft.fitting.run import Fit
from taichisoft.geometry.losses import (
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
from taichisoft.geometry.mesh import Mesh, MeshBatch
from taichisoft.geometry.normals import face_normals, vertex_normals
from taichisoft.render import reference
from taichisoft.render.image import SoftImage
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.softness.aggregation import (
    AczelAlsina,
    Aggregation,
    Dombi,
    Einstein,
    Frank,
    Hamacher,
    Max,
    MonotoneGenerator,
    Probabilistic,
    SchweizerSklar,
    Yager,
)
from taichisoft.softness.annealing import (
    Annealed,
    AnnealedPositive,
    CosineAnnealing,
    ExponentialAnnealing,
    LearnedAnnealing,
)
from taichisoft.softness.coverage import (
    Cauchy,
    ClosedForm,
    Coverage,
    CubicHermite,
    CustomCoverage,
    Exponential,
    ExponentialReversed,
    Gamma,
    GammaReversed,
    Gaussian,
    Gudermannian,
    GumbelMax,
    GumbelMin,
    Heaviside,
    Laplace,
    Levy,
    LevyReversed,
    Logistic,
    Mixture,
    MLPCoverage,
    MonotoneSpline,
    Reciprocal,
    StraightThrough,
    Uniform,
    Wigner,
)
from taichisoft.softness.occlusion import (
    DepthCurve,
    DepthSoftmax,
    HardOcclusion,
    MLPOcclusion,
    MonotoneDepth,
    Occlusion,
)
from taichisoft.softness.parameters import Positive, Real
from taichisoft.softness.pretrained import pretrained_names
from taichisoft.softness.scale import HeightFraction, Pixels, Scale
from taichisoft.softness.softness import Softness
from taichisoft.softness.tables.domain import SHARP, Domain

__version__ = "0.1.0"

__all__ = [
    "SHARP",
    "AczelAlsina",
    "Aggregation",
    "AmbientLight",
    "Annealed",
    "AnnealedPositive",
    "Camera",
    "Cauchy",
    "ClosedForm",
    "CosineAnnealing",
    "Coverage",
    "CubicHermite",
    "CustomCoverage",
    "DepthCurve",
    "DepthSoftmax",
    "DirectionalLight",
    "Domain",
    "Dombi",
    "EdgeLength",
    "Einstein",
    "Explanation",
    "Exponential",
    "ExponentialAnnealing",
    "ExponentialReversed",
    "Fit",
    "Frank",
    "Gamma",
    "GammaReversed",
    "Gaussian",
    "Gudermannian",
    "GumbelMax",
    "GumbelMin",
    "Hamacher",
    "HardOcclusion",
    "Heaviside",
    "HeightFraction",
    "History",
    "Laplace",
    "Laplacian",
    "LearnedAnnealing",
    "Levy",
    "LevyReversed",
    "Light",
    "Lighting",
    "Logistic",
    "MLPCoverage",
    "MLPOcclusion",
    "Max",
    "Mesh",
    "MeshBatch",
    "Mixture",
    "MonotoneDepth",
    "MonotoneGenerator",
    "MonotoneSpline",
    "MultiStart",
    "NormalConsistency",
    "Occlusion",
    "Pixels",
    "PointLight",
    "Positive",
    "Probabilistic",
    "Real",
    "Reciprocal",
    "Scale",
    "SchweizerSklar",
    "SensorFit",
    "Shading",
    "SoftImage",
    "SoftRasterizer",
    "Softness",
    "StraightThrough",
    "Texture",
    "Uniform",
    "Wigner",
    "Wrap",
    "Yager",
    "available_backends",
    "backend",
    "edge_length_loss",
    "face_normals",
    "fit",
    "init",
    "iou",
    "iou_loss",
    "laplacian_loss",
    "load_mesh",
    "load_textured_mesh",
    "mse",
    "mse_loss",
    "multi_start",
    "normal_consistency_loss",
    "pretrained_names",
    "reference",
    "save_mesh",
    "shapes",
    "suggest_scale",
    "vertex_normals",
]
