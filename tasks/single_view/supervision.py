"""Supervision from images alone: shapes are drawn, and compared with two views of the same object.

With known poses the cameras are those of the images (Liu et al. 2019). Without, the shape from one image is
drawn at the poses that are told from both; of several hypotheses the one that fits best is learned from, and
scores learn which one that is (Insafutdinov and Dosovitskiy 2018).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from taichisoft import Camera, Mesh, iou
from tasks.single_view.network import PoseNetwork, Poses, Reconstructor
from tasks.single_view.photographs import Photographs
from tasks.single_view.renderers import Renderer
from tasks.single_view.settings import LossSettings, Settings
from tasks.template import template_of

VIEWS = 2


class Loss(NamedTuple):
    """What is minimised, and a part of it that can be read.

    Attributes
    ----------
    total : Tensor, ()
        With a gradient.
    iou : Tensor, ()
        Mean IoU of the soft silhouettes, without one.
    """

    total: Tensor
    iou: Tensor


class Model(nn.Module, ABC):
    """The networks that are trained, and their loss."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.settings = settings
        self.shapes = Reconstructor(settings.network, settings.data.image_size)

    @abstractmethod
    def loss(
        self, photographs: Photographs, rows: Tensor, renderer: Renderer, *, colored: bool
    ) -> Loss:
        """Return the loss of pairs of views.

        Parameters
        ----------
        photographs : Photographs
            What is learned from.
        rows : Tensor, (B, 2)
            Two views of each object: the first is what the shape is told from, both are drawn.
        renderer : Renderer
            What draws.
        colored : bool
            Whether colours are compared.
        """

    def _roughness(self, mesh: Mesh) -> Tensor:
        """Return the weighted regularisers, mean over the meshes."""
        weights = self.settings.loss
        template = template_of(self.settings.network.subdivisions)
        return template.roughness(mesh.vertices, weights.laplacian, weights.flatten).mean()


@final
class KnownPoses(Model):
    """The cameras of the images are used."""

    def loss(  # noqa: D102 - inherited
        self, photographs: Photographs, rows: Tensor, renderer: Renderer, *, colored: bool
    ) -> Loss:
        mesh = self.shapes(photographs.pictures(rows[:, 0]))
        # All first views, then all second ones.
        rows = rows.T.flatten()
        targets = photographs.pictures(rows)
        overlap, difference = compare(
            repeated(mesh, VIEWS), photographs.camera[rows], targets, renderer, colored
        )
        error = _weighted(overlap, difference, self.settings.loss).mean()
        return Loss(error + self._roughness(mesh), overlap.detach().mean())


@final
class UnknownPoses(Model):
    """The network tells where an image was taken from.

    Of the cameras only distance and field of view are known. A turn of all objects about the vertical axis
    changes nothing.
    """

    def __init__(self, settings: Settings):
        super().__init__(settings)
        data = settings.data
        self.poses = PoseNetwork(settings.network, data.views, data.image_size)

    def loss(  # noqa: D102 - inherited
        self, photographs: Photographs, rows: Tensor, renderer: Renderer, *, colored: bool
    ) -> Loss:
        data, weights = self.settings.data, self.settings.loss
        targets = photographs.pictures(rows.T.flatten())
        mesh = self.shapes(targets[: len(rows)])
        poses = self.poses(targets)
        best = best_hypotheses(mesh, poses, targets, renderer, self.settings, colored)
        camera = poses.chosen(best).cameras(data.views, data.image_size)
        overlap, difference = compare(repeated(mesh, VIEWS), camera, targets, renderer, colored)
        error = _weighted(overlap, difference, weights).mean()
        score = cross_entropy(poses.scores, best)
        total = error + self._roughness(mesh) + weights.scores * score
        return Loss(total, overlap.detach().mean())


@torch.no_grad()
def best_hypotheses(
    mesh: Mesh,
    poses: Poses,
    targets: Tensor,
    renderer: Renderer,
    settings: Settings,
    colored: bool,
) -> Tensor:
    """Return which hypothesis of the pose of each image fits best, (2 B,): least weighted error.

    Parameters
    ----------
    mesh : Mesh
        B shapes.
    poses : Poses
        M hypotheses for each of the 2 B images, all first views first.
    targets : Tensor, (2 B, 4, S, S)
        The images.
    renderer, settings, colored
        As for `Model`.
    """
    data, count = settings.data, poses.scores.shape[1]
    camera = poses.cameras(data.views, data.image_size)
    vertices, colors = (
        value.repeat(VIEWS, 1, 1).repeat_interleave(count, 0)
        for value in (mesh.vertices, mesh.vertex_colors)
    )
    shapes = Mesh(vertices, mesh.faces, vertex_colors=colors)
    wanted = targets.repeat_interleave(count, 0)
    overlap, difference = compare(shapes, camera, wanted, renderer, colored)
    return _weighted(overlap, difference, settings.loss).reshape(-1, count).argmin(1)


def compare(
    mesh: Mesh, camera: Camera, targets: Tensor, renderer: Renderer, colored: bool
) -> tuple[Tensor, Tensor]:
    """Return IoU of silhouettes and mean absolute difference of colours over black, (B,) each.

    Parameters
    ----------
    mesh, camera : Mesh, Camera
        B shapes, drawn by a camera each.
    targets : Tensor, (B, 4, S, S)
        Colours multiplied by the opacity, and the opacity.
    renderer : Renderer
        What draws.
    colored : bool
        Whether colours are drawn; if not, their difference is 0.
    """
    overlap = iou(renderer.silhouette(mesh, camera), targets[:, 3])
    if not colored:
        return overlap, torch.zeros_like(overlap)
    colors = renderer.color(mesh, camera).permute(0, 3, 1, 2)
    return overlap, (colors - targets[:, :3]).abs().flatten(1).mean(1)


def repeated(mesh: Mesh, times: int) -> Mesh:
    """Return a batch of coloured meshes so many times, one after the other."""
    return Mesh(
        mesh.vertices.repeat(times, 1, 1),
        mesh.faces,
        vertex_colors=mesh.vertex_colors.repeat(times, 1, 1),
    )


def model_of(settings: Settings, seed: int) -> Model:
    """Return the networks at their start, which depends on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return KnownPoses(settings) if settings.known_poses else UnknownPoses(settings)


def _weighted(overlap: Tensor, difference: Tensor, weights: LossSettings) -> Tensor:
    return 1 - overlap + weights.color * difference
