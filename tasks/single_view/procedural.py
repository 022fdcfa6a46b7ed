"""Photographs of procedural objects, taken from rings of cameras by the hard renderer."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from taichisoft import Camera, Mesh, SoftRasterizer
from tasks.base import Split
from tasks.single_view.categories import CATEGORIES
from tasks.single_view.objects import draw_object
from tasks.single_view.photographs import Photographs, Subject
from tasks.single_view.settings import DataSettings, ViewSettings

# Pixels that are drawn, and then averaged, for each pixel of a photograph, along each axis.
OVERSAMPLING = 3
# Rings from which nothing was ever shown lie between those that were; with one ring, so far above it.
ABOVE = 15.0


def procedural(settings: DataSettings, split: Split) -> Photographs:
    """Return photographs of the objects of a split, from the rings of the settings."""
    return _photographs(settings, split, ring_cameras(settings.views, settings.image_size))


def judged(settings: DataSettings) -> Photographs:
    """Return photographs of the objects to test on from views that are in no ring."""
    camera = unseen_cameras(settings.views, settings.image_size)
    return _photographs(settings, Split.HELD_OUT, camera)


def ring_cameras(views: ViewSettings, image_size: int) -> Camera:
    """Return the cameras of all rings, those of the first ring first."""
    return _cameras(views, views.elevations, image_size, 0.0)


def unseen_cameras(views: ViewSettings, image_size: int) -> Camera:
    """Return cameras at other elevations and azimuths than those of the rings."""
    low, high = min(views.elevations), max(views.elevations)
    between = (low + high) / 2 if low < high else min(low + ABOVE, 89.0)
    return _cameras(views, (between,), image_size, 0.25)


def photograph(mesh: Mesh, camera: Camera) -> Tensor:
    """Return what cameras see of a coloured mesh, as a `Subject` has it, (K, H, W, 4) uint8."""
    with torch.no_grad():
        image = _exact()(mesh, camera)
    pictures = torch.cat([image.premultiplied, image.alpha[..., None]], -1)
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8)


def _photographs(settings: DataSettings, split: Split, camera: Camera) -> Photographs:
    count = settings.objects if split is Split.TRAIN else settings.held_out
    subjects = []
    for category in CATEGORIES:
        for number in range(count):
            mesh = draw_object(category, number, split, settings.seed)
            name = f"{category}-{number}"
            subjects.append(Subject(name, category, photograph(mesh, camera), camera, mesh))
    return Photographs(subjects)


def _cameras(
    views: ViewSettings, elevations: tuple[float, ...], image_size: int, ahead: float
) -> Camera:
    rings, each = len(elevations), views.per_ring
    ring = torch.arange(rings).repeat_interleave(each)
    around = torch.arange(each).repeat(rings)
    azimuth = (around + ring / 2 + ahead) * (360 / each)
    elevation = torch.tensor(elevations).float()[ring]
    return Camera.orbit(
        views.distance, azimuth, elevation, fov=views.fov, image_size=(image_size, image_size)
    )


@cache
def _exact() -> SoftRasterizer:
    """Return the renderer of photographs; kept, as it keeps its tables."""
    return SoftRasterizer.hard(ssaa=OVERSAMPLING)
