"""A pose found: a mug is turned until its silhouette is the one that is wanted."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from taichisoft.cameras.camera import Camera
from taichisoft.cli.demonstrations.pictures import compared
from taichisoft.fitting.fit import fit
from taichisoft.fitting.history import ParameterValues
from taichisoft.geometry.losses import iou, iou_loss
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.rotations import from_axis_angle
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.shapes import mug
from taichisoft.softness.annealing import ExponentialAnnealing
from taichisoft.softness.coverage import Gaussian

STEPS, RATE = 60, 0.06
# Axis times angle in radians, that is 63 degrees.
START = (-0.5, 0.9, 0.4)
# Scale in pixels, from wide to narrow.
WIDE, NARROW = 6.0, 0.4
# As many pixels as make the other demonstrations' kernels do for this one as well.
SIZE = (256, 256)


def find_pose(path: Path) -> str:
    """Write the animation, and return in words what was found.

    Parameters
    ----------
    path : Path
        GIF file to write.

    Raises
    ------
    OSError
        It cannot be written.
    """
    mesh, hard = mug(), SoftRasterizer.hard()
    camera = Camera.look_at(eye=(2.5, 1.2, 2.0), fov=40, image_size=SIZE)
    target = hard.silhouette(mesh, camera)
    start = {"turn": torch.tensor(START)}

    def turned(p: ParameterValues) -> Mesh:
        return mesh.with_vertices(mesh.vertices @ from_axis_angle(p["turn"]).mT)

    def loss(p: ParameterValues) -> Tensor:
        return iou_loss(render.silhouette(turned(p), camera), target)

    def draw(p: ParameterValues) -> Tensor:
        return compared(render.silhouette(turned(p), camera)[0], target[0])

    render = SoftRasterizer(Gaussian(ExponentialAnnealing(WIDE, NARROW)))
    found = fit(
        loss, start, STEPS, learning_rate=RATE, renderer=render, snapshot_every=2, progress=False
    )
    found.history.animate(path, draw, last_frame_ms=2500)
    reached = float(iou(hard.silhouette(turned(found.parameters), camera), target))
    angles = [math.degrees(float(p["turn"].norm())) for p in (start, found.parameters)]
    return (
        f"a pose found: a mug {angles[0]:.0f} degrees off is {angles[1]:.1f} off after {STEPS} steps, "
        f"IoU {reached:.3f}"
    )
