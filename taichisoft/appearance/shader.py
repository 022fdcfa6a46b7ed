"""The shader of fragments: texture and light, from interpolated attributes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.appearance.images import Images
from taichisoft.appearance.lights import Lighting, PerImage, Points
from taichisoft.appearance.projected_size import levels_of
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

    The columns of the attributes are the base (colours; or u and v, with mipmaps the scale of
    `taichisoft.appearance.projected_size`, of several images the number of one, and colours that what is
    looked up is multiplied by), what light needs (nothing; diffuse and mirrored light of `channels` each; or
    position and normal), and any others, which are kept.

    Parameters
    ----------
    base : int
        Number of columns of the base.
    images : Images or None
        What is looked up, if the base is u and v.
    scaled : bool
        Whether the scale follows u and v.
    tint : int
        Number of channels of the colours that what is looked up is multiplied by: 0, 1 or all.
    built_in : bool
        Whether the images are not of a class that a user wrote.
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
    images: Images | None
    scaled: bool
    tint: int
    built_in: bool
    lighting: Lighting | None
    lit: int
    eye: Eye
    channels: int
    others: int
    texture_opacity: bool = False
    opacity: bool = False

    @property
    def number(self) -> int | None:
        """The column of the number of an image, if there are several."""
        several = self.images is not None and len(self.images.layouts) > 1
        return 2 + self.scaled if several else None

    def __call__(self, values: Tensor, image: Tensor) -> Tensor:
        """Return (N, C), given interpolated attributes and the images (N,) they are in.

        The channels are those of the colours, the others, and last the opacity, if there is one: the product
        of that of the texture and that among the others.
        """
        light = 6 if self.lighting is not None else 2 * self.lit
        base, light, others = values.split([self.base, light, self.others], -1)
        colors = base if self.images is None else self._texels(self.images, base, image)
        if self.texture_opacity:
            colors, through = colors[:, :-1], colors[:, -1:]
            if self.opacity:
                others, own = others[:, :-1], others[:, -1:]
                through = through * own
            others = torch.cat([others, through], -1)
        if self.tint:
            colors = colors * base[:, self.base - self.tint :]
        if self.lighting is not None:
            diffuse, mirrored = self.lighting.sums(self._points(light, image))
            colors = colors * diffuse + mirrored
        elif self.lit:
            colors = colors * light[:, : self.lit] + light[:, self.lit :]
        return torch.cat([colors, others], -1)

    def _texels(self, images: Images, base: Tensor, image: Tensor) -> Tensor:
        level = levels_of(base[:, 2]) if self.scaled else None
        number = None
        if self.number is not None:
            # It is the same at all corners, but for rounding.
            last = len(images.layouts) - 1
            number = base[:, self.number].detach().round().long().clamp(0, last)
        return images.sample(base[:, :2], level, image, number)

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
