"""The camera model: projection of points by a rotation, a translation and intrinsics.

Axes of the camera are those of OpenCV: x right, y down, z forward. In the image, pixel
(row i, column j) has its centre at (x, y) = (j + 0.5, i + 0.5); the image covers
``[0, width] x [0, height]``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

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
from taichisoft.base.transforms import beneath
from taichisoft.base.words import counted, summary
from taichisoft.cameras.construction import (
    ImageSize,
    Values,
    as_batch,
    as_tensors,
    check_invertible,
)
from taichisoft.cameras.distortion import SIZES, Distortion, completed

if TYPE_CHECKING:
    from typing_extensions import Self

Model = TypeVar("Model", bound="CameraModel")

# Scene units in front of a perspective camera, by default.
NEAR = 0.01
# Pixels by which the sides of a box may miss a whole number: rounding in float32.
ROUNDING = 1e-2


def near_or_default(near: float | None, *, perspective: bool) -> float:
    """Return a near depth; by default `NEAR`, and none at all for an orthographic camera."""
    if near is not None:
        return near
    return NEAR if perspective else -math.inf


@eager_class
@dataclass(frozen=True, eq=False, repr=False)
class CameraModel:
    """What a `Camera`, whose parameters these are, does; it adds the ways to make one."""

    rotation: Tensor
    translation: Tensor
    intrinsics: Tensor
    image_size: tuple[int, int]
    perspective: bool = True
    near: float = None  # type: ignore[assignment]  # a number once it is made
    distortion: Tensor | None = None

    def __post_init__(self) -> None:
        check_tensor(self.rotation, "rotation", ("B", 3, 3))
        batch = self.rotation.shape[0]
        check_batch({"rotation": batch})
        check_tensor(self.translation, "translation", (batch, 3))
        check_tensor(self.intrinsics, "intrinsics", (batch, 3, 3))
        if self.distortion is not None:
            check_tensor(self.distortion, "distortion", *((batch, size) for size in SIZES))
        for name, part in self.parts.items():
            check_like(part, name, self.rotation, "rotation")
        check_all_finite(self.parts)
        check_type(self.perspective, "perspective", bool)
        if self.distortion is not None and not self.perspective:
            raise ValueError("distortion needs a perspective camera, got perspective=False")
        near = near_or_default(self.near, perspective=self.perspective)
        if self.perspective or near != -math.inf:
            near = check_number(near, "near", above=0.0 if self.perspective else -math.inf)
        object.__setattr__(self, "near", near)
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
    def parts(self) -> dict[str, Tensor]:
        """The tensors that the cameras are made of, by name, each with the batch axis first.

        ``rotation``, ``translation``, ``intrinsics``, and ``distortion`` unless it is None.
        """
        parts = {name: getattr(self, name) for name in ("rotation", "translation", "intrinsics")}
        return parts if self.distortion is None else {**parts, "distortion": self.distortion}

    @property
    def valid_radius(self) -> Tensor:
        """How far from the axis the lenses show anything, (B,): the least radius that they do not show.

        In units of depth, ``sqrt(x^2 + y^2) / z``, so that its arc tangent is an angle. It is where the
        radial part of the distortion stops growing, beyond which the image would turn back over itself;
        infinite for many lenses, and without a distortion. Without a gradient.
        """
        if self.distortion is None:
            return torch.full_like(self.translation[:, 0].detach(), math.inf)
        return Distortion.of(self.distortion).squared_radius.sqrt()

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
            an orthographic camera. It is 0 for a point that the lens has no image of.

        Notes
        -----
        Differentiable, any number of times, in the points and in every parameter. Perspective
        cameras divide by ``max(depth, near)``, so x, y, inverse w and their gradients are finite
        for points beside and behind the camera; there they mean nothing. Depth itself is not
        clamped: ``depth < near`` tells which points those are.

        With a distortion, points beyond `valid_radius` have no image, nor have those where p1 and p2 turn the
        image over, or whose image is more than a million focal lengths away. Their x and y are those without
        a distortion and mean nothing: an inverse w of 0 tells which points those are.

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
        plane = points[..., :2] * inverse_w
        if self.distortion is not None:
            plane, shown = self._through_lens(plane)
            inverse_w = torch.where(shown, inverse_w, 0)
        pixels = plane @ self.intrinsics[:, :2, :2].mT
        pixels = pixels + self.intrinsics[:, None, :2, 2]
        return torch.cat([pixels, depth, inverse_w], dim=-1)

    @full_precision
    def bent(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return where a pinhole sees, in their depth, what the lens shows of points, (B, V, 3).

        Both in camera coordinates. And which of them, (B, V), are beyond the near plane and have an image:
        the others stay where they are.
        """
        depth = points[..., 2:]
        ahead = depth >= self.near
        if self.distortion is None:
            return points, ahead[..., 0]
        plane, shown = self._through_lens(points[..., :2] / depth.clamp(min=self.near))
        shown = shown & ahead
        return torch.where(shown, torch.cat([plane * depth, depth], -1), points), shown[..., 0]

    def _through_lens(self, plane: Tensor) -> tuple[Tensor, Tensor]:
        """Return points of the plane as the lens shows them, and which it does show, (B, V, 1).

        The others stay where they are.
        """
        lens = Distortion.of(cast(Tensor, self.distortion))
        shown = lens.holds(plane)[..., None]
        # Where the formula does not hold it may be infinite, in its gradient, too.
        return torch.where(shown, lens.bend(torch.where(shown, plane, 0)), plane), shown

    @full_precision
    def unproject(self, depth: Tensor, pixels: Tensor | None = None) -> Tensor:
        """Return the points of the world at some depths: the inverse of `project`.

        Parameters
        ----------
        depth : Tensor, (H, W) or (B, H, W); with pixels (N,) or (B, N)
            The camera's z in scene units, as in ``SoftImage.depth``, and not the distance; finite, dtype and
            device of the camera. For a perspective camera at least `near`, before which `project` has no
            inverse: a depth of 0, which an image has where nothing is, is the place of the camera. Where a
            sensor measured nothing there is often a NaN: give ``depth.nan_to_num(0.0)``, and leave those
            points out, ``points[depth.isfinite()]``.
        pixels : Tensor, (N, 2) or (B, N, 2), optional
            Where in the image, (x, y) in pixels. By default the centres of all pixels. Batch sizes must be
            equal or 1.

        Returns
        -------
        Tensor, (B, H, W, 3) or (B, N, 3)
            Differentiable, any number of times (with a distortion seven times), in depth, pixels and every
            parameter.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, device or batch size; a NaN or infinity; a camera whose matrices have no
            inverse; a pixel where the lens shows nothing, with a depth other than 0.
        """
        if pixels is None:
            check_tensor(depth, "depth", self.image_size, ("B", *self.image_size))
            flat = depth.flatten(-2)
            found = self._unproject(flat, self._pixel_centers().flatten(0, 1))
            return found.unflatten(1, self.image_size)
        check_tensor(pixels, "pixels", ("N", 2), ("B", "N", 2))
        check_tensor(depth, "depth", (pixels.shape[-2],), ("B", pixels.shape[-2]))
        check_like(pixels, "pixels", self.rotation, "camera")
        check_finite(pixels, "pixels")
        return self._unproject(depth, pixels)

    def _pixel_centers(self) -> Tensor:
        """Return x and y of the centres of all pixels, (H, W, 2): halves from 0.5 on."""
        y, x = (
            torch.arange(side, dtype=self.dtype, device=self.device) + 0.5
            for side in self.image_size
        )
        return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)

    def _unproject(self, depth: Tensor, pixels: Tensor) -> Tensor:
        check_like(depth, "depth", self.rotation, "camera")
        check_finite(depth, "depth")
        depth = depth if depth.ndim == 2 else depth[None]
        pixels = pixels if pixels.ndim == 3 else pixels[None]
        check_batch({"depth": len(depth), "pixels": len(pixels), "camera": self.batch_size})
        matrix = self.intrinsics[:, :2, :2]
        check_invertible(matrix, "intrinsics[:, :2, :2]")
        check_invertible(self.rotation, "rotation")
        offsets = (pixels - self.intrinsics[:, None, :2, 2]).mT
        plane = torch.linalg.solve(*_as_one_batch(matrix, offsets)).mT
        if self.distortion is not None:
            plane, shown = Distortion.of(self.distortion).straighten(plane)
            _check_shown(shown, depth)
        if self.perspective:
            plane = plane * depth[..., None]
        view = torch.stack(torch.broadcast_tensors(*plane.unbind(-1), depth), -1)
        points = (view - self.translation[:, None]).mT
        return torch.linalg.solve(*_as_one_batch(self.rotation, points)).mT

    def crop(self, box: Values) -> Self:
        """Return cameras that see a part of the image, or more than the image.

        Parameters
        ----------
        box : (4,) or (B, 4)
            Left, top, right and bottom in pixels, as in ``PIL.Image.crop``; it may leave the image. With
            whole numbers the new image is ``image[top:bottom, left:right]``. They need not be whole, but
            width and height must be (to within 0.01), and the same for all boxes. Batch sizes must be equal
            or 1.

        Returns
        -------
        Camera
            Differentiable in the place of the box. Depth, `near` and the pose stay.

        Raises
        ------
        TypeError, ValueError
            Not numbers, another shape, a NaN; sides that are not whole, not positive or not the same.
        """
        boxes = as_batch(as_tensors({"box": box}, self.dtype, self.device)["box"], "box", 4)
        batch = check_batch({"box": len(boxes), "camera": self.batch_size})
        width, height = (_whole(boxes, side) for side in (0, 1))
        offset = torch.nn.functional.pad(boxes[:, :2, None], (2, 0, 0, 1))
        parts = {**self.parts, "intrinsics": self.intrinsics - offset}
        parts = {name: part.expand(batch, *part.shape[1:]) for name, part in parts.items()}
        return self.with_parts({**parts, "image_size": (height, width)})

    def resize(self, size: ImageSize) -> Self:
        """Return cameras that see the same in an image of another size.

        Parameters
        ----------
        size : (int, int)
            Height and width in pixels. With another aspect ratio the pixels are no longer square.

        Raises
        ------
        TypeError, ValueError
            Not two positive integers.
        """
        height, width = check_image_size(size, "size")
        rows, columns = self.image_size
        factors = self.intrinsics.new_tensor([[width / columns], [height / rows], [1.0]])
        return replace(self, intrinsics=self.intrinsics * factors, image_size=(height, width))

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """Return the cameras on another device, or with another floating dtype. Differentiable.

        Raises
        ------
        ValueError
            A float64 number is beyond what float32 holds, about 3.4e38.
        """
        if dtype is not None:
            check_dtype(dtype)
        parts = {name: part.to(device=device, dtype=dtype) for name, part in self.parts.items()}
        if dtype == torch.float32 != self.dtype:
            for name, part in parts.items():
                check_finite(part, f"{name} in float32")
        return self.with_parts(parts)

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
        return self.mapped(lambda value: value[index])

    def __iter__(self) -> Iterator[Self]:
        return (self[index] for index in range(len(self)))

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Return the cameras with a function applied to each of their `parts`."""
        return self.with_parts({name: function(part) for name, part in self.parts.items()})

    def with_parts(self, parts: Mapping[str, Any]) -> Self:
        """Return the cameras with other fields, by name."""
        return replace(self, **parts)


def joined(cameras: Sequence[Model]) -> Model:
    """Return cameras of one image size, kind and near depth, which are those of the first, as one batch.

    If one has a distortion, all have one: of the others it is 0.
    """
    size = max(0 if x.distortion is None else x.distortion.shape[1] for x in cameras)
    if size:
        none = (x.translation.new_zeros(len(x), 0) for x in cameras)
        given = (
            o if x.distortion is None else x.distortion for x, o in zip(cameras, none, strict=True)
        )
        bent = (completed(coefficients, size) for coefficients in given)
        cameras = [replace(x, distortion=k) for x, k in zip(cameras, bent, strict=True)]
    parts = {name: torch.cat([x.parts[name] for x in cameras]) for name in cameras[0].parts}
    return cameras[0].with_parts(parts)


def _check_shown(shown: Tensor, depth: Tensor) -> None:
    """Raise ValueError if a pixel with a depth has no place before the lens."""
    lost = beneath(~shown & (depth.detach() != 0))
    if bool(lost.any()):
        raise ValueError(
            f"pixels must be where the lens shows something, or have a depth of 0, got {int(lost.sum())} of "
            f"{lost.numel()} beyond; camera.valid_radius tells how far from the axis the distortion holds"
        )


def _as_one_batch(matrices: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Return matrices (B, n, n) and columns (B, n, N) with one batch size."""
    batch = check_batch({"camera": len(matrices), "points": len(columns)})
    return matrices.expand(batch, -1, -1), columns.expand(batch, -1, -1)


def _whole(boxes: Tensor, side: int) -> int:
    """Return the length of a side of all boxes: 0 is their width, 1 their height."""
    lengths = beneath((boxes[:, side + 2] - boxes[:, side]).detach()).flatten().tolist()
    whole = round(lengths[0])
    if whole < 1 or any(abs(length - whole) > ROUNDING for length in lengths):
        name = ("width (right - left)", "height (bottom - top)")[side]
        raise ValueError(
            f"box must have a {name} of one whole number of pixels, at least 1, in a batch, got {lengths}"
        )
    return whole
