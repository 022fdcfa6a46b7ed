"""Evidence: what is known of a mesh, in one view or several, and how well a pose agrees with it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from taichisoft.cameras.camera import Camera
from taichisoft.diagnosis.situation import situation_of
from taichisoft.geometry.depth_loss import depth_mse
from taichisoft.geometry.losses import iou, mse
from taichisoft.geometry.mesh import Mesh
from taichisoft.poses.poses import Poses
from taichisoft.render.image import SoftImage
from taichisoft.render.rasterizer import SoftRasterizer

# Pixels that are drawn at a time where no gradient is kept.
PIXELS_AT_A_TIME = 2**22
# What a mean square of differences of colours counts: they are small numbers, 0.01 if colours are 0.1 off.
COLOR_WEIGHT = 3.0
# A pixel is of the object if the mask has at least this there.
HALF = 0.5


@dataclass(frozen=True, eq=False)
class Evidence:
    """Masks, photos and depth maps of V views of one mesh, at one resolution.

    Parameters
    ----------
    mesh : Mesh
        Of radius 1 about the origin, opaque; with colours only if there is an image.
    mask : Tensor, (V, H, W)
        In [0, 1].
    camera : Camera
        The V views. Lengths are radii of the mesh, and the world is the frame of the first camera, in which
        all poses here are.
    image : Tensor, (V, H, W, C), optional
        Colours.
    depth : Tensor, (V, H, W), optional
        In radii of the mesh; NaN where none was measured.
    """

    mesh: Mesh
    mask: Tensor
    camera: Camera
    image: Tensor | None = None
    depth: Tensor | None = None

    def resized(self, longer_side: int) -> Evidence:
        """Return it in larger pixels; as it is, if the images are small already."""
        height, width = self.mask.shape[1:]
        scale = longer_side / max(height, width)
        if scale >= 1:
            return self
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        image = self.image
        if image is not None:
            image = _area(image.movedim(-1, 1), size).movedim(1, -1)
        depth = None if self.depth is None else _mean_of_known(self.depth, self.mask, size)
        mask = _area(self.mask[:, None], size)[:, 0]
        return Evidence(self.mesh, mask, self.camera.resize(size), image, depth)

    def inverted(self) -> Evidence:
        """Return it with object and background exchanged, and of all evidence the masks alone."""
        return replace(self, mask=1 - self.mask, image=None, depth=None)

    def border_share(self) -> float:
        """Return the share of the border of an image that its mask covers, the largest of the views."""
        mask = self.mask
        sides = (mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1])
        return float(torch.cat(sides, 1).mean(1).max())

    def cameras(self, rotation: Tensor, translation: Tensor) -> Camera:
        """Return the cameras of P poses, those of all views of the first pose first, for the mesh itself."""
        views = torch.arange(len(self.mask), device=self.mask.device).repeat(len(rotation))
        turn, shift = self.camera.rotation, self.camera.translation
        turned = turn @ rotation[:, None]
        moved = (turn @ translation[:, None, :, None])[..., 0] + shift
        return replace(
            self.camera[views], rotation=turned.flatten(0, 1), translation=moved.flatten(0, 1)
        )

    def silhouettes(
        self, renderer: SoftRasterizer, rotation: Tensor, translation: Tensor
    ) -> Tensor:
        """Return silhouettes of P poses, (P, V, H, W)."""
        drawn = renderer.silhouette(self.mesh, self.cameras(rotation, translation))
        return drawn.unflatten(0, (len(rotation), -1))

    def loss(self, renderer: SoftRasterizer, rotation: Tensor, translation: Tensor) -> Tensor:
        """Return how far P poses are from the evidence, (P,).

        One minus the mean IoU over the views, plus `COLOR_WEIGHT` times the mean square of differences of
        colours where the mask is, plus that of depths, in squared radii of the mesh, where there is one in
        the mask.
        """
        if self.image is None and self.depth is None:
            return 1 - self._iou(self.silhouettes(renderer, rotation, translation))
        drawn = renderer(self.mesh, self.cameras(rotation, translation))
        count = len(rotation)
        terms = [1 - self._iou(drawn.alpha.unflatten(0, (count, -1)))]
        if self.image is not None:
            colors = self._color_error(drawn, self._each(self.image, count), count)
            terms.append(COLOR_WEIGHT * colors)
        if self.depth is not None:
            target, mask = self._each(self.depth, count), self._each(self.mask, count)
            error = depth_mse(drawn.depth, drawn.alpha, target, mask=mask >= HALF)
            terms.append(error.unflatten(0, (count, -1)).mean(1))
        return torch.stack(terms).sum(0)

    @torch.no_grad()
    def measured(self, rotation: Tensor, translation: Tensor) -> Poses:
        """Return poses with what their hard images agree with."""
        hard = SoftRasterizer.hard()
        chunk = max(1, PIXELS_AT_A_TIME // self.mask.numel())
        parts = zip(rotation.split(chunk), translation.split(chunk), strict=True)
        found = [self._measured(hard, *part) for part in parts]
        loss, overlap, background = (torch.cat(column) for column in zip(*found, strict=True))
        return Poses(rotation, translation, loss, overlap, background)

    def tell(self, renderer: SoftRasterizer, poses: Poses) -> None:
        """Tell a renderer what is known of the scenes of some poses, if its softness follows that."""
        if renderer.softness.is_conditioned:
            cameras = self.cameras(poses.rotation, poses.translation)
            colors = self.image is not None
            renderer.set_situation(situation_of(self.mesh, cameras, colors=colors))

    def _measured(
        self, hard: SoftRasterizer, rotation: Tensor, translation: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        drawn = self.silhouettes(hard, rotation, translation)
        overlap = self._iou(drawn)
        around = self._iou(1 - drawn, 1 - self.mask)
        if self.image is None and self.depth is None:
            return 1 - overlap, overlap, around
        return self.loss(hard, rotation, translation), overlap, around

    def _iou(self, drawn: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the mean IoU over the views of images (P, V, H, W) and the masks, (P,)."""
        count = len(drawn)
        target = self._each(self.mask if mask is None else mask, count)
        return iou(drawn.flatten(0, 1), target).unflatten(0, (count, -1)).mean(1)

    def _color_error(self, drawn: SoftImage, target: Tensor, count: int) -> Tensor:
        """Return the mean square of differences of colours where mesh and mask are, (P,).

        Alpha is a constant to it: where the mesh is to be seen is for the IoU to say.
        """
        color = drawn.rgba()[..., :3]
        mask = self._each(self.mask, count)
        error = mse(color, target, mask=mask, weight=drawn.alpha.detach())
        return error.unflatten(0, (count, -1)).mean(1)

    @staticmethod
    def _each(images: Tensor, count: int) -> Tensor:
        """Return images of V views for each of some poses, in the order of `cameras`."""
        return images.expand(count, *images.shape).flatten(0, 1)


def _area(images: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(images, size, mode="area")


def _mean_of_known(depth: Tensor, mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the mean depth of the object in larger pixels, NaN where there is none."""
    known = depth.isfinite() & (mask >= HALF)
    share = _area(known.to(depth)[:, None], size)[:, 0]
    total = _area(torch.where(known, depth, 0)[:, None], size)[:, 0]
    return torch.where(share > 0, total / share, torch.nan)
