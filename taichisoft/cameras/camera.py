"""Cameras: world coordinates to pixel coordinates, differentiable in every parameter.

Axes of the camera are those of OpenCV: x right, y down, z forward. In the image, pixel
(row i, column j) has its centre at (x, y) = (j + 0.5, i + 0.5); the image covers
``[0, width] x [0, height]``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from taichisoft.base.checks import (
    FLOAT_DTYPES,
    check_batch,
    check_finite,
    check_image_size,
    check_like,
    check_number,
    check_tensor,
    check_type,
)
from taichisoft.base.precision import full_precision
from taichisoft.cameras import blender, opencv, opengl, pytorch3d
from taichisoft.cameras.construction import (
    Values,
    as_batch,
    as_tensors,
    broadcast,
    centred_intrinsics,
    check_inside,
    orbit_axes,
    view_from,
)


@dataclass(frozen=True, eq=False)
class Camera:
    """A batch of B pinhole or orthographic cameras that share an image size.

    Usually made by `look_at`, `orbit`, `orthographic`, or from the cameras of another program by
    `from_opencv`, `from_opengl`, `from_pytorch3d` or `from_blender`; `to_opencv` and so on go back. A
    point X of the world is at ``x = rotation @ X + translation`` in camera coordinates.

    Parameters
    ----------
    rotation : Tensor, (B, 3, 3), float32 or float64
        World to camera. Not checked to be a rotation, so that it can be optimised freely.
    translation : Tensor, (B, 3)
        World to camera, in scene units.
    intrinsics : Tensor, (B, 3, 3)
        ``[[fx, skew, cx], [0, fy, cy], [0, 0, 1]]`` in pixels (pixels per scene unit if
        orthographic); (cx, cy) in the pixel coordinates above. The last row is not used.
    image_size : (int, int)
        Height and width in pixels.
    perspective : bool
        Whether to divide by depth.
    near : float
        Depth in scene units in front of which nothing is drawn; positive if perspective.

    Raises
    ------
    TypeError, ValueError
        Wrong type, dtype, shape, device or value of an argument, which the message names.
    """

    rotation: torch.Tensor
    translation: torch.Tensor
    intrinsics: torch.Tensor
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
        for name in ("rotation", "translation", "intrinsics"):
            check_finite(getattr(self, name), name)
        check_type(self.perspective, "perspective", bool)
        above = 0.0 if self.perspective else -math.inf
        object.__setattr__(self, "near", check_number(self.near, "near", above=above))
        object.__setattr__(self, "image_size", check_image_size(self.image_size))

    @classmethod
    def look_at(
        cls,
        eye: Values,
        at: Values = (0.0, 0.0, 0.0),
        up: Values = (0.0, 1.0, 0.0),
        *,
        fov: Values = 40.0,
        image_size: tuple[int, int],
        near: float = 0.01,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Perspective cameras at ``eye`` looking at ``at``, with square pixels.

        Parameters
        ----------
        eye, at, up : (3,) or (B, 3)
            Position, a point at the image centre, and a direction that points up in the image;
            world coordinates. ``up`` need not be a unit vector.
        fov : scalar or (B,)
            Vertical field of view in degrees (the whole angle), between 0 and 180.
        image_size : (int, int)
            Height and width in pixels.
        near : float
            Depth in front of which nothing is drawn, positive.
        dtype, device : optional
            By default those of the tensors among the first four arguments (the widest dtype),
            or the default dtype on the CPU if there are none.

        Notes
        -----
        Differentiable, any number of times, in every argument that is a tensor. Batch sizes
        must be equal or 1.

        Raises
        ------
        TypeError, ValueError
            A bad argument; ``eye`` equal to ``at``; ``up`` zero or parallel to the view
            direction.
        """
        values = {"eye": eye, "at": at, "up": up, "fov": fov}
        tensors = as_tensors(values, dtype, device)
        check_inside(tensors["fov"], "fov", 0.0, 180.0)
        height, width = check_image_size(image_size)
        rotation, translation = view_from(tensors)
        focal = (height / 2) / torch.tan(torch.deg2rad(tensors["fov"]) / 2)
        intrinsics = centred_intrinsics(focal, height, width)
        return broadcast(cls, rotation, translation, intrinsics, (height, width), True, near)

    @classmethod
    def orthographic(
        cls,
        eye: Values,
        at: Values = (0.0, 0.0, 0.0),
        up: Values = (0.0, 1.0, 0.0),
        *,
        height: Values = 2.0,
        image_size: tuple[int, int],
        near: float = 0.01,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Orthographic cameras at ``eye`` looking at ``at``, with square pixels.

        Parameters
        ----------
        height : scalar or (B,)
            Height of the view in scene units, positive. The width follows from the image size.
        near : float
            Depth (distance from ``eye`` along the view direction) in front of which nothing is
            drawn; may be negative.
        eye, at, up, image_size, dtype, device
            As for `look_at`, as are differentiability and errors.
        """
        tensors = as_tensors({"eye": eye, "at": at, "up": up, "height": height}, dtype, device)
        check_inside(tensors["height"], "height", 0.0, math.inf)
        rows, columns = check_image_size(image_size)
        rotation, translation = view_from(tensors)
        intrinsics = centred_intrinsics(rows / tensors["height"], rows, columns)
        return broadcast(cls, rotation, translation, intrinsics, (rows, columns), False, near)

    @classmethod
    def orbit(
        cls,
        distance: Values,
        azimuth: Values,
        elevation: Values = 0.0,
        at: Values = (0.0, 0.0, 0.0),
        *,
        fov: Values = 40.0,
        image_size: tuple[int, int],
        near: float = 0.01,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Perspective cameras on a sphere about ``at``, which they look at, with square pixels.

        Parameters
        ----------
        distance : scalar or (B,)
            From ``at``, in scene units, positive.
        azimuth : scalar or (B,)
            In degrees. 0 is on the side of +z, 90 on the side of +x.
        elevation : scalar or (B,)
            In degrees above the plane of x and z; 90 looks straight down, with -z up in the image
            at azimuth 0. Any angle will do: beyond 90 the camera goes on, upside down.
        at : (3,) or (B, 3)
            The point at the image centre, world coordinates.
        fov, image_size, near, dtype, device
            As for `look_at`, as are differentiability and errors.
        """
        values = {"distance": distance, "azimuth": azimuth, "elevation": elevation}
        tensors = as_tensors({**values, "at": at, "fov": fov}, dtype, device)
        check_inside(tensors["distance"], "distance", 0.0, math.inf)
        distance, at = tensors["distance"].reshape(-1, 1), as_batch(tensors["at"], "at", 3)
        away, up = orbit_axes(tensors["azimuth"], tensors["elevation"])
        sizes = {"distance": len(distance), "azimuth and elevation": len(away), "at": len(at)}
        check_batch(sizes)
        eye = at + distance * away
        return cls.look_at(eye, at, up, fov=tensors["fov"], image_size=image_size, near=near)

    from_opencv = classmethod(opencv.from_opencv)
    from_opengl = classmethod(opengl.from_opengl)
    from_pytorch3d = classmethod(pytorch3d.from_pytorch3d)
    from_blender = classmethod(blender.from_blender)
    to_opencv = opencv.to_opencv
    to_opengl = opengl.to_opengl
    to_pytorch3d = pytorch3d.to_pytorch3d
    to_blender = blender.to_blender

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
    def position(self) -> torch.Tensor:
        """Origins of the cameras in the world, (B, 3). Assumes that ``rotation`` is one."""
        return -(self.rotation.mT @ self.translation[..., None])[..., 0]

    @full_precision
    def project(self, vertices: torch.Tensor) -> torch.Tensor:
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
    def to_view(self, vertices: torch.Tensor) -> torch.Tensor:
        """Return points of the world in camera coordinates, (B, V, 3): the first half of `project`."""
        check_tensor(vertices, "vertices", ("V", 3), ("B", "V", 3))
        check_like(vertices, "vertices", self.rotation, "camera")
        check_finite(vertices, "vertices")
        points = vertices if vertices.ndim == 3 else vertices[None]
        check_batch({"vertices": points.shape[0], "camera": self.batch_size})
        return points @ self.rotation.mT + self.translation[:, None]

    @full_precision
    def to_image(self, points: torch.Tensor) -> torch.Tensor:
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
    ) -> Camera:
        """Return the cameras on another device, or with another floating dtype. Differentiable."""
        if dtype is not None and dtype not in FLOAT_DTYPES:
            raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
        return self._map(lambda value: value.to(device=device, dtype=dtype))

    def __len__(self) -> int:
        return self.batch_size

    def __getitem__(self, index: int | slice | torch.Tensor | list[int]) -> Camera:
        """Select cameras by an int, a slice, a list of ints, or an index or mask tensor.

        The result keeps its batch axis: ``camera[3]`` has batch size 1.
        """
        if isinstance(index, numbers.Integral):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index must select one of {len(self)} cameras, got {index}")
            index = [int(index)]
        return self._map(lambda value: value[index])

    def __iter__(self) -> Iterator[Camera]:
        return (self[index] for index in range(len(self)))

    def _map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Camera:
        return Camera(
            rotation=function(self.rotation),
            translation=function(self.translation),
            intrinsics=function(self.intrinsics),
            image_size=self.image_size,
            perspective=self.perspective,
            near=self.near,
        )
