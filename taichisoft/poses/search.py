"""Search for poses of a known mesh: many starts, soft images, and Adam.

Random orientations are moved and scaled so that their bounding boxes are those of the masks; those that agree
best are optimised in small images, and the best of these in larger ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from taichisoft.fitting.fit import fit
from taichisoft.geometry.rotations import from_axis_angle, random_rotations
from taichisoft.poses.alignment import NEAREST, aligned
from taichisoft.poses.evidence import Evidence
from taichisoft.poses.poses import Poses
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.softness.aggregation import Max
from taichisoft.softness.annealing import ExponentialAnnealing
from taichisoft.softness.coverage import ExponentialReversed

# Random orientations that are looked at for each one that is optimised.
CANDIDATES = 16
# Longer sides of the images of the two stages in pixels, and how many poses reach the second.
COARSE, FINE = 64, 192
KEPT = 8
# Poses within this angle, in degrees, are variants of one pose.
APART = 15.0
# Rates of Adam of the first stage; the second has a part of them. Radians, and radii of the mesh.
RATES = {"turn": 0.08, "shift": 0.04, "depth": 0.04}
FINE_PART = 0.2
# Tail outside of a face in the second stage, in pixels, at its start and its end. With the maximum over
# faces and nothing taken away inside, the silhouette is larger than the hard one by that much only; curves
# that several faces add up (Gaussian, probabilistic) left 0.4 % of the depth or more.
FINE_TAIL = (1.0, 0.05)

Report = Callable[[str], None]
Unknowns = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Search:
    """How to search.

    Parameters
    ----------
    renderer : SoftRasterizer
        Softness of the first stage, whose images are `COARSE` pixels long.
    steps : int
        Steps of Adam in each stage.
    starts : int
        Orientations that are optimised.
    seed : int
        Of the random orientations.
    report : callable
        Gets a line about each stage.
    """

    renderer: SoftRasterizer
    steps: int
    starts: int
    seed: int
    report: Report

    def found(self, evidence: Evidence) -> Poses:
        """Return the poses that fit best, at most `KEPT`, the best first."""
        return self._finished(evidence, self.coarse(evidence))

    def coarse(self, evidence: Evidence) -> Poses:
        """Return the poses of the first stage, the best first."""
        small = evidence.resized(COARSE)
        generator = torch.Generator().manual_seed(self.seed)
        rotation = random_rotations(CANDIDATES * self.starts, generator, torch.float32)
        rotation = rotation.to(evidence.mask.device)
        poses = small.measured(rotation, aligned(small, rotation, generator)).best(self.starts)
        self.report(f"best of {len(rotation)} random orientations: {_words(poses)}")
        poses = refined(small, poses, self.renderer, self.steps, RATES).best(self.starts)
        self.report(f"best of {self.starts} starts after {self.steps} steps: {_words(poses)}")
        return poses

    def refined_from(self, evidence: Evidence, rotation: Tensor, translation: Tensor) -> Poses:
        """Return the pose that a given one, (3, 3) and (3,), leads to, as one of `Poses`."""
        small = evidence.resized(COARSE)
        start = small.measured(rotation[None], translation[None])
        self.report(f"at the start: {_words(start)}")
        poses = refined(small, start, self.renderer, self.steps, RATES)
        self.report(f"after {self.steps} steps: {_words(poses)}")
        return self._finished(evidence, poses)

    def _finished(self, evidence: Evidence, poses: Poses) -> Poses:
        """Return the best poses after the second stage, measured in the images as they were given."""
        rates = {name: FINE_PART * rate for name, rate in RATES.items()}
        tail = ExponentialReversed(ExponentialAnnealing(*FINE_TAIL))
        renderer = SoftRasterizer(tail, Max())
        poses = refined(evidence.resized(FINE), kept(poses), renderer, self.steps, rates)
        poses = evidence.measured(poses.rotation, poses.translation).best(KEPT)
        self.report(
            f"best of {len(poses)} after {self.steps} steps in a larger image: {_words(poses)}"
        )
        return poses


def kept(poses: Poses) -> Poses:
    """Return `KEPT` poses: the best ones, which are often variants of one, and the best that are apart.

    Were it the best alone, another pose that fits as well could be lost.
    """
    ordered = poses.best(len(poses))
    chosen = [*range(min(KEPT // 2, len(ordered))), *ordered.apart(APART), *range(len(ordered))]
    return ordered[list(dict.fromkeys(chosen))[:KEPT]]


def refined(
    evidence: Evidence, poses: Poses, renderer: SoftRasterizer, steps: int, rates: dict[str, float]
) -> Poses:
    """Return poses after an optimisation of the loss of soft images, each by itself.

    The unknowns are an axis times an angle about the axes of the first camera, a shift to the right and down,
    and the logarithm of the depth.
    """
    start = poses.translation

    def pose(unknowns: Unknowns) -> tuple[Tensor, Tensor]:
        depth = start[:, 2] * unknowns["depth"].exp()
        depth = NEAREST + softplus(depth - NEAREST, beta=10.0)
        across = (start[:, :2] + unknowns["shift"]) / start[:, 2:]
        translation = depth[:, None] * torch.cat([across, torch.ones_like(depth)[:, None]], -1)
        return from_axis_angle(unknowns["turn"]) @ poses.rotation, translation

    def loss(unknowns: Unknowns) -> Tensor:
        return evidence.loss(renderer, *pose(unknowns))

    def hard_loss(unknowns: Unknowns) -> Tensor:
        return evidence.measured(*pose(unknowns)).loss

    evidence.tell(renderer, poses)
    count = len(start)
    unknowns = {
        "turn": start.new_zeros(count, 3),
        "shift": start.new_zeros(count, 2),
        "depth": start.new_zeros(count),
    }
    found = fit(
        loss,
        unknowns,
        steps,
        optimizer=lambda leaves: _cooling_adam(leaves, [rates[name] for name in unknowns], steps),
        renderer=renderer,
        judge=hard_loss,
        progress=False,
    )
    return evidence.measured(*pose(found.parameters))


def _cooling_adam(leaves: list[Tensor], rates: list[float], steps: int) -> torch.optim.Optimizer:
    """Return Adam with a rate for each leaf, that falls to 0 as half a cosine."""
    groups = [{"params": [leaf], "lr": rate} for leaf, rate in zip(leaves, rates, strict=True)]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    return optimizer


def _words(poses: Poses) -> str:
    return f"IoU {float(poses.iou[0]):.3f}"
