"""How lights and a surface make its colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from torch import Tensor

from taichisoft.base.checks import check_type
from taichisoft.cameras.construction import Values
from taichisoft.lights import COLOR, Light, Points, as_values, at, batch_of, held


class Shading(Enum):
    """Where light is computed.

    FLAT
        Once for each face, with its own normal.
    GOURAUD
        At the vertices; colours are interpolated between them. Highlights within a face are lost.
    PHONG
        At every pixel, with normals interpolated between the vertices.
    """

    FLAT = "flat"
    GOURAUD = "gouraud"
    PHONG = "phong"


@dataclass(frozen=True, eq=False)
class Lighting:
    """Lights, and how the surface answers them (Phong, "Illumination for Computer Generated Pictures", 1975).

    The colour of a surface is ``base * sum(diffuse) + specular * sum(mirrored)``: base is its own colour or
    texture, diffuse is ``light * max(n.l, 0)`` (the light itself if ambient), mirrored is
    ``light * max(r.v, 0) ** shininess`` where ``n.l > 0``, r being l mirrored at the normal n, l the
    direction to the light and v the one to the camera. Faces throw no shadows, and are lit on the side of
    their normal only: their back has ambient light alone. Colours are not limited to 1.

    Parameters
    ----------
    lights : sequence of Light
        `AmbientLight`, `DirectionalLight`, `PointLight`, any number of each; none makes all black.
    shading : Shading
        Where light is computed.
    specular : float, (C,) or (B, C)
        How much is mirrored; nothing by default. Differentiable, if a tensor.
    shininess : float or scalar Tensor
        How sharp the mirrored light is, positive. Differentiable, if a tensor.

    Raises
    ------
    TypeError, ValueError
        A bad argument, which the message names.
    """

    lights: Sequence[Light]
    shading: Shading = Shading.PHONG
    specular: Values = 0.0
    shininess: Values = 32.0

    def __post_init__(self) -> None:
        check_type(self.lights, "lights", (tuple, list))
        object.__setattr__(self, "lights", tuple(self.lights))
        for index, light in enumerate(self.lights):
            check_type(light, f"lights[{index}]", Light)
        check_type(self.shading, "shading", Shading)
        object.__setattr__(self, "specular", as_values(self.specular, "specular", *COLOR))
        self._check_channels()
        shininess = as_values(self.shininess, "shininess", ())
        if shininess.item() <= 0:
            raise ValueError(f"shininess must be positive, got {shininess.item():g}")
        object.__setattr__(self, "shininess", shininess)

    @property
    def batch_size(self) -> int:
        """Number of images B that lights and surface are for, 1 if for all."""
        return max(batch_of(self.specular), *(light.batch_size for light in self.lights), 1)

    @property
    def channels(self) -> int:
        """The largest number of channels of a colour."""
        return max(self._channels())

    def sums(self, points: Points) -> tuple[Tensor, Tensor]:
        """Return what all lights make of points: diffuse, and mirrored times specular; (..., 1 or C)."""
        none = points.positions[..., :1] * 0
        diffuse = sum((light.diffuse(points) for light in self.lights), none)
        mirrored = sum(
            (light.specular(points, held(self.shininess)) for light in self.lights), none
        )
        return diffuse, at(points, self.specular) * mirrored

    def _channels(self) -> set[int]:
        colors = [held(color) for color in (self.specular, *(light.color for light in self.lights))]
        return {color.shape[-1] if color.ndim else 1 for color in colors}

    def _check_channels(self) -> None:
        several = sorted(self._channels() - {1})
        if len(several) > 1:
            raise ValueError(
                f"lights and specular must have one number of channels, or 1, got {several}"
            )
