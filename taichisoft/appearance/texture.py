"""Textures: images that are spread over a surface by UV coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from taichisoft.appearance.pyramid import Pyramid
from taichisoft.base.checks import (
    check_batch,
    check_finite,
    check_indices,
    check_like,
    check_same_device,
    check_shares,
    check_tensor,
    check_type,
)
from taichisoft.base.eager import eager_class
from taichisoft.base.trees import tree
from taichisoft.base.words import summary
from taichisoft.geometry.wrap import Wrap


@eager_class
@tree(but=("wrap", "mipmaps"))
@dataclass(frozen=True, eq=False)
class Texture:
    """An image that is spread over a mesh, sampled bilinearly.

    The origin is that of OBJ and OpenGL: u = 0 is the left and u = 1 the right edge of the image, v = 0
    the *lower* and v = 1 the upper edge; row 0 of the image is its top row, as image files are read. (glTF
    counts v from the top: use 1 - v.) Texels are centred at ``((i + 0.5) / W, 1 - (j + 0.5) / H)``.

    Parameters
    ----------
    image : Tensor, (H, W, C) or (B, H, W, C)
        Any number of channels; dtype and device of the mesh. For all images, or for each.
    uv : Tensor, (T, 2) or (B, T, 2)
        Coordinates u and v; any finite numbers, see `Wrap`.
    uv_faces : Tensor, (F, 3), int64, optional
        Rows of ``uv`` of the three corners of each face, as in OBJ. By default the faces of the mesh, that
        is, one row per vertex. With ``arange(3 * F).reshape(F, 3)`` every corner has its own.
    wrap : Wrap
        What is beyond the border.
    opacity : Tensor, (H, W) or (B, H, W), optional
        How much of what is behind each texel hides, from 0 (nothing) to 1 (all, the default); looked up as
        the image is, and multiplied by the opacity of the mesh. Colours are not multiplied by it.
    mipmaps : bool
        Whether a smaller version of the image and its opacity is seen where texels are smaller than pixels:
        less flicker, and gradients for more texels. See the notes.

    Raises
    ------
    TypeError, ValueError
        A wrong type, shape, dtype, device or index; NaN or infinity; an opacity outside of [0, 1].

    Notes
    -----
    A texture that is finer than the pixels flickers, and its gradient reaches only the texels next to the
    centres of pixels. With ``mipmaps`` a pixel has the mean of about a pixel: of the image and its smaller
    versions, each half as high and wide as the one before, the two whose texels are nearest to it in area are
    looked up, and blended. That area is exact in perspective, differentiable, and that of the pixels that are
    really rendered, smaller with ``ssaa``. What is magnified is the same to the bit as without mipmaps. What
    is seen at a slant is blurred too much one way and too little the other; what lies in an image between the
    parts of an atlas shows from afar. A step takes 1.3 to 1.4 times as long (128 x 128 pixels).

    Between texels colour and opacity are interpolated each by itself, so that the colour of a texel without
    opacity is seen beside it: fill those with that of their neighbours.
    """

    image: Tensor
    uv: Tensor
    uv_faces: Tensor | None = None
    wrap: Wrap = Wrap.REPEAT
    opacity: Tensor | None = None
    mipmaps: bool = False

    def __post_init__(self) -> None:
        check_tensor(self.image, "image", ("H", "W", "C"), ("B", "H", "W", "C"))
        if 0 in self.image.shape:
            raise ValueError(f"image must not be empty, got shape {tuple(self.image.shape)}")
        check_finite(self.image, "image")
        check_tensor(self.uv, "uv", ("T", 2), ("B", "T", 2))
        check_finite(self.uv, "uv")
        check_like(self.uv, "uv", self.image, "image")
        if self.uv_faces is not None:
            check_tensor(self.uv_faces, "uv_faces", ("F", 3), dtypes=(torch.int64,))
            check_same_device(self.uv_faces, "uv_faces", self.uv, "uv")
            check_indices(self.uv_faces, "uv_faces", self.uv.shape[-2], "rows of uv")
        check_type(self.wrap, "wrap", Wrap)
        check_type(self.mipmaps, "mipmaps", bool)
        if self.opacity is not None:
            size = tuple(self.image.shape[-3:-1])
            check_tensor(self.opacity, "opacity", size, ("B", *size))
            check_like(self.opacity, "opacity", self.image, "image")
            check_shares(self.opacity, "opacity")
            batches = {"image": self.image[..., 0], "opacity": self.opacity}
            check_batch({n: x.shape[0] if x.ndim == 3 else 1 for n, x in batches.items()})

    def __repr__(self) -> str:
        height, width = self.image.shape[-3:-1]
        return summary(self, f"texture of {height} x {width} texels")

    @property
    def channels(self) -> int:
        """Number of channels C of the image."""
        return self.image.shape[-1]

    @property
    def batch_size(self) -> int:
        """Number of images B, 1 without a batch axis."""
        own = self.image.shape[0] if self.image.ndim == 4 else 1
        return max(own, 1 if self.opacity is None or self.opacity.ndim == 2 else len(self.opacity))

    def with_opacity_as_channel(self) -> Texture:
        """Return a texture whose last channel is the opacity of this one; itself if it has none."""
        if self.opacity is None:
            return self
        image, opacity = self.image, self.opacity[..., None]
        if image.ndim != opacity.ndim:
            image, opacity = (x.expand(self.batch_size, *x.shape[-3:]) for x in (image, opacity))
        return replace(self, image=torch.cat([image, opacity], -1), opacity=None)

    def pyramid(self) -> Pyramid:
        """Return what is looked up: the image, and with ``mipmaps`` its smaller versions. Differentiable.

        Without the opacity: see `with_opacity_as_channel`.
        """
        images = self.image if self.image.ndim == 4 else self.image[None]
        return Pyramid.of(images, self.wrap, smaller=self.mipmaps)

    def sample(
        self, uv: Tensor, image: Tensor | None = None, level: Tensor | None = None
    ) -> Tensor:
        """Look the texture up.

        Parameters
        ----------
        uv : Tensor, (N, 2)
            Where.
        image : Tensor, (N,), int64, optional
            In which texture of the batch; not used if there is one for all.
        level : Tensor, (N,), optional
            With ``mipmaps``, in which version: 0 is the image itself (the default), 1 the one half as large,
            and so on, linearly in between.

        Returns
        -------
        Tensor, (N, C)
            Differentiable with respect to the texture and, where it is not constant, to u, v and the level,
            to any order (torch's ``grid_sample`` has one derivative, and does not repeat).
        """
        return self.pyramid().sample(uv, level, image)
