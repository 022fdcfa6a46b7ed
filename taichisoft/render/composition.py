"""Compositions: what becomes an image of alpha and sums over faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from taichisoft.appearance.background import over_background
from taichisoft.appearance.surface import Surface
from taichisoft.engine.engines import Engine
from taichisoft.engine.image import ComposedImages, Ground
from taichisoft.geometry.vectors import mean_direction
from taichisoft.render.image import (
    SoftImage,
    mean_of_blocks,
    ratio_or_zero,
    weighted_mean_of_blocks,
)


@dataclass(frozen=True, eq=False)
class Composition:
    """How alpha and sums over faces, in the resolution that is rendered, become an image.

    Parameters
    ----------
    surface : Surface
        What the channels are.
    background : Tensor
        As in `SoftRasterizer`.
    ssaa : int
        How many times as high and wide as the image the sums are.
    """

    surface: Surface
    background: Tensor
    ssaa: int

    def image(self, fine: Tensor, sums: Tensor) -> SoftImage:
        """Return the image of alpha, (B, H, W), and sums, (B, H, W, ... + 2 + C).

        The last ones are sums of w, w z and w times what is seen of the surface.
        """
        surface = self.surface
        alpha = mean_of_blocks(fine, self.ssaa)
        count = 2 + surface.outputs
        if sums.shape[-1] > count:
            sums = sums[..., -count:]
        weight = sums[..., :1]
        means = ratio_or_zero(sums[..., 1:], weight)
        sizes = [1, surface.channels, 3 * surface.normals, surface.objects or 0]
        depth, colors, directions, shares = means.split(sizes, -1)
        depth = weighted_mean_of_blocks(depth, fine, self.ssaa)[..., 0]
        premultiplied = color = normals = objects = None
        if surface.has_colors:
            premultiplied = mean_of_blocks(fine.unsqueeze(-1) * colors, self.ssaa)
            color = over_background(premultiplied, alpha, self.background)
        if surface.normals:
            normals = mean_direction(weighted_mean_of_blocks(directions, fine, self.ssaa))
        if surface.objects is not None:
            objects = mean_of_blocks(fine.unsqueeze(-1) * shares, self.ssaa)
        return SoftImage(alpha, depth, color, normals, premultiplied=premultiplied, objects=objects)

    def image_at_once(
        self,
        engine: Engine,
        fine: Tensor,
        sums: Tensor,
        inverse: Callable[[Tensor], Tensor] | None,
    ) -> SoftImage:
        """Return the same image, made in one go where that can be.

        With an inverse, which is ``1 - exp(-total)``, alpha is that of the first of the sums.
        """
        surface, background, channels = self.surface, self.background, self.surface.channels
        plain = background.ndim == 0 or background.shape == (channels,)
        more = surface.normals or surface.objects is not None
        if self.ssaa > 1 or more or background.requires_grad or not plain:
            return self.image(fine, sums)

        def exact(fine: Tensor, sums: Tensor) -> ComposedImages:
            if inverse is not None:
                # What is passed to alpha has no gradient.
                fine = inverse(sums[..., 0])
            image = self.image(fine, sums)
            return fine, image.depth, image.premultiplied, image.color

        behind = background.detach().to(fine).expand(channels)
        ground = Ground(behind, inverse is not None, exact)
        fine = fine if inverse is None else fine.detach()
        alpha, depth, premultiplied, color = engine.image(ground, fine, sums)
        if not surface.has_colors:
            return SoftImage(alpha, depth, None)
        return SoftImage(alpha, depth, color, premultiplied=premultiplied)
