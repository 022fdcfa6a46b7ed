"""What a softness does to a scene, in numbers and words: its reach, its cost, and what to change."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from taichisoft.advice import advice
from taichisoft.base.backend import backend
from taichisoft.engine.coverage import accumulate
from taichisoft.engine.job import Buffers, least_bytes
from taichisoft.engine.scene import Scene
from taichisoft.projected_faces import ProjectedFaces
from taichisoft.softness.curves import Curve
from taichisoft.softness.tables.domain import Domain
from taichisoft.softness.tables.table import tabulate
from taichisoft.suggest import as_mask, narrow_scale

if TYPE_CHECKING:
    from taichisoft.render.rasterizer import SoftRasterizer

# Forward + backward of silhouettes on two CPU cores: python -m benchmarks.scaling gives 5 to 13 ns a
# fragment from a million of them on, and never less than this.
NANOSECONDS = 10
LEAST_MILLISECONDS = 2.5
# Memory of a second derivative of a silhouette, by the growth of the peak over 0.7 and 6 million fragments
# (38 to 40 in float32). Of an image of three colours it was 330 to 420.
SECOND_ORDER_BYTES = 40
# From here on alpha passes on less than a thousandth of its gradient under a probabilistic sum.
SATURATED = 0.999


@dataclass(frozen=True)
class Faces:
    """How many faces of all images are what.

    Parameters
    ----------
    total : int
        All of them.
    drawn : int
        At least in part in front, and the bounding box of that grown by the reach overlaps the image.
    behind_near : int
        Not drawn, since no vertex is beyond the near plane.
    off_screen : int
        At least in part in front, and not drawn: beside the image, or so small that no row has a centre of
        a pixel within reach.
    below_a_pixel : int
        Drawn, with an area below one square pixel.
    """

    total: int
    drawn: int
    behind_near: int
    off_screen: int
    below_a_pixel: int


@dataclass(frozen=True)
class Against:
    """How the mesh compares with a target.

    Parameters
    ----------
    target_pixels : int
        Pixels of the target, in all images.
    covered_pixels : int
        Of these, those whose centre lies in a face.
    unreached_pixels : int
        Of these, those out of reach of every face: nothing pulls the mesh towards them.
    farthest : float
        Pixels from the farthest of the target to the nearest face; infinite if none is in front.
    scale_to_reach_all : float
        The least scale in pixels with which every pixel of the target is within reach; infinite if none is.
    excess_pixels : int
        Pixels that lie in a face and not in the target.
    stuck_pixels : int
        Of these, those with an alpha above 0.999.
    """

    target_pixels: int
    covered_pixels: int
    unreached_pixels: int
    farthest: float
    scale_to_reach_all: float
    excess_pixels: int
    stuck_pixels: int


@dataclass(frozen=True)
class Explanation:
    """What a renderer does with a scene; ``str()`` says it in words. Made by `SoftRasterizer.explain`.

    Parameters
    ----------
    images : int
        Number of images B.
    image_size : (int, int)
        Height and width in pixels.
    scale : float
        Width of the softness in pixels at its current progress.
    reach : float
        Cut-off radius in pixels: farther outside a face has no effect.
    gradient_reach : float
        How far outside it has a gradient, in pixels; 0 for a step. Differs from `reach` for a
        straight-through softness.
    adds_up : bool
        Whether the coverages of faces are summed, rather than their maximum taken.
    suggested_scale : float or None
        In pixels, see `suggest_scale`; None if no face is in front.
    faces : Faces
        What becomes of the faces.
    fragments : int
        Pairs of a face and a pixel within its reach.
    faces_per_pixel : float
        Mean over the pixels that a face reaches; 0 if there is none.
    most_faces_per_pixel : int
        Largest number of faces that reach a pixel.
    memory : int
        Bytes of image and gradient, about; they do not depend on the fragments.
    second_order_memory : int
        Bytes of a second derivative of a silhouette, about.
    milliseconds : float or None
        Time of a silhouette forward and backward on two CPU cores, within a factor of two or so; None on
        other backends.
    inflation : float or None
        Sum of alpha over the number of pixels whose centre lies in a face, minus 1; None if there is none.
    saturated : float or None
        Share of the latter pixels with an alpha above 0.999; None if there is none.
    against : Against or None
        How the mesh compares with the target, if there is one.
    """

    images: int
    image_size: tuple[int, int]
    scale: float
    reach: float
    gradient_reach: float
    adds_up: bool
    suggested_scale: float | None
    faces: Faces
    fragments: int
    faces_per_pixel: float
    most_faces_per_pixel: int
    memory: int
    second_order_memory: int
    milliseconds: float | None
    inflation: float | None
    saturated: float | None
    against: Against | None

    @property
    def advice(self) -> tuple[str, ...]:
        """What to change, in words; empty if nothing looks wrong."""
        return advice(self)

    def __str__(self) -> str:
        height, width = self.image_size
        images = f"{self.images} image{'s' * (self.images > 1)} of {height} x {width} pixels"
        f = self.faces
        lines = [
            f"{images}; softness {self.scale:.3g} px wide ({self.scale / height:.2g} of the image height), "
            f"cut off {self.reach:.3g} px outside of a face",
            f"faces: {f.total}, of these {f.drawn} drawn ({f.below_a_pixel} smaller than a pixel), "
            f"{f.behind_near} behind the near plane, {f.off_screen} off-screen or between centres of pixels",
            f"faces that reach a pixel: {self.faces_per_pixel:.3g} in the mean, "
            f"{self.most_faces_per_pixel} at most; {self.fragments} fragments",
            f"cost: {_bytes(self.memory)} for image and gradient{self._time()}; second derivatives "
            f"{_bytes(self.second_order_memory)}",
            f"silhouette: {self._silhouette()}",
        ]
        if self.against is not None:
            lines.append(self._against(self.against))
        return "\n".join(lines + [f"-> {line}" for line in self.advice])

    def _time(self) -> str:
        if self.milliseconds is None:
            return ""
        return f", about {self.milliseconds:.2g} ms for a silhouette with gradient on two CPU cores"

    def _silhouette(self) -> str:
        if self.inflation is None:
            return "no pixel is covered"
        return (
            f"the sum of alpha is {1 + self.inflation:.3g} times the covered area, {self.saturated:.0%} of "
            f"which has an alpha above {SATURATED}"
        )

    def _against(self, a: Against) -> str:
        return (
            f"target: {a.target_pixels} pixels, {a.covered_pixels} covered, {a.unreached_pixels} out of "
            f"reach, the farthest {a.farthest:.3g} px away; {a.excess_pixels} pixels covered too much, "
            f"{a.stuck_pixels} of them with alpha above {SATURATED}"
        )


@torch.no_grad()
def explain(
    renderer: SoftRasterizer, scene: Scene, total: int, target: Tensor | None
) -> Explanation:
    """Say what a renderer does with a scene of the size of its images; see `SoftRasterizer.explain`.

    `total` is the number of faces of the meshes of all images; the near plane leaves more or fewer of them.
    """
    buffers, projected = Buffers(scene), ProjectedFaces(scene)
    generator = renderer.curves(scene.image_size[0])[0]
    # In pixels of the image; what is rendered has more of them.
    generator = replace(generator, width=generator.width / renderer.ssaa)
    height, breadth = (renderer.ssaa * n for n in scene.image_size)
    rendered = replace(scene, image_size=(height, breadth))
    takes_max = renderer.aggregation.takes_max
    alpha = renderer.aggregation.inverse(accumulate(buffers, generator, takes_max))
    count = accumulate(buffers, _within_reach(generator), False)
    reaching = int(count.sum(dtype=torch.float64))
    fragments = renderer.ssaa**2 * reaching
    reached = int((count > 0).sum())
    wanted = torch.zeros_like(alpha, dtype=torch.bool)
    wanted = wanted if target is None else as_mask(target, scene)
    distances = projected.distances(wanted)
    covered = distances == 0
    area = int(covered.sum())
    saturated = covered & (alpha > SATURATED)
    width = float(generator.width)
    slopes = generator.slopes or generator.table
    gradient_reach = max(-slopes.domain.low, 0.0) * width
    gradient_reach = gradient_reach if slopes.domain.span else 0.0
    time = max(LEAST_MILLISECONDS, NANOSECONDS * 1e-6 * fragments)
    return Explanation(
        images=scene.batch_size,
        image_size=scene.image_size,
        scale=width,
        reach=float(generator.numbers(scene.points)[1]) + 0.0,
        gradient_reach=gradient_reach,
        adds_up=not takes_max,
        suggested_scale=narrow_scale(projected) if bool(projected.in_front.any()) else None,
        faces=_faces(projected, buffers, generator, total),
        fragments=fragments,
        faces_per_pixel=reaching / max(reached, 1),
        most_faces_per_pixel=int(count.max()),
        memory=least_bytes(rendered),
        second_order_memory=SECOND_ORDER_BYTES * fragments,
        milliseconds=time if backend() == "cpu" else None,
        inflation=float(alpha.sum(dtype=torch.float64)) / area - 1 if area else None,
        saturated=int(saturated.sum()) / area if area else None,
        against=None
        if target is None
        else _against(wanted, distances, saturated, width, gradient_reach),
    )


def _within_reach(curve: Curve) -> Curve:
    """Return the curve that is 1 for every face that reaches a pixel."""
    tables = [table for table in (curve.table, curve.slopes) if table is not None]
    low = min(table.domain.low for table in tables)
    one = torch.ones((), dtype=torch.float64)
    return Curve(tabulate(torch.ones_like, one, Domain(low, low)), curve.width)


def _faces(projected: ProjectedFaces, buffers: Buffers, curve: Curve, total: int) -> Faces:
    """Count faces of the meshes: one that the near plane cut is as large as its pieces."""
    first, last = buffers.rows(curve.numbers(buffers.points)).reshape(-1, 2).unbind(1)
    scene = projected.scene
    names = torch.stack([scene.face_images, scene.source_face], 1)
    seen, piece_of = torch.unique(names[projected.in_front], dim=0, return_inverse=True)
    drawn = torch.zeros(len(seen), device=names.device).index_add_(
        0, piece_of, (last > first)[projected.in_front].float()
    )
    areas = projected.areas[projected.in_front]
    areas = areas.new_zeros(len(seen)).index_add_(0, piece_of, areas)
    return Faces(
        total=total,
        drawn=int((drawn > 0).sum()),
        behind_near=total - len(seen),
        off_screen=int((drawn == 0).sum()),
        below_a_pixel=int(((drawn > 0) & (areas < 1)).sum()),
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


def _bytes(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count < 1e9 else f"{count / 1e9:.3g} GB"
