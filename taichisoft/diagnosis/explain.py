"""The measurements behind an explanation: reach, cost, and how the mesh compares with a target."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from taichisoft.base.backend import backend
from taichisoft.diagnosis.depths import depths_of
from taichisoft.diagnosis.explanation import SATURATED, Against, Explanation, Faces
from taichisoft.diagnosis.projected_faces import ProjectedFaces
from taichisoft.diagnosis.suggest import as_mask, narrow_scale
from taichisoft.diagnosis.surfaces import Surfaces
from taichisoft.engine.block_job import works_in_blocks
from taichisoft.engine.coverage import accumulate
from taichisoft.engine.job import RasterJob, least_bytes
from taichisoft.engine.scene import Scene
from taichisoft.softness.annealing import FollowsProgress
from taichisoft.softness.curves import Curve
from taichisoft.softness.occlusion import FrontToBack
from taichisoft.softness.tables.domain import Domain
from taichisoft.softness.tables.table import tabulate

if TYPE_CHECKING:
    from taichisoft.render.rasterizer import SoftRasterizer

# Forward + backward of silhouettes on two CPU cores: python -m benchmarks.scaling gives 5 to 13 ns a
# fragment from a million of them on, and never less than this.
NANOSECONDS = 10
LEAST_MILLISECONDS = 2.5
# Memory of a second derivative of a silhouette, by the growth of the peak over 0.7 and 6 million fragments
# (38 to 40 in float32). Of an image of three colours it was 330 to 420.
SECOND_ORDER_BYTES = 40
# Where no fragment is kept, by that over 4 million pixels and over 1.3 million faces.
NUMBERS_OF_A_PIXEL, NUMBERS_OF_A_FACE = 19, 150


@torch.no_grad()
def explain(
    renderer: SoftRasterizer,
    scene: Scene,
    total: int,
    target: Tensor | None,
    unbent: Scene,
    channels: int | None = None,
) -> Explanation:
    """Say what a renderer does with a scene of the size of its images; see `SoftRasterizer.explain`.

    `total` is the number of faces of the meshes of all images; the near plane, culling and the lens change
    how many are left. `unbent` is the scene without the distortion of the lens. `channels` are those of its
    colours, by default of the attributes of the scene.
    """
    situation = _Situation(renderer, scene, total, target, _present(unbent), channels)
    annealed = [m for m in renderer.softness.modules() if isinstance(m, FollowsProgress)]
    if not annealed:
        return situation.explanation()
    kept = [(part, part.progress, part.told) for part in annealed]
    ends = []
    try:
        for progress in (0.0, 1.0):
            for part in annealed:
                part.set_progress(progress)
            ends.append(situation.explanation())
    finally:
        for part, progress, told in kept:
            part.progress, part.told = progress, told
    return replace(situation.explanation(), start=ends[0], end=ends[1])


class _Situation:
    """A renderer, a scene and perhaps a target: what does not depend on the width of the softness."""

    def __init__(
        self,
        renderer: SoftRasterizer,
        scene: Scene,
        total: int,
        target: Tensor | None,
        kept: int,
        channels: int | None,
    ):
        self.renderer, self.scene, self.total, self.kept = renderer, scene, total, kept
        self.channels = channels
        self.job, self.projected = RasterJob(scene), ProjectedFaces(scene)
        self.has_target = target is not None
        if target is None:
            self.wanted = torch.zeros(
                scene.batch_size, *scene.image_size, dtype=torch.bool, device=scene.points.device
            )
        else:
            self.wanted = as_mask(target, scene)
        self.distances = self.projected.distances(self.wanted)
        self.surfaces = Surfaces.of(scene, self.job)

    def explanation(self) -> Explanation:
        """Return what the softness does at its current width."""
        renderer, scene, job, projected = self.renderer, self.scene, self.job, self.projected
        if isinstance(renderer.occlusion, FrontToBack):
            generator = renderer.composite_curves(scene.image_size[0]).generator
        else:
            generator = renderer.curves(scene.image_size[0])[0]
        # In pixels of the image; what is rendered has more of them.
        generator = replace(generator, width=generator.width / renderer.ssaa)
        height, breadth = (renderer.ssaa * n for n in scene.image_size)
        rendered = replace(scene, image_size=(height, breadth))
        takes_max = renderer.aggregation.takes_max
        alpha = renderer.aggregation.inverse(accumulate(job, generator, takes_max))
        count = accumulate(job, _within_reach(generator), False)
        reaching = int(count.sum(dtype=torch.float64))
        fragments = renderer.ssaa**2 * reaching
        reached = int((count > 0).sum())
        covered = self.distances == 0
        area = int(covered.sum())
        saturated = covered & (alpha > SATURATED)
        width = float(generator.width)
        slopes = generator.slopes or generator.table
        gradient_reach = max(-slopes.domain.low, 0.0) * width
        gradient_reach = gradient_reach if slopes.domain.span else 0.0
        time = max(LEAST_MILLISECONDS, NANOSECONDS * 1e-6 * fragments)
        against = None
        if self.has_target:
            against = _against(self.wanted, self.distances, saturated, width, gradient_reach)
        return Explanation(
            images=scene.batch_size,
            image_size=scene.image_size,
            scale=width,
            reach=float(generator.numbers(scene.points)[1]) + 0.0,
            gradient_reach=gradient_reach,
            adds_up=not takes_max,
            suggested_scale=narrow_scale(projected) if bool(projected.in_front.any()) else None,
            faces=_faces(projected, job, generator, self.total, self.kept),
            fragments=fragments,
            faces_per_pixel=reaching / max(reached, 1),
            most_faces_per_pixel=int(count.max()),
            memory=least_bytes(rendered, self.channels),
            second_order_memory=_second_order_bytes(job, rendered, fragments),
            milliseconds=time if backend() == "cpu" else None,
            inflation=float(alpha.sum(dtype=torch.float64)) / area - 1 if area else None,
            saturated=int(saturated.sum()) / area if area else None,
            against=against,
            depths=depths_of(renderer, job, self.surfaces)
            if bool(projected.in_front.any())
            else None,
        )


def _second_order_bytes(job: RasterJob, rendered: Scene, fragments: int) -> int:
    """Return the memory of a second derivative of a silhouette."""
    if not works_in_blocks(job):
        return SECOND_ORDER_BYTES * fragments
    pixels = rendered.batch_size * rendered.image_size[0] * rendered.image_size[1]
    numbers = NUMBERS_OF_A_PIXEL * pixels + NUMBERS_OF_A_FACE * job.num_faces
    return numbers * rendered.points.element_size()


def _within_reach(curve: Curve) -> Curve:
    """Return the curve that is 1 for every face that reaches a pixel."""
    tables = [table for table in (curve.table, curve.slopes) if table is not None]
    low = min(table.domain.low for table in tables)
    one = torch.ones((), dtype=torch.float64)
    return Curve(tabulate(torch.ones_like, one, Domain(low, low)), curve.width)


def _names(scene: Scene) -> Tensor:
    """Return what faces are called: their image, and their number in the mesh, (N, 2)."""
    return torch.stack([scene.face_images, scene.source_face], 1)


def _present(scene: Scene) -> int:
    """Return of how many faces of the meshes there is a part in a scene."""
    return len(torch.unique(_names(scene), dim=0))


def _faces(projected: ProjectedFaces, job: RasterJob, curve: Curve, total: int, kept: int) -> Faces:
    """Count faces of the meshes, `kept` of which are not culled.

    One that the near plane cut is as large as its pieces.
    """
    first, last = job.rows(curve.numbers(job.points)).reshape(-1, 2).unbind(1)
    scene = projected.scene
    names, present = _names(scene), _present(scene)
    seen, piece_of = torch.unique(names[projected.in_front], dim=0, return_inverse=True)
    drawn = torch.zeros(len(seen), device=names.device).index_add_(
        0, piece_of, (last > first)[projected.in_front].float()
    )
    areas = projected.areas[projected.in_front]
    areas = areas.new_zeros(len(seen)).index_add_(0, piece_of, areas)
    return Faces(
        total=total,
        drawn=int((drawn > 0).sum()),
        behind_near=present - len(seen),
        off_screen=int((drawn == 0).sum()),
        below_a_pixel=int(((drawn > 0) & (areas < 1)).sum()),
        culled=total - kept,
        beyond_lens=kept - present,
    )


def _against(
    wanted: Tensor, distances: Tensor, saturated: Tensor, width: float, reach: float
) -> Against:
    covered = distances == 0
    away = distances[wanted]
    farthest = float(away.max()) if len(away) else 0.0
    return Against(
        target_pixels=int(wanted.sum()),
        covered_pixels=int((wanted & covered).sum()),
        unreached_pixels=int((away > reach).sum()),
        farthest=farthest,
        scale_to_reach_all=width * farthest / reach if reach else (math.inf if farthest else 0.0),
        excess_pixels=int((covered & ~wanted).sum()),
        stuck_pixels=int((saturated & ~wanted).sum()),
    )
