"""`situation_of`: what a conditioned softness is told of a scene."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from taichisoft.base.checks import check_type
from taichisoft.cameras.camera import Camera
from taichisoft.diagnosis.projected_faces import ProjectedFaces
from taichisoft.engine.coverage import accumulate
from taichisoft.engine.depth_extent import depth_range
from taichisoft.engine.job import RasterJob
from taichisoft.engine.projection import build_scene
from taichisoft.engine.scene import Scene
from taichisoft.geometry.mesh import Mesh, MeshBatch
from taichisoft.softness.aggregation import Max
from taichisoft.softness.coverage import Heaviside
from taichisoft.softness.curves import SoftnessCurves
from taichisoft.softness.situation import Situation
from taichisoft.softness.softness import Softness


@torch.no_grad()
def situation_of(mesh: Mesh | MeshBatch | list[Mesh], camera: Camera, *, colors: bool) -> Situation:
    """Return what is known of a scene before the first step, for ``renderer.set_situation``.

    Of several images it gives the median edge of all their faces, and of the other numbers the median over
    the images. It takes about as long as a hard silhouette.

    Parameters
    ----------
    mesh, camera
        What is drawn at the start, and from where.
    colors : bool
        Whether colours are compared, and not silhouettes alone.

    Returns
    -------
    Situation
        The edges are those of the faces in the image. The faces over a pixel are counted at the centres of
        those that are covered; if there are none it is one. The extent in depth is that of all faces in front
        of the camera, over the height that the image shows at their middle depth.

    Raises
    ------
    TypeError, ValueError
        A bad argument, or no face is in front of the camera.
    """
    check_type(colors, "colors", bool)
    scene = build_scene(mesh, camera, None)
    faces = ProjectedFaces(scene)
    return Situation(
        edge_length=faces.median_edge,
        image_height=scene.image_size[0],
        faces_per_pixel=_faces_per_pixel(scene),
        depth_extent=_depth_extent(faces, camera),
        colors=colors,
    )


def _faces_per_pixel(scene: Scene) -> float:
    """Return the mean number of faces at the pixels that are covered, the median of the images."""
    count = accumulate(RasterJob(scene), _hard_curves().generator(scene.image_size[0]), False)
    covered = (count > 0).sum((1, 2))
    means = count.sum((1, 2), dtype=torch.float64)[covered > 0] / covered[covered > 0]
    return _median(means) if len(means) else 1.0


def _depth_extent(faces: ProjectedFaces, camera: Camera) -> float:
    """Return extents in depth over the heights shown at the middle depths, the median of the images."""
    scene = faces.scene
    nearest, farthest = (end.double() for end in depth_range(scene))
    shown = scene.image_size[0] / camera.intrinsics[:, 1, 1].double().expand(scene.batch_size)
    if camera.perspective:
        shown = shown * (nearest + farthest) / 2
    images = torch.zeros(scene.batch_size, dtype=torch.bool, device=nearest.device)
    images[scene.face_images[faces.in_front]] = True
    return _median(((farthest - nearest) / shown)[images])


def _median(values: Tensor) -> float:
    return float(np.median(values.cpu().numpy()))


@cache
def _hard_curves() -> SoftnessCurves:
    return SoftnessCurves(Softness(Heaviside(), Max()))
