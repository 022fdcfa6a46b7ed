"""Face ids: which face is seen at each pixel."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from taichisoft.appearance.sides import Culling
from taichisoft.cameras.camera import Camera
from taichisoft.engine.blend import BlendPass
from taichisoft.engine.job import RasterJob
from taichisoft.engine.projection import build_scene
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch
from taichisoft.softness.aggregation import Max
from taichisoft.softness.coverage import Heaviside
from taichisoft.softness.curves import SoftnessCurves
from taichisoft.softness.occlusion import DepthSoftmax
from taichisoft.softness.softness import Softness


def nearest_faces(
    mesh: Mesh | MeshBatch | list[Mesh], camera: Camera, culling: Culling = Culling.NONE
) -> Tensor:
    """Return the nearest face that covers each pixel centre.

    Parameters
    ----------
    mesh, camera
        As for `SoftRasterizer.forward`.
    culling : Culling
        Which faces are left out.

    Returns
    -------
    Tensor, (B, H, W), int64
        Indices among the faces of the mesh of each image, -1 for none. Without a gradient.
    """
    scene = build_scene(mesh, camera, None, culling=culling)
    curves = _hard_curves()
    coverage, occlusion = curves.coverage(scene.image_size[0]), curves.occlusion()
    job = RasterJob(scene)
    with torch.no_grad():
        faces = BlendPass(job, coverage, occlusion).front_face()
    faces = faces.long().reshape(job.images, job.height, job.width)
    # One more entry, for -1, that no face is.
    of_mesh = torch.cat([scene.source_face, scene.source_face.new_tensor([-1])])
    return of_mesh[faces]


@cache
def _hard_curves() -> SoftnessCurves:
    return SoftnessCurves(Softness(Heaviside(), Max(), DepthSoftmax()))
