"""Images of a posed mesh, and how they are compared with the target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from taichisoft import Camera, MeshBatch, SoftRasterizer
from taichisoft.geometry.losses import iou, mse
from tasks.arguments import check_weight
from tasks.shading import lit, over

BACKGROUND = 0.0


class PoseImage(ABC):
    """The kind of image from which `tasks.pose.PoseFamily` is to be solved.

    Attributes
    ----------
    sees_light : bool
        Whether it matters that the meshes are turned under a light that is not, and not the camera around
        them.
    """

    sees_light: ClassVar[bool]

    @abstractmethod
    def draw(self, meshes: MeshBatch, camera: Camera, renderer: SoftRasterizer) -> Tensor:
        """Return pictures (P, H, W) or (P, H, W, 3) of P meshes from one camera each."""

    @abstractmethod
    def loss(
        self, meshes: MeshBatch, camera: Camera, renderer: SoftRasterizer, targets: Tensor
    ) -> Tensor:
        """Return how far soft pictures are from targets that `draw` has made hard, (P,)."""


@dataclass(frozen=True)
class Silhouette(PoseImage):
    """Black and white. The loss is ``1 - IoU``."""

    sees_light = False

    def draw(self, meshes: MeshBatch, camera: Camera, renderer: SoftRasterizer) -> Tensor:
        """Return silhouettes, (P, H, W)."""
        return renderer.silhouette(meshes, camera)

    def loss(
        self, meshes: MeshBatch, camera: Camera, renderer: SoftRasterizer, targets: Tensor
    ) -> Tensor:
        """Return ``1 - IoU``, (P,)."""
        return 1 - iou(renderer.silhouette(meshes, camera), targets)


@dataclass(frozen=True)
class Shaded(PoseImage):
    """Grey, by light that falls on the faces, on black.

    The loss is ``1 - IoU`` of alpha plus a weight times the mean squared difference of the colours.

    Parameters
    ----------
    weight : float
        Of the squared difference, not negative.
    """

    sees_light = True

    weight: float = 2.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", check_weight(self.weight, "weight"))

    def draw(self, meshes: MeshBatch, camera: Camera, renderer: SoftRasterizer) -> Tensor:
        """Return pictures with three equal channels, (P, H, W, 3)."""
        image = renderer(lit(meshes), camera)
        return over(image, BACKGROUND, renderer.background).expand(-1, -1, -1, 3)

    def loss(
        self, meshes: MeshBatch, camera: Camera, renderer: SoftRasterizer, targets: Tensor
    ) -> Tensor:
        """Return ``1 - IoU`` plus the weighted squared difference, (P,)."""
        image = renderer(lit(meshes), camera)
        grey = over(image, BACKGROUND, renderer.background)[..., 0]
        # No face is as dark as the background.
        covered = targets[..., 0] > BACKGROUND
        return 1 - iou(image.alpha, covered) + self.weight * mse(grey, targets[..., 0])
