"""Search for the pose of a known mesh in one mask: many starts, a soft silhouette, and Adam.

Random orientations are moved and scaled so that their bounding boxes are that of the mask; those whose
silhouettes overlap it most are optimised in a small image, and the best of these in a larger one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from taichisoft.cameras.camera import Camera
from taichisoft.cli.command import tell
from taichisoft.fitting.fit import fit
from taichisoft.geometry.losses import iou
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.rotations import from_axis_angle, random_rotations
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.softness.aggregation import Max
from taichisoft.softness.annealing import ExponentialAnnealing
from taichisoft.softness.coverage import ExponentialReversed

# Random orientations that are looked at for each one that is optimised, and how many at a time.
CANDIDATES = 16
AT_A_TIME = 64
# Longer sides of the images of the two stages in pixels, and how many poses reach the second.
COARSE, FINE = 64, 192
KEPT = 8
# Rates of Adam of the first stage; the second has a part of them. Radians, and radii of the mesh.
RATES = {"turn": 0.08, "shift": 0.04, "depth": 0.04}
FINE_PART = 0.2
# Tail outside of a face in the second stage, in pixels, at its start and its end. With the maximum over
# faces and nothing taken away inside, the silhouette is larger than the hard one by that much only; curves
# that several faces add up (Gaussian, probabilistic) left 0.4 % of the depth or more.
FINE_TAIL = (1.0, 0.05)
# The mesh, of radius 1, stays in front of the camera.
NEAREST = 1.1

Report = Callable[[str], None]
Unknowns = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Poses:
    """Poses of one mesh in front of one camera, and how well they fit.

    Parameters
    ----------
    rotation : Tensor, (P, 3, 3)
        Mesh to camera.
    translation : Tensor, (P, 3)
        Mesh to camera.
    iou : Tensor, (P,)
        Of the hard silhouette and the mask, in the image that they were last measured in.
    """

    rotation: Tensor
    translation: Tensor
    iou: Tensor

    def best(self, count: int) -> Poses:
        """Return the best of them, the very best first."""
        order = self.iou.argsort(descending=True)[:count]
        return Poses(self.rotation[order], self.translation[order], self.iou[order])


@dataclass(frozen=True, eq=False)
class View:
    """A mesh, the mask to fit, and the camera of the mask, at one resolution.

    Parameters
    ----------
    mesh : Mesh
        Of radius 1 about the origin.
    mask : Tensor, (H, W)
        In [0, 1].
    intrinsics : Tensor, (3, 3)
        For the pixels of the mask.
    """

    mesh: Mesh
    mask: Tensor
    intrinsics: Tensor

    def resized(self, longer_side: int) -> View:
        """Return the view in smaller pixels than it has; as it is, if it is small already."""
        height, width = self.mask.shape
        scale = longer_side / max(height, width)
        if scale >= 1:
            return self
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        mask = interpolate(self.mask[None, None], size, mode="area")[0, 0]
        stretch = torch.tensor([size[1] / width, size[0] / height, 1.0])
        return View(self.mesh, mask, stretch[:, None] * self.intrinsics)

    def cameras(self, rotation: Tensor, translation: Tensor) -> Camera:
        """Return the cameras of P poses."""
        height, width = self.mask.shape
        intrinsics = self.intrinsics.expand(len(rotation), 3, 3)
        return Camera(rotation, translation, intrinsics, (height, width))

    def silhouettes(
        self, renderer: SoftRasterizer, rotation: Tensor, translation: Tensor
    ) -> Tensor:
        """Return silhouettes of P poses, (P, H, W)."""
        return renderer.silhouette(self.mesh, self.cameras(rotation, translation))

    def overlap(self, renderer: SoftRasterizer, rotation: Tensor, translation: Tensor) -> Tensor:
        """Return the IoU of P silhouettes with the mask, (P,)."""
        drawn = self.silhouettes(renderer, rotation, translation)
        return iou(drawn, self.mask.expand_as(drawn))

    @torch.no_grad()
    def measured(self, rotation: Tensor, translation: Tensor) -> Poses:
        """Return poses with the IoU of their hard silhouettes."""
        hard = SoftRasterizer.hard()
        parts = zip(rotation.split(AT_A_TIME), translation.split(AT_A_TIME), strict=True)
        return Poses(rotation, translation, torch.cat([self.overlap(hard, *p) for p in parts]))


def find_poses(
    view: View, renderer: SoftRasterizer, *, steps: int, starts: int, seed: int, report: Report
) -> Poses:
    """Return the poses that fit a mask best, at most `KEPT`, the best first.

    Parameters
    ----------
    view : View
        At full resolution.
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
    coarse, fine = view.resized(COARSE), view.resized(FINE)
    generator = torch.Generator().manual_seed(seed)
    rotation = random_rotations(CANDIDATES * starts, generator, torch.float32)
    poses = coarse.measured(rotation, aligned(coarse, rotation)).best(starts)
    report(f"best of {len(rotation)} random orientations: IoU {float(poses.iou[0]):.3f}")
    poses = refined(coarse, poses, renderer, steps, RATES).best(KEPT)
    report(f"best of {starts} starts after {steps} steps: IoU {float(poses.iou[0]):.3f}")
    rates = {name: FINE_PART * rate for name, rate in RATES.items()}
    tail = ExponentialReversed(ExponentialAnnealing(*FINE_TAIL))
    poses = refined(fine, poses, SoftRasterizer(tail, Max()), steps, rates)
    poses = view.measured(poses.rotation, poses.translation).best(KEPT)
    report(
        f"best of {len(poses.iou)} after {steps} steps in a larger image: IoU {poses.iou[0]:.3f}"
    )
    return poses


def refined(
    view: View, poses: Poses, renderer: SoftRasterizer, steps: int, rates: dict[str, float]
) -> Poses:
    """Return poses after an optimisation of ``1 - IoU`` of the soft silhouettes, each by itself.

    The unknowns are an axis times an angle about the axes of the camera, a shift to the right and down,
    and the logarithm of the depth.
    """
    start = poses.translation

    def pose(unknowns: Unknowns) -> tuple[Tensor, Tensor]:
        depth = start[:, 2] * unknowns["depth"].exp()
        depth = NEAREST + torch.nn.functional.softplus(depth - NEAREST, beta=10.0)
        across = (start[:, :2] + unknowns["shift"]) / start[:, 2:]
        translation = depth[:, None] * torch.cat([across, torch.ones_like(depth)[:, None]], -1)
        return from_axis_angle(unknowns["turn"]) @ poses.rotation, translation

    def loss(unknowns: Unknowns) -> Tensor:
        return 1 - view.overlap(renderer, *pose(unknowns))

    def hard_loss(unknowns: Unknowns) -> Tensor:
        return 1 - view.measured(*pose(unknowns)).iou

    tell(renderer, view.mesh, view.cameras(poses.rotation, start), colors=False)
    count = len(start)
    unknowns = {
        "turn": torch.zeros(count, 3),
        "shift": torch.zeros(count, 2),
        "depth": torch.zeros(count),
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
    return view.measured(*pose(found.parameters))


def _cooling_adam(leaves: list[Tensor], rates: list[float], steps: int) -> torch.optim.Optimizer:
    """Return Adam with a rate for each leaf, that falls to 0 as half a cosine."""
    groups = [{"params": [leaf], "lr": rate} for leaf, rate in zip(leaves, rates, strict=True)]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    return optimizer


def aligned(view: View, rotation: Tensor) -> Tensor:
    """Return translations (P, 3) that bring the box around each turned mesh to that of the mask.

    A few steps of a fixed-point iteration: shift the middle, and divide the depth by the ratio of sizes.
    """
    rows, columns = torch.nonzero(view.mask >= 0.5 * view.mask.max(), as_tuple=True)
    low = torch.stack([columns.min(), rows.min()]).float()
    high = torch.stack([columns.max(), rows.max()]).float() + 1
    focal, principal = view.intrinsics[[0, 1], [0, 1]], view.intrinsics[:2, 2]
    middle, size = (low + high) / 2, (high - low)
    points = view.mesh.vertices @ rotation.mT
    depth = (2 * (focal / size).mean()).clamp(min=NEAREST).expand(len(rotation))
    across = ((middle - principal) / focal).expand(len(rotation), 2)
    for _ in range(5):
        translation = torch.cat([across * depth[:, None], depth[:, None]], -1)
        placed = points + translation[:, None]
        pixels = placed[..., :2] / placed[..., 2:].clamp(min=0.05) * focal + principal
        least, most = pixels.amin(1), pixels.amax(1)
        across = across + (middle - (least + most) / 2) / focal
        ratio = ((most - least) / size).clamp(0.5, 2).log().mean(-1).exp()
        depth = (depth * ratio).clamp(min=NEAREST)
    return torch.cat([across * depth[:, None], depth[:, None]], -1)
