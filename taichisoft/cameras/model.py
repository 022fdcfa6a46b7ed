"""The camera model: projection of points by a rotation, a translation and intrinsics.

Axes of the camera are those of OpenCV: x right, y down, z forward. In the image, pixel
(row i, column j) has its centre at (x, y) = (j + 0.5, i + 0.5); the image covers
``[0, width] x [0, height]``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from taichisoft.base.checks import (
    check_all_finite,
    check_batch,
    check_dtype,
    check_finite,
    check_image_size,
    check_like,
    check_number,
    check_tensor,
    check_type,
)
from taichisoft.base.eager import eager_class
from taichisoft.base.precision import full_precision
from taichisoft.base.words import counted, summary

if TYPE_CHECKING:
    from typing_extensions import Self

MATRICES = ("rotation", "translation", "intrinsics")


@eager_class
@dataclass(frozen=True, eq=False, repr=False)
class CameraModel:
    """What a `Camera`, whose parameters these are, does; it adds the ways to make one."""

    rotation: Tensor
    translation: Tensor
    intrinsics: Tensor
    image_size: tuple[int, int]
    perspective: bool = True
    near: float = 0.01

    def __post_init__(self) -> None:
        check_tensor(self.rotation, "rotation", ("B", 3, 3))
        batch = self.rotation.shape[0]
        check_batch({"rotation": batch})
        check_tensor(self.translation, "translation", (batch, 3))
        check_tensor(self.intrinsics, "intrinsics", (batch, 3, 3))
        for name in ("translation", "intrinsics"):
            check_like(getattr(self, name), name, self.rotation, "rotation")
        check_all_finite({name: getattr(self, name) for name in MATRICES})
        check_type(self.perspective, "perspective", bool)
        above = 0.0 if self.perspective else -math.inf
        object.__setattr__(self, "near", check_number(self.near, "near", above=above))
        object.__setattr__(self, "image_size", check_image_size(self.image_size))

    def __repr__(self) -> str:
        kind = "perspective" if self.perspective else "orthographic"
        count = counted(self.batch_size, f"{kind} camera", f"{kind} cameras")
        return summary(self, f"{count} of {self.image_size[0]} x {self.image_size[1]} pixels")

    @property
    def batch_size(self) -> int:
        """Number of cameras B."""
        return self.rotation.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the parameters."""
        return self.rotation.dtype

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.rotation.device

    @property
    @full_precision
    def position(self) -> Tensor:
        """Origins of the cameras in the world, (B, 3). Assumes that ``rotation`` is one."""
        return -(self.rotation.mT @ self.translation[..., None])[..., 0]

    @full_precision
    def project(self, vertices: Tensor) -> Tensor:
        """Project points to the image.

        Parameters
        ----------
        vertices : Tensor, (V, 3) or (Bv, V, 3)
            Points of the world, finite; dtype and device of the camera. The batch sizes Bv and
            `batch_size` must be equal or 1.

        Returns
        -------
        Tensor, (B, V, 4)
            x and y in pixels; depth, the camera's z in scene units; inverse w, by which an
            attribute is multiplied to interpolate it perspective-correctly: 1 / depth, or 1 for
            an orthographic camera.

        Notes
        -----
        Differentiable, any number of times, in the points and in every parameter. Perspective
        cameras divide by ``max(depth, near)``, so x, y, inverse w and their gradients are finite
        for points beside and behind the camera; there they mean nothing. Depth itself is not
        clamped: ``depth < near`` tells which points those are.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, device or batch size, or a NaN or infinity in ``vertices``.
        """
        return self.to_image(self.to_view(vertices))

    @full_precision
    def to_view(self, vertices: Tensor) -> Tensor:
        """Return points of the world in camera coordinates, (B, V, 3): the first half of `project`."""
        check_tensor(vertices, "vertices", ("V", 3), ("B", "V", 3))
        check_like(vertices, "vertices", self.rotation, "camera")
        check_finite(vertices, "vertices")
        batch = vertices.shape[0] if vertices.ndim == 3 else 1
        check_batch({"vertices": batch, "camera": self.batch_size})
        return self._to_view(vertices)

    @full_precision
    def project_unchecked(self, vertices: Tensor) -> Tensor:
        """Project points like `project`, without a look at them: what is not finite stays so."""
        return self.to_image(self._to_view(vertices))

    def _to_view(self, vertices: Tensor) -> Tensor:
        points = vertices if vertices.ndim == 3 else vertices[None]
        return points @ self.rotation.mT + self.translation[:, None]

    @full_precision
    def to_image(self, points: Tensor) -> Tensor:
        """Project points in camera coordinates, (B, V, 3): the second half of `project`."""
        depth = points[..., 2:]
        # clamp has a zero gradient in front of the near plane, so no huge or NaN one either
        inverse_w = depth.clamp(min=self.near).reciprocal() if self.perspective else None
        if inverse_w is None:
            inverse_w = torch.ones_like(depth)
        pixels = (points[..., :2] * inverse_w) @ self.intrinsics[:, :2, :2].mT
        pixels = pixels + self.intrinsics[:, None, :2, 2]
        return torch.cat([pixels, depth, inverse_w], dim=-1)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """Return the cameras on another device, or with another floating dtype. Differentiable."""
        if dtype is not None:
            check_dtype(dtype)
        return self._map(lambda value: value.to(device=device, dtype=dtype))

    def __len__(self) -> int:
        return self.batch_size

    def __getitem__(self, index: int | slice | Tensor | list[int]) -> Self:
        """Select cameras by an int, a slice, a list of ints, or an index or mask tensor.

        The result keeps its batch axis: ``camera[3]`` has batch size 1.
        """
        if isinstance(index, numbers.Integral):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index must select one of {len(self)} cameras, got {index}")
            index = [int(index)]
        return self._map(lambda value: value[index])

    def __iter__(self) -> Iterator[Self]:
        return (self[index] for index in range(len(self)))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        rotation, translation, intrinsics = (function(getattr(self, name)) for name in MATRICES)
        return replace(self, rotation=rotation, translation=translation, intrinsics=intrinsics)
