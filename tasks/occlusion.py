"""Occlusion: where coloured planes lie and which is in front of which, from one colour picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft import Mesh, Situation, SoftRasterizer, situation_of
from taichisoft.base.checks import check_dtype, check_image_size, check_integer
from taichisoft.geometry.losses import mse
from tasks.arguments import Unknowns, check_problem, check_span, check_unknowns
from tasks.base import Split, Task, TaskFamily
from tasks.faults import Fault, check_fault, spoiled
from tasks.hard import hard_renderer
from tasks.layer_draws import SPACING, directions, draw_gaps, draw_layers, random_depths
from tasks.layers import Layers, camera_of, picture, stack, with_wall
from tasks.outlines import FACES, HELD_OUT_OUTLINES, TRAIN_OUTLINES, check_faces

# Two pixels of 64. Less than one wrong pair of the 15 that the largest number of planes has, so that then all
# pairs are in order, and all planes within 1/32 image heights of their places.
SOLVED = 1 / 32
FEWEST_PLANES, MOST_PLANES = 3, 6
# Of a wall behind the planes: as far as these are apart, and a thousand heights of the picture.
LEAST_GAP, MOST_GAP = SPACING, 1e3
# Difference of depth over which the smooth error of a pair changes.
SOFT_ORDER = SPACING / 2


@dataclass(frozen=True, eq=False)
class OcclusionTask(Task):
    """Planes to find. Made by `OcclusionFamily.sample`.

    The unknown "depth" (P, K) is along the view direction and "offset" (P, K, 2) in the image, x
    right and y up; both in image heights. The camera is orthographic, so that depth is seen
    through occlusion alone. All that the inner optimisation sees is the picture's colour.

    Parameters
    ----------
    layers : Layers
        The solution of P problems of K planes.
    pairs : Tensor, (P, K, K)
        The pairs of `Layers.seen`: those that should be in order.
    image_size : (int, int)
        Height and width in pixels.
    start : dict of Tensor
        The unknowns at the start.
    targets : Tensor, (P, H, W, 3)
        Hard pictures of the solution, on a grey background.
    seen : Tensor, (P, H, W, 3)
        What the loss compares with: the targets, or such with a fault.
    wall : Tensor, (P,), optional
        Depth of a wall of the background's colour behind the planes; None: there is none.
    """

    layers: Layers
    pairs: Tensor
    image_size: tuple[int, int]
    start: Unknowns
    targets: Tensor
    seen: Tensor
    wall: Tensor | None = None
    solved_below = SOLVED

    def solution(self) -> Unknowns:
        """Return the depths and offsets of the targets."""
        return {"depth": self.layers.depth.clone(), "offset": self.layers.offset.clone()}

    def loss(self, unknowns: Unknowns, renderer: SoftRasterizer) -> Tensor:
        """Return the mean squared difference of soft picture and what is seen of each problem, (P,).

        Over the pixels and the three channels. The background is the task's, whatever that of the
        renderer is.
        """
        return mse(self._picture(unknowns, renderer), self.seen)

    @torch.no_grad()
    def error(self, unknowns: Unknowns) -> Tensor:
        """Return the share of wrong pairs plus the largest distance from a true offset, (P,).

        Of the pairs that are seen to hide each other in the target, the share that is not in that
        order; and the distance of the worst placed plane in image heights. No gradient.
        """
        check_unknowns(unknowns, self.start)
        return self._share(self._gaps(unknowns) >= 0) + self._farthest(unknowns)

    def differentiable_error(self, unknowns: Unknowns) -> Tensor:
        """Return the error with a pair counted by a logistic function of its gap, (P,).

        The function is 1/2 at equal depths, and 0.12 where the planes are 0.1 apart in the right
        order, so that it is not 0 at the solution.
        """
        check_unknowns(unknowns, self.start)
        return self._share(torch.sigmoid(self._gaps(unknowns) / SOFT_ORDER)) + self._farthest(
            unknowns
        )

    def situation(self) -> Situation:
        """Return what is known of the planes where they start, and of the wall."""
        planes = self._planes(self.init())
        return situation_of(planes, camera_of(planes, self.image_size), colors=True)

    @torch.no_grad()
    def views(self, unknowns: Unknowns, problem: int) -> Tensor:
        """Return the hard picture of one problem, (H, W, 3)."""
        check_problem(problem, self.count)
        return self._picture(unknowns, hard_renderer())[problem]

    def _picture(self, unknowns: Unknowns, renderer: SoftRasterizer) -> Tensor:
        return picture(self._planes(unknowns), self.image_size, renderer)

    def _planes(self, unknowns: Unknowns) -> Mesh:
        check_unknowns(unknowns, self.start)
        planes = self.layers.at(**unknowns)
        return planes if self.wall is None else with_wall(planes, self.wall, self.image_size)

    def _gaps(self, unknowns: Unknowns) -> Tensor:
        """Return depths of planes i minus those of j, (P, K, K)."""
        depth = unknowns["depth"]
        return depth[:, :, None] - depth[:, None, :]

    def _share(self, wrong: Tensor) -> Tensor:
        """Return the mean over the visible pairs, (P,)."""
        pairs = self.pairs.to(self.targets)
        return (wrong * pairs).sum((1, 2)) / pairs.sum((1, 2))

    def _farthest(self, unknowns: Unknowns) -> Tensor:
        away = unknowns["offset"] - self.layers.offset
        return torch.linalg.vector_norm(away, dim=-1).amax(-1)


@dataclass(frozen=True)
class OcclusionFamily(TaskFamily):
    """Coloured planes, tessellated and parallel to the image, that partly hide each other.

    Parameters
    ----------
    image_size : (int, int)
        Height and width in pixels.
    planes : int
        Number of planes, 3 to 6: the more, the harder.
    displacement : (float, float)
        Smallest and largest distance of each plane's start from its place, in image heights,
        within [0, 1]: the larger, the harder.
    background_gap : (float, float), optional
        Smallest and largest distance in depth of a wall of the background's colour from the solution's
        farthest plane, in image heights, within [0.1, 1000]. No picture of the solution differs by it: the
        problems are those without a wall, and so are their targets. None: there is no wall.
    faces : int
        Of each plane: 36; or 12, without the ring of vertices half-way to the outline; or 144, each of the 36
        cut in four. All else is drawn alike: a face in the place of three has their mean colour, the four in
        the place of one have its colour.
    fault : Fault, optional
        What is wrong with the pictures that the loss compares with. The problems are those without it, and
        so are targets and errors. None: nothing is.
    dtype : torch.dtype
        Of the problems, float32 or float64.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of an argument.

    Notes
    -----
    After the occlusion experiment of "Learning to Rasterize Differentiably" (Wu et al., EGSR 2024),
    where three planes are put in order. Here the outlines and sizes of the planes, in-plane
    rotations, colours and depths are drawn for each problem; the outlines to learn from
    (`tasks.outlines.TRAIN_OUTLINES`) and those to test on are different ones. At every start a pair
    that is seen is in the wrong order.

    Of 32 problems to learn from, 40 steps at a Gaussian scale of 0.6 pixels and a gamma of 0.3
    solve 75, 72, 50 and 47 % with 3, 4, 5 and 6 planes; with 5 planes at displacements of 0.05 to
    0.15 it is 78 %, at 0.2 to 0.3 it is 19 %.
    """

    name = "occlusion"
    error_unit = "wrong pairs + image heights"
    # About the median error of a start.
    error_cap = 0.8
    # In image heights.
    learning_rate = 0.05

    image_size: tuple[int, int] = (64, 64)
    planes: int = 5
    displacement: tuple[float, float] = (0.1, 0.25)
    background_gap: tuple[float, float] | None = None
    faces: int = FACES
    fault: Fault | None = None
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", check_image_size(self.image_size))
        if check_integer(self.planes, "planes", minimum=FEWEST_PLANES) > MOST_PLANES:
            raise ValueError(f"planes must be at most {MOST_PLANES}, got {self.planes}")
        span = check_span(self.displacement, "displacement", 0.0, 1.0)
        object.__setattr__(self, "displacement", span)
        if self.background_gap is not None:
            gap = check_span(self.background_gap, "background_gap", LEAST_GAP, MOST_GAP)
            object.__setattr__(self, "background_gap", gap)
        check_faces(self.faces)
        check_fault(self.fault)
        check_dtype(self.dtype)

    def draw(self, count: int, split: Split, generator: torch.Generator) -> OcclusionTask:
        """Return ``count`` random problems with the outlines of a split."""
        outlines = {Split.TRAIN: TRAIN_OUTLINES, Split.HELD_OUT: HELD_OUT_OUTLINES}[split]
        drawn = []
        for _ in range(count):
            layers, pairs = draw_layers(list(outlines.values()), self.planes, generator)
            drawn.append((layers, pairs, *self._start(layers, pairs, generator)))
        layers, pairs, depth, offset = zip(*drawn, strict=True)
        layers = stack(layers, self.dtype).with_faces(self.faces)
        start = {"depth": torch.stack(depth), "offset": torch.stack(offset)}
        start = {name: value.to(self.dtype) for name, value in start.items()}
        solved = layers.at(layers.depth, layers.offset)
        targets = picture(solved, self.image_size, hard_renderer())
        # Drawn last, so that all else is drawn as without a wall and a fault.
        wall = self._wall(layers, generator)
        seen = spoiled(targets, self.fault, generator)
        return OcclusionTask(
            layers, torch.stack(pairs), self.image_size, start, targets, seen, wall
        )

    def _wall(self, layers: Layers, generator: torch.Generator) -> Tensor | None:
        """Return the depths of walls behind P times K planes, (P,)."""
        if self.background_gap is None:
            return None
        farthest = layers.depth.amax(1)
        return farthest + draw_gaps(self.background_gap, len(farthest), generator).to(farthest)

    def _start(
        self, layers: Layers, pairs: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return depths (K,) of which a visible pair is in the wrong order, and offsets (K, 2)."""
        depth = layers.depth
        while not ((depth[:, None] > depth) & pairs).any():
            depth = random_depths(self.planes, generator)
        low, high = self.displacement
        distance = torch.rand((self.planes, 1), generator=generator, dtype=torch.float64)
        distance = low + (high - low) * distance
        return depth, layers.offset + distance * directions(self.planes, generator)
