"""taichisoft: a differentiable rasterizer whose softness is learned. Torch in, torch out."""

from types import ModuleType as _ModuleType

from taichisoft import shapes as shapes
from taichisoft.appearance.lights import AmbientLight as AmbientLight
from taichisoft.appearance.lights import DirectionalLight as DirectionalLight
from taichisoft.appearance.lights import Light as Light
from taichisoft.appearance.lights import Lighting as Lighting
from taichisoft.appearance.lights import PointLight as PointLight
from taichisoft.appearance.lights import Shading as Shading
from taichisoft.appearance.sides import Culling as Culling
from taichisoft.appearance.texture import Texture as Texture
from taichisoft.base.backend import available_backends as available_backends
from taichisoft.base.backend import backend as backend
from taichisoft.base.backend import engine_name as engine_name
from taichisoft.base.backend import init as init
from taichisoft.base.version import __version__ as __version__
from taichisoft.cameras.blender import SensorFit as SensorFit
from taichisoft.cameras.camera import Camera as Camera
from taichisoft.diagnosis.explanation import Explanation as Explanation
from taichisoft.diagnosis.situation import situation_of as situation_of
from taichisoft.diagnosis.suggest import scale_by_edge as scale_by_edge
from taichisoft.diagnosis.suggest import suggest_gamma as suggest_gamma
from taichisoft.diagnosis.suggest import suggest_scale as suggest_scale
from taichisoft.files.bop import load_bop_cameras as load_bop_cameras
from taichisoft.files.colmap import load_colmap_cameras as load_colmap_cameras
from taichisoft.files.images import load_image as load_image
from taichisoft.files.meshes import load_mesh as load_mesh
from taichisoft.files.nerf import load_nerf_cameras as load_nerf_cameras
from taichisoft.files.saved_meshes import save_mesh as save_mesh
from taichisoft.files.textured_meshes import load_textured_mesh as load_textured_mesh
from taichisoft.files.views import Views as Views
from taichisoft.fitting.adam_uniform import AdamUniform as AdamUniform
from taichisoft.fitting.fit import fit as fit
from taichisoft.fitting.history import History as History
from taichisoft.fitting.multi_start import MultiStart as MultiStart
from taichisoft.fitting.multi_start import multi_start as multi_start
from taichisoft.fitting.run import Fit as Fit
from taichisoft.geometry import rotations as rotations
from taichisoft.geometry.depth_loss import depth_loss as depth_loss
from taichisoft.geometry.depth_loss import depth_mse as depth_mse
from taichisoft.geometry.joining import instances as instances
from taichisoft.geometry.joining import join as join
from taichisoft.geometry.large_steps import LargeSteps as LargeSteps
from taichisoft.geometry.losses import EdgeLength as EdgeLength
from taichisoft.geometry.losses import Laplacian as Laplacian
from taichisoft.geometry.losses import NormalConsistency as NormalConsistency
from taichisoft.geometry.losses import edge_length_loss as edge_length_loss
from taichisoft.geometry.losses import iou as iou
from taichisoft.geometry.losses import iou_loss as iou_loss
from taichisoft.geometry.losses import laplacian_loss as laplacian_loss
from taichisoft.geometry.losses import mse as mse
from taichisoft.geometry.losses import mse_loss as mse_loss
from taichisoft.geometry.losses import normal_consistency_loss as normal_consistency_loss
from taichisoft.geometry.material import Material as Material
from taichisoft.geometry.mesh import Mesh as Mesh
from taichisoft.geometry.mesh_batch import MeshBatch as MeshBatch
from taichisoft.geometry.normals import face_normals as face_normals
from taichisoft.geometry.normals import vertex_normals as vertex_normals
from taichisoft.geometry.wrap import Wrap as Wrap
from taichisoft.poses.fit_pose import fit_pose as fit_pose
from taichisoft.poses.pose_fit import OtherPose as OtherPose
from taichisoft.poses.pose_fit import PoseFit as PoseFit
from taichisoft.render import reference as reference
from taichisoft.render.image import SoftImage as SoftImage
from taichisoft.render.rasterizer import SoftRasterizer as SoftRasterizer
from taichisoft.render.turntable import turntable as turntable
from taichisoft.softness.aggregation.members import *  # noqa: F403
from taichisoft.softness.annealing import Annealed as Annealed
from taichisoft.softness.annealing import CosineAnnealing as CosineAnnealing
from taichisoft.softness.annealing import ExponentialAnnealing as ExponentialAnnealing
from taichisoft.softness.annealing import LearnedAnnealing as LearnedAnnealing
from taichisoft.softness.annealing import PiecewiseAnnealing as PiecewiseAnnealing
from taichisoft.softness.conditioned import ConditionedPositive as ConditionedPositive
from taichisoft.softness.conditioned import ConditionedReal as ConditionedReal
from taichisoft.softness.courses import AnnealedPositive as AnnealedPositive
from taichisoft.softness.courses import PiecewisePositive as PiecewisePositive
from taichisoft.softness.courses import PiecewiseReal as PiecewiseReal
from taichisoft.softness.coverage.members import *  # noqa: F403
from taichisoft.softness.depth_scale import DepthFraction as DepthFraction
from taichisoft.softness.occlusion.members import *  # noqa: F403
from taichisoft.softness.parameters import Positive as Positive
from taichisoft.softness.parameters import Real as Real
from taichisoft.softness.pretrained import pretrained_names as pretrained_names
from taichisoft.softness.scale import HeightFraction as HeightFraction
from taichisoft.softness.scale import Pixels as Pixels
from taichisoft.softness.scale import Scale as Scale
from taichisoft.softness.situation import Situation as Situation
from taichisoft.softness.softness import Softness as Softness
from taichisoft.softness.tables.domain import SHARP as SHARP
from taichisoft.softness.tables.domain import Domain as Domain


def __dir__() -> list[str]:
    """Return the public names: what is imported above, without the rooms of the library."""
    rooms = {name for name, value in globals().items() if isinstance(value, _ModuleType)}
    rooms -= {"reference", "rotations", "shapes"}
    return sorted(name for name in globals().keys() - rooms if not name.startswith("_"))


# For `from taichisoft import *`; type checkers read the imports.
globals()["__all__"] = __dir__()
