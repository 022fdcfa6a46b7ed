"""Material: the colour and opacity of faces, of all of them alike or spread over them as an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.base.checks import (
    check_finite,
    check_like,
    check_shares,
    check_tensor,
    check_type,
)
from taichisoft.base.eager import eager_class
from taichisoft.base.trees import tree
from taichisoft.base.words import summary
from taichisoft.geometry.records import moved
from taichisoft.geometry.wrap import Wrap


@eager_class
@tree(but=("wrap_u", "wrap_v", "mipmaps", "name"))
@dataclass(frozen=True, eq=False, repr=False)
class Material:
    """What faces of a mesh look like: a colour, an image, or the product of both; likewise of opacity.

    Images are looked up by the coordinates ``uv`` of a `Mesh`, with the origin of `Texture`: v = 0 is the
    lower edge, row 0 of the image its top row.

    Parameters
    ----------
    color : Tensor, (C,), float32 or float64
        What colours are multiplied by: Kd of MTL, baseColorFactor of glTF. Any number of channels. By
        default white, with the channels, dtype and device of the image; without one (3,), float32.
    image : Tensor, (H, W, C), optional
        Colours of the texels, of as many channels as ``color``.
    opacity : scalar Tensor, optional
        What opacity is multiplied by, in [0, 1].
    image_opacity : Tensor, (H, W), optional
        How much of what is behind each texel hides, from 0 (nothing) to 1 (all, the default); of the size of
        the image, if there is one. Colours are not multiplied by it.
    wrap_u, wrap_v : Wrap
        What is beyond the left and right, and the lower and upper border of the image.
    mipmaps : bool
        Whether a smaller version of the image and its opacity is seen where texels are smaller than pixels,
        as in `Texture`.
    name : str
        That of the file.

    Raises
    ------
    TypeError, ValueError
        A wrong type, shape, dtype or device; NaN or infinity; an opacity outside of [0, 1].
    """

    # Never None once it is made: that stands for white.
    color: Tensor = None  # type: ignore[assignment]
    image: Tensor | None = None
    opacity: Tensor | None = None
    image_opacity: Tensor | None = None
    wrap_u: Wrap = Wrap.REPEAT
    wrap_v: Wrap = Wrap.REPEAT
    mipmaps: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if self.image is not None:
            check_tensor(self.image, "image", ("H", "W", "C"))
            _check_not_empty(self.image, "image")
            check_finite(self.image, "image")
        if self.color is None:
            object.__setattr__(self, "color", self._white())
        shape = ("C",) if self.image is None else (self.image.shape[-1],)
        check_tensor(self.color, "color", shape)
        _check_not_empty(self.color, "color")
        check_finite(self.color, "color")
        if self.image is not None:
            check_like(self.image, "image", self.color, "color")
        self._check_opacity()
        for name in ("wrap_u", "wrap_v"):
            check_type(getattr(self, name), name, Wrap)
        check_type(self.mipmaps, "mipmaps", bool)
        check_type(self.name, "name", str)

    def __repr__(self) -> str:
        return summary(self, f"material {self.name!r}" if self.name else "material")

    @property
    def channels(self) -> int:
        """Number of channels C of the colour."""
        return self.color.shape[0]

    @property
    def has_texels(self) -> bool:
        """Whether anything is looked up in an image, of colours or of opacity."""
        return self.image is not None or self.image_opacity is not None

    @property
    def has_opacity(self) -> bool:
        """Whether there is an opacity, one or that of an image."""
        return self.opacity is not None or self.image_opacity is not None

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Material:
        """Return the material on another device, or with another floating dtype. Differentiable.

        Raises
        ------
        ValueError
            A float64 number is beyond what float32 holds, about 3.4e38.
        """
        return moved(self, device, dtype)

    def _white(self) -> Tensor:
        given = next((x for x in (self.image_opacity, self.opacity) if isinstance(x, Tensor)), None)
        if self.image is not None:
            return self.image.new_ones(self.image.shape[-1])
        return torch.ones(3) if given is None else given.new_ones(3)

    def _check_opacity(self) -> None:
        if self.opacity is not None:
            check_tensor(self.opacity, "opacity", ())
        if self.image_opacity is not None:
            size = ("H", "W") if self.image is None else tuple(self.image.shape[:2])
            check_tensor(self.image_opacity, "image_opacity", size)
            _check_not_empty(self.image_opacity, "image_opacity")
        for name in ("opacity", "image_opacity"):
            value = getattr(self, name)
            if value is not None:
                check_like(value, name, self.color, "color")
                check_shares(value, name)


def _check_not_empty(value: Tensor, name: str) -> None:
    if 0 in value.shape:
        raise ValueError(f"{name} must not be empty, got shape {tuple(value.shape)}")
