"""Rendered images: what a render returns, and the means that it is made of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from taichisoft.base.checks import check_alike, check_integer, check_type
from taichisoft.base.trees import collated, tree
from taichisoft.base.words import counted, summary
from taichisoft.cameras.camera import Camera
from taichisoft.engine.image import least_weight
from taichisoft.files.images import check_image_format, write_image


@tree()
@dataclass(frozen=True, eq=False)
class SoftImage:
    """A rendered batch of images.

    Parameters
    ----------
    alpha : Tensor, (B, H, W)
        Coverage of each pixel by the mesh, in [0, 1].
    depth : Tensor, (B, H, W)
        Mean camera depth of the faces at the pixel, by weight, in scene units; 0 where no face reaches.
    color : Tensor, (B, H, W, C), or None
        Colour over the background; None if neither the mesh nor the call had colours or lighting.
    normals : Tensor, (B, H, W, 3), or None
        If asked for: mean normal of the faces at the pixel, by weight, made unit length, in world
        coordinates; 0 where no face reaches.
    face_ids : Tensor, (B, H, W), int64, or None
        If asked for: the nearest face that covers the pixel centre, among the faces of the mesh of that
        image; -1 for none. Hard, whatever the softness, and without a gradient.
    premultiplied : Tensor, (B, H, W, C), or None
        Colour times alpha, without the background: ``color = premultiplied + (1 - alpha) background``.
        `rgba` has it straight, that is, divided by alpha.
    objects : Tensor, (B, H, W, O), or None
        If asked for: how much of each pixel each object covers, in [0, 1], a soft mask of what is seen of
        it: alpha times the weight of its faces over that of all. Where another object is in front there is
        less of it; their sum is alpha. O is one more than the largest number in ``face_objects`` of the mesh,
        or of all scenes of a batch; one that has no such object has 0 there.
    """

    alpha: Tensor
    depth: Tensor
    color: Tensor | None
    normals: Tensor | None = None
    face_ids: Tensor | None = None
    premultiplied: Tensor | None = None
    objects: Tensor | None = None

    def __repr__(self) -> str:
        batch, height, width = self.alpha.shape
        return summary(self, f"{counted(batch, 'image', 'images')} of {height} x {width} pixels")

    def rgba(self) -> Tensor:
        """Return colours without the background, and alpha, (B, H, W, 4), as image files have them.

        Straight, not premultiplied: the colours are those of the surface, however little of it is seen, and 0
        where alpha is 0. Over any background the picture is ``rgb * a + (1 - a) * background``. One channel
        becomes grey. Differentiable; where alpha is 0 (in float32 below 4e-31) colours have no gradient.

        Raises
        ------
        ValueError
            There are no colours, or neither 1 nor 3 channels.
        """
        if self.premultiplied is None:
            raise ValueError("image must have colours for rgba: render it with colors or lighting")
        channels = self.premultiplied.shape[-1]
        if channels not in (1, 3):
            raise ValueError(
                f"image must have 1 or 3 channels for rgba, got {channels}; opacity is no channel of the "
                "colours, give it as opacity="
            )
        alpha = self.alpha.unsqueeze(-1)
        straight = ratio_or_zero(self.premultiplied, alpha)
        return torch.cat([straight.expand(*straight.shape[:-1], 3), alpha], -1)

    def save(
        self, path: str | os.PathLike, index: int | None = None, *, opacity: bool = True
    ) -> tuple[Path, ...]:
        """Write each image as a file of 8 bits: colours and alpha (`rgba`), or what there is.

        Parameters
        ----------
        path : str or path
            ``"x.png"``. Of several images each has a file: x_0.png, x_1.png, ... with as many digits as the
            last one needs. Existing files are replaced. The folder must exist.
        index : int, optional
            Write this image of the batch alone, to `path` itself.
        opacity : bool
            Whether to write `rgba`, in a format that holds opacity, such as PNG, WebP or TIFF; else `color`,
            over the background. An image without colours is written as its alpha, in grey, either way.

        Returns
        -------
        tuple of Path
            The files, in the order of the images.

        Raises
        ------
        TypeError
            ``path`` is no path, ``index`` no int, or ``opacity`` no bool.
        ValueError
            An unknown suffix, no image of that index, or neither 1 nor 3 channels.
        OSError
            The folder does not exist, the format has no opacity, or a file cannot be written.
        """
        path = Path(check_type(path, "path", (str, os.PathLike)))
        images = self._pictures(check_type(opacity, "opacity", bool))
        count = len(images)
        if index is not None:
            index = check_integer(index, "index", minimum=0, maximum=count - 1)
        check_image_format(path, opacity=images.shape[-1] == 4 and images.ndim == 4)
        if not path.parent.is_dir():
            raise FileNotFoundError(f"path must be in an existing folder, got {path}")
        if index is not None:
            write_image(images[index], path)
            return (path,)
        names = [f"{path.stem}_{i:0{len(str(count - 1))}}{path.suffix}" for i in range(count)]
        paths = tuple(path.with_name(name) for name in names) if count > 1 else (path,)
        for image, file in zip(images, paths, strict=True):
            write_image(image, file)
        return paths

    def _pictures(self, opacity: bool) -> Tensor:
        """Return what is written of each image, (B, H, W), (B, H, W, 3) or (B, H, W, 4)."""
        if self.color is None:
            return self.alpha
        if opacity:
            return self.rgba()
        channels = self.color.shape[-1]
        if channels not in (1, 3):
            raise ValueError(f"image must have 1 or 3 channels to be saved, got {channels}")
        return self.color if channels == 3 else self.color[..., 0]


def magnified(camera: Camera, factor: int) -> Camera:
    """Return a camera that sees the same in an image `factor` times as high and wide."""
    if factor == 1:
        return camera
    height, width = camera.image_size
    return camera.resize((factor * height, factor * width))


def mean_of_blocks(image: Tensor, factor: int) -> Tensor:
    """Return the means of blocks of `factor` x `factor` pixels of an image (B, H, W) or (B, H, W, C)."""
    if factor == 1:
        return image
    batch, height, width = image.shape[:3]
    blocks = (batch, height // factor, factor, width // factor, factor, *image.shape[3:])
    return image.reshape(blocks).mean((2, 4))


def weighted_mean_of_blocks(image: Tensor, weight: Tensor, factor: int) -> Tensor:
    """Return means of blocks of an image (B, H, W, C) by weights (B, H, W); 0 where there is no weight."""
    if factor == 1:
        return image
    weight = weight.unsqueeze(-1)
    return ratio_or_zero(mean_of_blocks(weight * image, factor), mean_of_blocks(weight, factor))


def ratio_or_zero(sums: Tensor, weight: Tensor) -> Tensor:
    """Divide sums by weights >= 0, 0 where there are none; twice differentiable however small they are.

    Both are brought to the size of 1 first: the square of a weight of 1e-20 would be 0 in float32. Below
    4e-31 (in float64 7e-247) the ratio has no gradient.
    """
    least = least_weight(weight.dtype)
    held = weight.detach()
    size = held.clamp(min=least)
    ratio = (sums / size) / torch.where(held > least, weight / size, 1)
    faint = torch.where(held > 0, sums.detach() / torch.where(held > 0, held, 1), 0)
    return torch.where(held > least, ratio, faint)


def stacked(images: Sequence[SoftImage]) -> SoftImage:
    """Return images of one size, with the same outputs, as one batch.

    Raises
    ------
    ValueError
        Sizes, outputs, channels, dtypes or devices differ.
    """
    given = [{n: x for n, x in vars(one).items() if isinstance(x, Tensor)} for one in images]
    check_alike("images", {"outputs": [", ".join(sorted(outputs)) for outputs in given]})
    made = {}
    for name in given[0]:
        parts = [outputs[name] for outputs in given]
        alike: dict[str, list] = {
            f"shape[1:] of {name}": [tuple(part.shape[1:]) for part in parts],
            "dtype": [part.dtype for part in parts],
            "device": [part.device for part in parts],
        }
        check_alike("images", alike)
        made[name] = torch.cat(parts)
    return replace(images[0], **made)


collated(SoftImage, stacked)
