"""The shader of fragments: texture and light, from interpolated attributes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.appearance.lights import Lighting, PerImage, Points
from taichisoft.appearance.projected_size import levels_of
from taichisoft.appearance.pyramid import Pyramid
from taichisoft.appearance.texture import Texture
from taichisoft.cameras.camera import Camera
from taichisoft.geometry.vectors import mean_direction, unit_or_zero


@dataclass(frozen=True, eq=False)
class Eye:
    """What light depends on of a camera.

    Parameters
    ----------
    perspective : bool
        Whether the directions to the camera differ.
    place : Tensor, (B, 3)
        Where the camera is; of an orthographic one, a vector to it.
    """

    perspective: bool
    place: Tensor

    @classmethod
    def of(cls, camera: Camera) -> Eye:
        """Return that of a camera."""
        if camera.perspective:
            return cls(True, camera.position)
        return cls(False, -camera.rotation[:, 2])


@dataclass(frozen=True, eq=False)
class Shader:
    """A function from interpolated attributes to colours, where interpolated colours will not do.

    The columns of the attributes are the base (colours; or u and v, and with mipmaps the scale of
    `taichisoft.appearance.projected_size`), what light needs (nothing; diffuse and mirrored light of
    `channels` each; or position and normal), and any others, which are kept.

    Parameters
    ----------
    base : int
        Number of columns of the base.
    texture : Texture or None
        If the base is u and v.
    pyramid : Pyramid or None
        That of the texture, made once for all fragments.
    lighting : Lighting or None
        If light is to be computed here, from position and normal.
    lit : int
        Number of channels of light that comes computed, 0 if none does.
    eye : Eye
        That of the images.
    channels : int
        Number of channels of the colours.
    others : int
        Number of columns that are kept.
    texture_opacity : bool
        Whether the last channel of the texture is an opacity, and no colour.
    opacity : bool
        Whether the last of the other columns is an opacity.
    """

    base: int
    texture: Texture | None
    pyramid: Pyramid | None
    lighting: Lighting | None
    lit: int
    eye: Eye
    channels: int
    others: int
    texture_opacity: bool = False
    opacity: bool = False

    def __call__(self, values: Tensor, image: Tensor) -> Tensor:
        """Return (N, C), given interpolated attributes and the images (N,) they are in.

        The channels are those of the colours, the others, and last the opacity, if there is one: the product
        of that of the texture and that among the others.
        """
        light = 6 if self.lighting is not None else 2 * self.lit
        base, light, others = values.split([self.base, light, self.others], -1)
        colors = base if self.pyramid is None else self._texels(self.pyramid, base, image)
        if self.texture_opacity:
            colors, through = colors[:, :-1], colors[:, -1:]
            if self.opacity:
                others, own = others[:, :-1], others[:, -1:]
                through = through * own
            others = torch.cat([others, through], -1)
        if self.lighting is not None:
            diffuse, mirrored = self.lighting.sums(self._points(light, image))
            colors = colors * diffuse + mirrored
        elif self.lit:
            colors = colors * light[:, : self.lit] + light[:, self.lit :]
        return torch.cat([colors, others], -1)

    def _texels(self, pyramid: Pyramid, base: Tensor, image: Tensor) -> Tensor:
        level = levels_of(base[:, 2]) if self.base > 2 else None
        return pyramid.sample(base[:, :2], level, image)

    def _points(self, values: Tensor, image: Tensor) -> Points:
        def of_image(value: Tensor) -> Tensor:
            return value if value.shape[0] == 1 else value[image]

        return lit_points(values[:, :3], mean_direction(values[:, 3:]), self.eye, of_image)


def lit_points(positions: Tensor, normals: Tensor, eye: Eye, of_image: PerImage) -> Points:
    """Return points to be lit, with the direction to the camera."""
    to_camera = of_image(eye.place)
    if eye.perspective:
        to_camera = to_camera - positions
    return Points(positions, normals, unit_or_zero(to_camera), of_image)
