"""A learned against a fixed softness: the same poses are searched with each."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import torch
from torch import Tensor

from taichisoft.base.files import write_atomically
from taichisoft.cameras.camera import Camera
from taichisoft.cli.demonstrations.pictures import compared
from taichisoft.cli.demonstrations.sheet import Entry, draw_sheet
from taichisoft.diagnosis.situation import situation_of
from taichisoft.diagnosis.suggest import suggest_scale
from taichisoft.files.animations import frame_of
from taichisoft.fitting.fit import fit
from taichisoft.geometry.losses import iou
from taichisoft.geometry.mesh_batch import MeshBatch
from taichisoft.geometry.rotations import (
    angle_between,
    from_axis_angle,
    random_directions,
    random_rotations,
)
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.shapes import OBJECTS
from taichisoft.softness.coverage import Gaussian, Logistic
from taichisoft.softness.situation import Situation

LEARNED = "general"
# Objects that it was not learned from, and how many poses of each.
NAMES = ("boot", "bracket", "lamp", "teapot", "wrench")
EACH = 4
# Degrees between start and solution, and within which one counts as found.
NEAREST, FARTHEST, FOUND = 30.0, 60.0, 5.0
STEPS, RATE = 30, 0.08
SIZE, SHOWN = (64, 64), 8


class Poses:
    """Objects whose orientations are to be found from their silhouettes; a `Problem` for `fit`."""

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        count = EACH * len(NAMES)
        meshes = MeshBatch.from_meshes([OBJECTS[name]() for _ in range(EACH) for name in NAMES])
        orientation = random_rotations(count, generator, torch.float32)
        self.start = meshes.with_vertices(meshes.vertices @ orientation.mT)
        share = torch.rand(count, 1, generator=generator)
        angle = torch.deg2rad(NEAREST + (FARTHEST - NEAREST) * share)
        self.truth = angle * random_directions(count, generator).float()
        self.camera = Camera.look_at((0.0, 0.0, 4.0), fov=32, image_size=SIZE)
        self.targets = SoftRasterizer.hard().silhouette(self.turned(self.truth), self.camera)

    def turned(self, turn: Tensor) -> MeshBatch:
        """Return the meshes turned by axes times angles (P, 3)."""
        return self.start.with_vertices(self.start.vertices @ from_axis_angle(turn).mT)

    def init(self) -> dict[str, Tensor]:
        """Return the start: not turned."""
        return {"turn": torch.zeros_like(self.truth)}

    def loss(self, unknowns: dict[str, Tensor], renderer: SoftRasterizer) -> Tensor:
        """Return 1 - IoU of each soft image and its target, (P,)."""
        alpha = renderer.silhouette(self.turned(unknowns["turn"]), self.camera)
        return 1 - iou(alpha, self.targets)

    def situation(self) -> Situation:
        """Return what a softness that follows the situation is told."""
        return situation_of(self.start, self.camera, colors=False)

    @torch.no_grad()
    def pictures(self, turn: Tensor) -> list[PIL.Image.Image]:
        """Return hard silhouettes of the first poses over their targets."""
        drawn = SoftRasterizer.hard().silhouette(self.turned(turn), self.camera)
        pairs = zip(drawn[:SHOWN], self.targets[:SHOWN], strict=True)
        return [frame_of(compared(*pair), "the picture") for pair in pairs]

    def angles(self, turn: Tensor) -> Tensor:
        """Return the degrees to the solutions, (P,)."""
        return torch.rad2deg(angle_between(from_axis_angle(turn), from_axis_angle(self.truth)))


def compare_softnesses(path: Path) -> str:
    """Write the picture, and return in words what was found.

    One batch of problems, for a look. What is claimed of a learned softness comes from many more, with
    intervals: ``docs/results.md``.

    Parameters
    ----------
    path : Path
        PNG file to write.

    Raises
    ------
    OSError
        It cannot be written.
    """
    poses = Poses()
    suggested = suggest_scale(poses.start, poses.camera)
    softnesses = {
        f'learned ("{LEARNED}")': SoftRasterizer.pretrained(LEARNED),
        "suggested scale": SoftRasterizer(Gaussian(suggested)),
        "SoftRas's default": SoftRasterizer(Logistic.softras()),
        "Gaussian of 1 px": SoftRasterizer(Gaussian(1.0)),
    }
    turns = {name: _turns(poses, renderer) for name, renderer in softnesses.items()}
    angles = {name: torch.stack([poses.angles(t) for t in turn]) for name, turn in turns.items()}
    count = len(poses.truth)
    sheet = draw_sheet(
        [
            Entry(name, angles[name].median(1).values.tolist(), poses.pictures(turns[name][-1]))
            for name in softnesses
        ],
        title=f"degrees to the solution, median of {count} poses",
        below=f"the first {SHOWN} after {STEPS} steps: what lacks is blue, what is too much orange",
        ticks=range(0, 50, 10),
    )
    write_atomically(path, lambda partial: sheet.save(partial, format="PNG"))
    found = {name: int((of[-1] < FOUND).sum()) for name, of in angles.items()}
    words = ", ".join(f"{name} {solved}" for name, solved in found.items())
    return (
        f"a learned softness against fixed ones, poses found of {count}: {words} (a small sample)"
    )


def _turns(poses: Poses, renderer: SoftRasterizer) -> list[Tensor]:
    """Return the turns (P, 3) before every step and after the last."""
    found = fit(
        poses, steps=STEPS, learning_rate=RATE, renderer=renderer, snapshot_every=1, progress=False
    )
    return [snapshot.parameters["turn"] for snapshot in found.history.snapshots]
