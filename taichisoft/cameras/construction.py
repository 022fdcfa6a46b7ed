"""Matrices of cameras, from what a user knows: conversion, checks, views, intrinsics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from taichisoft.base.checks import check_batch, check_dtype, check_finite, check_tensor
from taichisoft.base.precision import default_dtype, full_precision
from taichisoft.base.transforms import beneath
from taichisoft.geometry.rotations import look_at

Values = Tensor | float | tuple | list | np.ndarray
"""A tensor, a number, nested sequences of numbers, or a NumPy array."""

ImageSize = Sequence[int] | np.ndarray | Tensor
"""Height and width: two integers in a tuple, list, array or tensor."""

Matrices = tuple[Tensor, Tensor, Tensor]
"""Rotation (B, 3, 3), translation (B, 3) and intrinsics (B, 3, 3); batch sizes equal or 1."""

_TOLERANCE = 1e-3
"""Largest error of the last row of K that counts as rounding."""

_SKEW = 1e-6
"""Skew, relative to the focal length, below which it is rounding."""


def as_tensors(
    values: Mapping[str, Values],
    dtype: torch.dtype | None,
    device: torch.device | str | None,
) -> dict[str, Tensor]:
    """Convert all values to finite tensors of one dtype on one device, keeping their graph.

    By default the widest floating dtype and the only device among the tensors that were given.
    Raises TypeError or ValueError, naming the entry, for what cannot be converted.
    """
    given = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    floats = [value.dtype for value in given.values() if value.is_floating_point()]
    if dtype is None:
        wide = torch.float64 in floats
        dtype = torch.float64 if wide else torch.float32 if floats else default_dtype()
    check_dtype(dtype)
    devices = {name: value.device for name, value in given.items()}
    if device is None:
        if len(set(devices.values())) > 1:
            raise ValueError(f"arguments must be on one device, got {devices}")
        device = next(iter(devices.values()), torch.device("cpu"))
    tensors = {}
    for name, value in values.items():
        tensors[name] = _as_tensor(value, name, dtype, device)
        check_finite(tensors[name], name)
    return tensors


def _as_tensor(value: Values, name: str, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    if isinstance(value, Tensor):
        if value.is_complex():
            raise TypeError(f"{name} must be real, got {value.dtype}")
        return value.to(dtype=dtype, device=device)
    if isinstance(value, (tuple, list)) and any(isinstance(v, Tensor) for v in value):
        # torch.as_tensor would accept them, and drop their gradient without a word
        raise TypeError(f"{name} must be one tensor or numbers; join its tensors by torch.stack")
    try:
        return torch.as_tensor(value, dtype=dtype, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be a tensor or numbers, got {value!r}") from error


def as_batch(value: Tensor, name: str, *shape: int) -> Tensor:
    """Return ``value``, of shape ``shape`` or (B, *shape), with its batch axis."""
    check_tensor(value, name, shape, ("B", *shape))
    return value if value.ndim > len(shape) else value[None]


def as_translation(value: Tensor) -> Tensor:
    """Return translations as (B, 3), from any of the forms that OpenCV users have."""
    check_tensor(value, "t", (3,), (3, 1), ("B", 3), ("B", 3, 1))
    return value.reshape(-1, 3)


def check_inside(value: Tensor, name: str, low: float, high: float) -> None:
    """Raise ValueError unless ``value``, a scalar or (B,), is strictly between the bounds."""
    check_tensor(value, name, (), ("B",))
    value = beneath(value)
    inside = (value > low) & (value < high)
    if not bool(inside.all()):
        bad = value.detach()[~inside].flatten()[0].item()
        raise ValueError(f"{name} must be greater than {low:g} and less than {high:g}, got {bad:g}")


def check_positive(value: Tensor, name: str) -> None:
    """Raise ValueError unless every entry is positive."""
    value = beneath(value)
    if not bool((value > 0).all()):
        raise ValueError(f"{name} must be positive, got {value.tolist()}")


def check_invertible(matrices: Tensor, name: str) -> None:
    """Raise ValueError if the determinant of a matrix is zero."""
    if bool(beneath(torch.linalg.det(matrices.detach()) == 0).any()):
        raise ValueError(f"{name} must have an inverse, got a determinant of 0")


def check_intrinsics(intrinsics: Tensor) -> None:
    """Raise ValueError unless all K have positive focal lengths and the last row (0, 0, 1)."""
    matrices = intrinsics.detach()
    focal, row = beneath(matrices[:, [0, 1], [0, 1]]), beneath(matrices[:, 2])
    if not bool((focal > 0).all()):
        raise ValueError(
            f"K must have positive focal lengths fx and fy, got {beneath(matrices).tolist()}"
        )
    if not bool(((row - row.new_tensor([0.0, 0.0, 1.0])).abs() <= _TOLERANCE).all()):
        raise ValueError(f"K must have the last row (0, 0, 1), got {row.tolist()}")


@full_precision
def view_from(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return rotation (B, 3, 3) and translation (B, 3) that look from eye to at, up upwards.

    The batch is that of eye, at and up together. Raises ValueError where the view is undefined.
    """
    eye, at, up = (as_batch(tensors[name], name, 3) for name in ("eye", "at", "up"))
    check_batch({"eye": eye.shape[0], "at": at.shape[0], "up": up.shape[0]})
    rotation = look_at(eye, at, up)
    return rotation, -(rotation @ eye[..., None])[..., 0]


def orbit_axes(azimuth: Tensor, elevation: Tensor) -> tuple[Tensor, Tensor]:
    """Return unit vectors, (B, 3), from the centre of a sphere to a place on it, and north there.

    Azimuth from +z to +x and elevation from there to +y, scalars or (B,) in degrees.
    """
    for name, angle in (("azimuth", azimuth), ("elevation", elevation)):
        check_tensor(angle, name, (), ("B",))
    check_batch({"azimuth": azimuth.numel(), "elevation": elevation.numel()})
    a, e = torch.broadcast_tensors(*(torch.deg2rad(v.reshape(-1)) for v in (azimuth, elevation)))
    away = torch.stack([e.cos() * a.sin(), e.sin(), e.cos() * a.cos()], -1)
    north = torch.stack([-e.sin() * a.sin(), e.cos(), -e.sin() * a.cos()], -1)
    return away, north


def one_fov(fov: Values | None, horizontal_fov: Values | None) -> dict[str, Values]:
    """Return the field of view that was given, by its name; 40 degrees of the height if none was."""
    if horizontal_fov is None:
        return {"fov": 40.0 if fov is None else fov}
    if fov is not None:
        raise ValueError("either fov or horizontal_fov must be given, got both")
    return {"horizontal_fov": horizontal_fov}


def focal_of(tensors: dict[str, Tensor], height: int, width: int) -> Tensor:
    """Return the focal length in pixels, of the field of view that is among the tensors."""
    name, side = ("fov", height) if "fov" in tensors else ("horizontal_fov", width)
    check_inside(tensors[name], name, 0.0, 180.0)
    return (side / 2) / torch.tan(torch.deg2rad(tensors[name]) / 2)


def centred_intrinsics(focal: Tensor, height: int, width: int) -> Tensor:
    """Return (B, 3, 3) intrinsics with one focal length (B,) or () per camera."""
    focal = focal.reshape(-1)
    constant = focal.new_tensor([[0, 0, width / 2], [0, 0, height / 2], [0, 0, 1]])
    return constant + focal[:, None, None] * focal.new_tensor([1, 1, 0]).diag()


def broadcast(rotation: Tensor, translation: Tensor, intrinsics: Tensor) -> Matrices:
    """Return matrices with one batch size."""
    parts = with_one_batch(
        {"rotation": rotation, "translation": translation, "intrinsics": intrinsics}
    )
    return parts["rotation"], parts["translation"], parts["intrinsics"]


def with_one_batch(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of cameras by name, batch axis first, with one batch size."""
    batch = check_batch({name: part.shape[0] for name, part in parts.items()})
    return {name: part.expand(batch, *part.shape[1:]) for name, part in parts.items()}


def axis_aligned_intrinsics(focal: Tensor, centre: Tensor) -> Tensor:
    """Return (B, 3, 3) intrinsics without skew from (x, y) pairs in pixels, (B, 2) or (1, 2)."""
    batch = check_batch({"focal length": focal.shape[0], "principal point": centre.shape[0]})
    diagonal = torch.cat([focal, torch.ones_like(focal[:, :1])], 1).diag_embed()
    last = torch.nn.functional.pad(centre, (0, 1))[..., None]
    return diagonal.expand(batch, 3, 3) + torch.nn.functional.pad(last, (2, 0))


def completed(rows: Tensor) -> Tensor:
    """Return (B, n, n) matrices from all rows but the last, (B, n - 1, n): that is (0, ..., 0, 1)."""
    last = torch.nn.functional.pad(torch.ones_like(rows[:, :1, :1]), (rows.shape[2] - 1, 0))
    return torch.cat([rows, last], 1)


def check_undistorted(distortion: Tensor | None, program: str) -> None:
    """Raise ValueError if there is a distortion, which the program cannot express."""
    if distortion is not None:
        raise ValueError(
            f"distortion must be None for {program}, whose cameras have none; "
            "dataclasses.replace(camera, distortion=None) is a camera without"
        )


def focal_and_centre(intrinsics: Tensor, program: str) -> tuple[Tensor, Tensor]:
    """Return (x, y) of focal lengths and principal points in pixels, (B, 2) each.

    Raises ValueError if there is skew or a focal length is not positive, which the program cannot express.
    """
    focal = intrinsics[:, [0, 1], [0, 1]]
    skew = intrinsics.detach()[:, [0, 1], [1, 0]]
    if not bool(beneath(skew.abs() <= _SKEW * focal.detach().abs()).all()):
        raise ValueError(
            f"intrinsics must have no skew for {program}, got {beneath(skew).tolist()}"
        )
    if not bool(beneath(focal > 0).all()):
        raise ValueError(
            f"intrinsics must have positive focal lengths for {program}, got {beneath(focal).tolist()}"
        )
    return focal, intrinsics[:, :2, 2]


def check_row(rows: Tensor, expected: tuple[float, ...], name: str, tolerance: float) -> None:
    """Raise ValueError unless all rows, (B, n), are the expected one."""
    difference = rows.detach() - rows.new_tensor(expected)
    if not bool(beneath(difference.abs() <= tolerance).all()):
        raise ValueError(f"{name} must be {expected}, got {beneath(rows).tolist()}")


def as_scalars(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return values, scalars or (B,), as (B,) with a common B."""
    for name, value in values.items():
        check_tensor(value, name, (), ("B",))
    flat = {name: value.reshape(-1) for name, value in values.items()}
    batch = check_batch({name: value.shape[0] for name, value in flat.items()})
    return {name: value.expand(batch) for name, value in flat.items()}
