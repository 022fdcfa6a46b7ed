"""Silhouettes of several meshes from several views each, to compare renderings with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft import Camera, Mesh, SoftRasterizer
from taichisoft.cameras.model import joined
from taichisoft.geometry.losses import iou


@dataclass(frozen=True, eq=False)
class Silhouettes:
    """Hard silhouettes of P meshes from N views each.

    Parameters
    ----------
    camera : Camera
        P * N cameras, those of problem 0 first.
    images : Tensor, (P * N, H, W)
        What they see.
    """

    camera: Camera
    images: Tensor

    def iou(self, mesh: Mesh, renderer: SoftRasterizer) -> Tensor:
        """Return the mean IoU over the views, (P,), with renderings of P meshes of one topology."""
        problems = mesh.batch_size
        seen = renderer.silhouette(self._for_each_view(mesh), self.camera)
        return iou(seen, self.images).reshape(problems, -1).mean(1)

    def _for_each_view(self, mesh: Mesh) -> Mesh:
        views = self.camera.batch_size // mesh.batch_size
        return mesh.with_vertices(mesh.vertices.repeat_interleave(views, 0))


def join(parts: Sequence[Silhouettes]) -> Silhouettes:
    """Return the silhouettes of several meshes as one batch; all have the same number of views."""
    camera = joined([part.camera for part in parts])
    return Silhouettes(camera, torch.cat([part.images for part in parts]))
