"""A few small objects, photographed once, that the tests share."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch

from taichisoft import Camera, Mesh
from tasks.single_view.renderers import Renderer
from tasks.single_view.runs import Data
from tasks.single_view.settings import DataSettings, Settings, quick

SETTINGS: Settings = quick()
DATA: DataSettings = SETTINGS.data


def settings(**changes: object) -> Settings:
    return replace(SETTINGS, **changes)


@cache
def data() -> Data:
    return Data.of(DATA)


class Dots(Renderer):
    """Vertices as wide blots: quick, and with a gradient everywhere; compiles nothing."""

    def __init__(self, width: float = 1.5):
        self.width = width

    def silhouette(self, mesh: Mesh, camera: Camera) -> torch.Tensor:  # noqa: D102
        return 1 - (1 - 0.9 * self._blots(mesh, camera)).prod(1)

    def color(self, mesh: Mesh, camera: Camera) -> torch.Tensor:  # noqa: D102
        blots = self._blots(mesh, camera)
        return (
            torch.einsum("bvhw,bvc->bhwc", blots, mesh.vertex_colors.expand(len(blots), -1, -1))
            / (1 + blots.sum(1))[..., None]
        )

    def _blots(self, mesh: Mesh, camera: Camera) -> torch.Tensor:
        points = camera.project(mesh.vertices)[..., :2]
        rows, columns = (torch.arange(side) + 0.5 for side in camera.image_size)
        x = (columns - points[..., 0, None]) / self.width
        y = (rows - points[..., 1, None]) / self.width
        return torch.exp(-(y.square()[..., None] + x.square()[..., None, :]) / 2)
