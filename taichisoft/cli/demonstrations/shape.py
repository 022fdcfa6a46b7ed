"""A shape from silhouettes: a sphere is deformed until it looks like a teapot from ten sides."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from taichisoft.cameras.camera import Camera
from taichisoft.cli.demonstrations.pictures import compared, enlarged, shaded
from taichisoft.fitting.fit import fit
from taichisoft.fitting.history import ParameterValues
from taichisoft.geometry.losses import Laplacian, NormalConsistency, iou, iou_loss
from taichisoft.geometry.mesh import Mesh
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.shapes import icosphere, teapot
from taichisoft.softness.annealing import ExponentialAnnealing
from taichisoft.softness.coverage import Gaussian

STEPS, RADIUS = 80, 0.5
# Weights of the terms that keep the surface smooth.
SMOOTH, FLAT = 20.0, 0.3
# From wide to narrow, in pixels of an image with 64 rows.
WIDE, NARROW = 2.0, 0.2
SIZE, SHOWN = (64, 64), (128, 128)


def find_shape(path: Path) -> str:
    """Write the animation, and return in words what was found.

    The parameters and errors are those of `find_pose`.
    """
    wanted, sphere, hard = teapot(), icosphere(3), SoftRasterizer.hard()
    seen = _around(5, (-30.0, 30.0))
    unseen = _around(5, (0.0,))
    targets, judged = hard.silhouette(wanted, seen), hard.silhouette(wanted, unseen)
    laplacian, consistency = Laplacian(sphere.faces), NormalConsistency(sphere.faces)
    render = SoftRasterizer(Gaussian(ExponentialAnnealing(WIDE, NARROW)))

    def deformed(p: ParameterValues) -> Mesh:
        return sphere.with_vertices(RADIUS * sphere.vertices + p["displacement"])

    def loss(p: ParameterValues) -> Tensor:
        mesh = deformed(p)
        rough = SMOOTH * laplacian(mesh.vertices) + FLAT * consistency(mesh.vertices)
        return iou_loss(render.silhouette(mesh, seen), targets) + rough

    camera = Camera.orbit(3.4, 60.0, 20.0, fov=30, image_size=SHOWN)
    solution = shaded(wanted, camera)

    def draw(p: ParameterValues) -> Tensor:
        mesh = deformed(p)
        rows = hard.silhouette(mesh, seen)
        masks = [compared(*pair) for pair in zip(rows[:4], targets[:4], strict=True)]
        above = torch.cat([shaded(mesh, camera), solution], 1)
        return enlarged(torch.cat([above, torch.cat(masks, 1)]), 2)

    start = {"displacement": torch.zeros_like(sphere.vertices)}
    found = fit(
        loss, start, STEPS, learning_rate=0.025, renderer=render, snapshot_every=4, progress=False
    )
    found.history.animate(path, draw, last_frame_ms=2500)
    with torch.no_grad():
        before, after = (
            float(iou(hard.silhouette(deformed(p), unseen), judged).mean())
            for p in (start, found.parameters)
        )
    return (
        f"a shape from {seen.batch_size} silhouettes: a sphere of IoU {before:.2f}, after {STEPS} steps "
        f"{after:.2f}, from {unseen.batch_size} other views"
    )


def _around(count: int, elevations: tuple[float, ...]) -> Camera:
    """Return cameras at equally spaced azimuths at each elevation, in degrees."""
    azimuths = torch.arange(count) * (360.0 / count)
    every = azimuths.repeat(len(elevations))
    heights = torch.tensor(elevations).repeat_interleave(count)
    return Camera.orbit(4.0, every, heights, fov=30, image_size=SIZE)
