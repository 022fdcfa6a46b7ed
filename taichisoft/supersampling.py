"""Supersampling: an image that is rendered larger, and averaged."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from taichisoft.cameras.camera import Camera


def magnified(camera: Camera, factor: int) -> Camera:
    """Return a camera that sees the same in an image `factor` times as high and wide."""
    if factor == 1:
        return camera
    height, width = camera.image_size
    intrinsics = camera.intrinsics * camera.intrinsics.new_tensor([[factor], [factor], [1.0]])
    return replace(camera, intrinsics=intrinsics, image_size=(factor * height, factor * width))


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
    total = mean_of_blocks(weight, factor)
    some = total > 0
    return torch.where(
        some, mean_of_blocks(weight * image, factor) / torch.where(some, total, 1), 0
    )
