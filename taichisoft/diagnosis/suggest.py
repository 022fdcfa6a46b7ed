"""`suggest_scale` and `suggest_gamma`: how wide a softness to start with, over pixels and over depth."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from taichisoft.base.checks import FLOAT_DTYPES, check_number, check_shares, check_tensor
from taichisoft.cameras.camera import Camera
from taichisoft.diagnosis.projected_faces import ProjectedFaces
from taichisoft.diagnosis.surfaces import Surfaces
from taichisoft.engine.job import RasterJob
from taichisoft.engine.projection import build_scene
from taichisoft.engine.scene import Scene
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch
from taichisoft.softness.annealing import ExponentialAnnealing
from taichisoft.softness.conditioned import ConditionedPositive
from taichisoft.softness.coverage import Gaussian
from taichisoft.softness.scale import Pixels, Scale
from taichisoft.softness.situation import Situation

# Of an edge. With wider curves the faces around a pixel add up; with narrower ones few pixels lie in them.
OF_AN_EDGE = 1 / 8
# In pixels. Below the first most boundaries pass between pixel centres; above the second the image is blurred
# for nothing.
NARROWEST, WIDEST = 0.1, 0.4
# Share of the target's pixels that a scale annealed from a wide one reaches at first.
REACHED = 0.9
MARGIN = 1 + 1e-6
# Target pixels from here on count as covered.
COVERED = 0.5


def suggest_scale(
    mesh: Mesh | MeshBatch | list[Mesh],
    camera: Camera,
    target: Tensor | None = None,
    *,
    reach: float | None = None,
) -> Scale:
    """Return a scale to start with: narrow, and annealed from a wide one if a target is far away.

    Without a target, one eighth of the median projected edge of the faces in the image, from 0.1 to 0.4
    pixels. With a target that is out of reach at that scale, the scale is annealed: at its start nine tenths
    of the target's pixels are within reach of a face, at its end it is as without a target. A renderer that
    has it must be told the progress, as `fit` does.

    The numbers were found on training problems of the families pose, shape3d and shape2d (images of 32 to
    128 pixels, 80 to 1,280 faces) and of translations, with a Gaussian; ``python -m benchmarks.scales``
    measures them on others. Reaching all of the target solved fewer poses than not looking at it.

    Parameters
    ----------
    mesh, camera
        What is drawn at the start, and from where.
    target : Tensor, (B, H, W) or (H, W), optional
        Silhouettes to fit, bool or in [0, 1]; from one half on a pixel counts as covered.
    reach : float, optional
        How many scales a coverage reaches outside of a face, ``-coverage.domain().low``; plays a part only
        with a target. Default: that of `Gaussian`, 3.7.

    Returns
    -------
    Scale
        `Pixels`, or an `ExponentialAnnealing`; for a coverage whose scale is like a standard deviation.

    Raises
    ------
    TypeError, ValueError
        A bad argument, or no face is in front of the camera.
    """
    scene = build_scene(mesh, camera, None)
    reach = -Gaussian().domain().low if reach is None else check_number(reach, "reach", above=0)
    faces = ProjectedFaces(scene)
    narrow = narrow_scale(faces)
    if target is None:
        return Pixels(narrow)
    wanted = as_mask(target, scene)
    distances = faces.distances(wanted)[wanted]
    reachable = distances[distances.isfinite()].double()
    wide = float(np.quantile(reachable.cpu().numpy(), REACHED)) / reach if len(reachable) else 0.0
    # Within reach, and not at its very end, where there is no slope.
    wide *= MARGIN
    return Pixels(narrow) if wide <= narrow else ExponentialAnnealing(wide, narrow)


def suggest_gamma(mesh: Mesh | MeshBatch | list[Mesh], camera: Camera) -> float:
    """Return a gamma to start with: one that tells the surfaces of a scene apart.

    At each pixel whose centre two faces or more cover, the gap is how far the next surface is behind the
    nearest. A small gap is chosen: nine tenths of all gaps, in all images, are at least as wide. A quarter of
    it is returned. Four gammas apart, the nearer of two surfaces hides the farther one under every usual
    order (under that of the default `FrontToBack` from one gamma on). A wider gamma shows what is hidden;
    with a narrower one fewer faces are near enough to each other for their order to have a gradient.

    If no surface is behind another, 0.02 of the extent in depth is returned, as by default; of a flat scene,
    whose extent is 0, a millionth of its largest depth.

    ``ts.DepthFraction`` follows the scene while it is optimised; this is a number for the scene as it is.

    Parameters
    ----------
    mesh, camera
        What is drawn at the start, and from where.

    Returns
    -------
    float
        In scene units, > 0: ``ts.FrontToBack(gamma=ts.suggest_gamma(mesh, camera))``.

    Raises
    ------
    TypeError, ValueError
        A bad argument, or no face is in front of the camera.
    """
    scene = build_scene(mesh, camera, None)
    if not bool(ProjectedFaces(scene).in_front.any()):
        raise ValueError("mesh must have a face in front of the camera, got none")
    return Surfaces.of(scene, RasterJob(scene)).gamma


def scale_by_edge() -> Pixels:
    """Return the rule of `suggest_scale` as a scale that follows the situation.

    It is one eighth of the edge length that it is told, but at least 0.1 and at most 0.4 pixels. It is for
    a softness that serves many scenes, and has to be told of each: ``renderer.set_situation``. Until then
    it is that of the reference, `Situation()`.
    """
    return Pixels(edge_rule())


def edge_rule() -> ConditionedPositive:
    """Return that length in pixels by itself."""
    at_reference = OF_AN_EDGE * Situation().edge_length
    return ConditionedPositive(at_reference, {"edge_length": 1.0}, low=NARROWEST, high=WIDEST)


@torch.no_grad()
def narrow_scale(faces: ProjectedFaces) -> float:
    """Return the scale in pixels that suits faces of this size.

    Raises
    ------
    ValueError
        No face is in front of the camera.
    """
    length = edge_rule()
    length.set_situation(Situation(edge_length=faces.median_edge))
    return float(length())


def as_mask(target: Tensor, scene: Scene) -> Tensor:
    """Return which pixels a silhouette covers, (B, H, W) bool.

    Raises
    ------
    TypeError, ValueError
        It is no silhouette of the images of the scene, or has numbers outside of [0, 1].
    """
    size = scene.image_size
    dtypes = (*FLOAT_DTYPES, torch.bool)
    shapes = dict.fromkeys([size, (1, *size), (scene.batch_size, *size)])
    check_tensor(target, "target", *shapes, dtypes=dtypes)
    if target.dtype != torch.bool:
        check_shares(target, "target")
    covered = target if target.dtype == torch.bool else target >= COVERED
    return covered.to(scene.points.device).expand(scene.batch_size, *size)
