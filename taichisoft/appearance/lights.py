"""Lights, differentiable in colour, direction and position."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from taichisoft.base.checks import check_finite, check_tensor, check_type
from taichisoft.base.eager import eager_class
from taichisoft.base.transforms import beneath
from taichisoft.base.trees import tree
from taichisoft.cameras.construction import Values, as_tensors
from taichisoft.geometry.vectors import unit_or_zero

COLOR = ((), ("C",), ("B", "C"))
"""Shapes of a colour."""

PerImage = Callable[[Tensor], Tensor]
"""Takes values for all images or for each, (1, C) or (B, C), to those of the rows that are being lit."""


@dataclass(frozen=True, eq=False)
class Points:
    """Points of a surface that are lit.

    Parameters
    ----------
    positions, normals : Tensor, (..., 3)
        In world coordinates; unit normals.
    to_camera : Tensor, (..., 3)
        Unit vectors.
    of_image : callable
        Takes values per image to values that broadcast with the points.
    """

    positions: Tensor
    normals: Tensor
    to_camera: Tensor
    of_image: PerImage


class Light(ABC):
    """What makes a surface visible. Colours may have any number of channels, or one for all."""

    color: Values

    @property
    def batch_size(self) -> int:
        """Number of images B that the light is for, 1 if for all."""
        return max(batch_of(value) for value in vars(self).values())

    @abstractmethod
    def diffuse(self, points: Points) -> Tensor:
        """Return the light that a white matt surface sends back, (..., 1 or C)."""

    @abstractmethod
    def specular(self, points: Points, shininess: Tensor) -> Tensor:
        """Return the light that a white glossy surface mirrors to the camera, (..., 1 or C)."""


@eager_class
@tree()
@dataclass(frozen=True, eq=False)
class AmbientLight(Light):
    """Light from everywhere.

    Parameters
    ----------
    color : float, (C,) or (B, C)
        Its colour and strength: numbers, or a tensor to be differentiated in.
    """

    color: Values = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "color", as_values(self.color, "color", *COLOR))

    def diffuse(self, points: Points) -> Tensor:
        """Return the light that a white matt surface sends back, (..., 1 or C)."""
        return at(points, self.color)

    def specular(self, points: Points, shininess: Tensor) -> Tensor:
        """Return nothing: light from everywhere has no highlight."""
        return torch.zeros_like(at(points, self.color))


class _Directed(Light):
    """Light that comes from somewhere: the model of Phong."""

    @abstractmethod
    def towards(self, points: Points) -> Tensor:
        """Return unit vectors from the points to the light, (..., 3)."""

    def diffuse(self, points: Points) -> Tensor:
        """Return the light that a white matt surface sends back, (..., 1 or C)."""
        return at(points, self.color) * self._cosine(points).clamp(min=0)

    def specular(self, points: Points, shininess: Tensor) -> Tensor:
        """Return the light that a white glossy surface mirrors to the camera, (..., 1 or C)."""
        cosine = self._cosine(points)
        mirrored = 2 * cosine * points.normals - self.towards(points)
        along = (mirrored * points.to_camera).sum(-1, keepdim=True)
        seen = (cosine > 0) & (along > 0)
        # 1 where nothing is seen: a power of zero has no derivative
        power = torch.where(seen, along, 1).pow(at(points, shininess))
        return at(points, self.color) * torch.where(seen, power, 0)

    def _cosine(self, points: Points) -> Tensor:
        return (points.normals * self.towards(points)).sum(-1, keepdim=True)


@eager_class
@tree()
@dataclass(frozen=True, eq=False)
class DirectionalLight(_Directed):
    """Parallel light, as from the sun.

    Parameters
    ----------
    direction : (3,) or (B, 3)
        From the surface *to* the light, in world coordinates; need not be of unit length, but not zero.
    color : float, (C,) or (B, C)
        Its colour and strength.
    """

    direction: Values = (0.0, 1.0, 0.0)
    color: Values = 1.0

    def __post_init__(self) -> None:
        direction = as_values(self.direction, "direction", (3,), ("B", 3))
        if bool(beneath((direction.detach() == 0).all(-1)).any()):
            raise ValueError("direction must not be the zero vector")
        object.__setattr__(self, "direction", direction)
        object.__setattr__(self, "color", as_values(self.color, "color", *COLOR))

    def towards(self, points: Points) -> Tensor:
        """Return unit vectors from the points to the light, (..., 3)."""
        return unit_or_zero(at(points, self.direction))


@eager_class
@tree()
@dataclass(frozen=True, eq=False)
class PointLight(_Directed):
    """Light from a point, as strong at any distance.

    Parameters
    ----------
    position : (3,) or (B, 3)
        In world coordinates.
    color : float, (C,) or (B, C)
        Its colour and strength.
    """

    position: Values = (0.0, 1.0, 0.0)
    color: Values = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", as_values(self.position, "position", (3,), ("B", 3)))
        object.__setattr__(self, "color", as_values(self.color, "color", *COLOR))

    def towards(self, points: Points) -> Tensor:
        """Return unit vectors from the points to the light, (..., 3)."""
        return unit_or_zero(at(points, self.position) - points.positions)


def as_values(value: Values, name: str, *shapes: tuple) -> Tensor:
    """Return finite numbers or a tensor as a tensor of one of the shapes, with its graph.

    Raises TypeError or ValueError, naming the argument, for anything else.
    """
    if not isinstance(value, Tensor):
        value = as_tensors({name: value}, torch.float64, None)[name]
    check_tensor(value, name, *shapes)
    check_finite(value, name)
    return value


def tensor_of(value: Values) -> Tensor:
    """Return the value of a field, of which `as_values` made a tensor."""
    assert isinstance(value, Tensor)
    return value


def batch_of(value: Values) -> int:
    """Return the number of images that a field, a number, (C,) or (B, C), is for."""
    value = tensor_of(value)
    return value.shape[0] if value.ndim == 2 else 1


def at(points: Points, value: Values) -> Tensor:
    """Return a field, a number, (C,) or (B, C), where it broadcasts with points, (..., C)."""
    value = tensor_of(value).to(points.positions)
    return points.of_image(value.reshape(-1, value.shape[-1] if value.ndim else 1))


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


@eager_class
@tree(but=("shading", "two_sided"))
@dataclass(frozen=True, eq=False)
class Lighting:
    """Lights, and how the surface answers them (Phong, "Illumination for Computer Generated Pictures", 1975).

    The colour of a surface is ``base * sum(diffuse) + specular * sum(mirrored)``: base is its own colour or
    texture, diffuse is ``light * max(n.l, 0)`` (the light itself if ambient), mirrored is
    ``light * max(r.v, 0) ** shininess`` where ``n.l > 0``, r being l mirrored at the normal n, l the
    direction to the light and v the one to the camera. Faces throw no shadows, and are lit on the side of
    their normal only, unless `two_sided`: their back has ambient light alone. Colours are not limited to 1.

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
    two_sided : bool
        Whether a face that the camera sees from inside (its normal points away) is lit as if its normals were
        turned round. It is for open meshes. Which faces are turned has no gradient. Normals that are rendered
        (``normals=True``) stay as they are.

    Raises
    ------
    TypeError, ValueError
        A bad argument, which the message names.
    """

    lights: Sequence[Light]
    shading: Shading = Shading.PHONG
    specular: Values = 0.0
    shininess: Values = 32.0
    two_sided: bool = False

    def __post_init__(self) -> None:
        check_type(self.lights, "lights", (tuple, list))
        object.__setattr__(self, "lights", tuple(self.lights))
        for index, light in enumerate(self.lights):
            check_type(light, f"lights[{index}]", Light)
        check_type(self.shading, "shading", Shading)
        check_type(self.two_sided, "two_sided", bool)
        object.__setattr__(self, "specular", as_values(self.specular, "specular", *COLOR))
        self._check_channels()
        shininess = as_values(self.shininess, "shininess", ())
        least = beneath(shininess).min().item()
        if least <= 0:
            raise ValueError(f"shininess must be positive, got {least:g}")
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
            (light.specular(points, tensor_of(self.shininess)) for light in self.lights), none
        )
        return diffuse, at(points, self.specular) * mirrored

    def _channels(self) -> set[int]:
        colors = [
            tensor_of(color) for color in (self.specular, *(light.color for light in self.lights))
        ]
        return {color.shape[-1] if color.ndim else 1 for color in colors}

    def _check_channels(self) -> None:
        several = sorted(self._channels() - {1})
        if len(several) > 1:
            raise ValueError(
                f"lights and specular must have one number of channels, or 1, got {several}"
            )
