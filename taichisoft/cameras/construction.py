"""From what a user knows of a camera to tensors: conversion, checks, view matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from taichisoft.base.checks import FLOAT_DTYPES, check_batch, check_finite, check_tensor
from taichisoft.base.precision import full_precision

if TYPE_CHECKING:
    from taichisoft.cameras.camera import Camera

Values = torch.Tensor | float | tuple | list | np.ndarray
"""A tensor, a number, nested sequences of numbers, or a NumPy array."""

_PARALLEL = 1e-6
"""Sine of the angle between ``up`` and the view direction below which they count as parallel."""

_TOLERANCE = 1e-3
"""Largest error of ``R R^T`` and of the last row of K that counts as rounding."""


def as_tensors(
    values: Mapping[str, Values],
    dtype: torch.dtype | None,
    device: torch.device | str | None,
) -> dict[str, torch.Tensor]:
    """Convert all values to finite tensors of one dtype on one device, keeping their graph.

    By default the widest floating dtype and the only device among the tensors that were given.
    Raises TypeError or ValueError, naming the entry, for what cannot be converted.
    """
    given = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
    floats = [value.dtype for value in given.values() if value.is_floating_point()]
    if dtype is None:
        wide = torch.float64 in floats or (not floats and torch.get_default_dtype().itemsize == 8)
        dtype = torch.float64 if wide else torch.float32
    elif dtype not in FLOAT_DTYPES:
        raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
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


def _as_tensor(
    value: Values, name: str, dtype: torch.dtype, device: torch.device | str
) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        if value.is_complex():
            raise TypeError(f"{name} must be real, got {value.dtype}")
        return value.to(dtype=dtype, device=device)
    if isinstance(value, (tuple, list)) and any(isinstance(v, torch.Tensor) for v in value):
        # torch.as_tensor would accept them, and drop their gradient without a word
        raise TypeError(f"{name} must be one tensor or numbers; join its tensors by torch.stack")
    try:
        return torch.as_tensor(value, dtype=dtype, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be a tensor or numbers, got {value!r}") from error


def as_batch(value: torch.Tensor, name: str, *shape: int) -> torch.Tensor:
    """Return ``value``, of shape ``shape`` or (B, *shape), with its batch axis."""
    check_tensor(value, name, shape, ("B", *shape))
    return value if value.ndim > len(shape) else value[None]


def as_translation(value: torch.Tensor) -> torch.Tensor:
    """Return translations as (B, 3), from any of the forms that OpenCV users have."""
    check_tensor(value, "t", (3,), (3, 1), ("B", 3), ("B", 3, 1))
    return value.reshape(-1, 3)


def check_inside(value: torch.Tensor, name: str, low: float, high: float) -> None:
    """Raise ValueError unless ``value``, a scalar or (B,), is strictly between the bounds."""
    check_tensor(value, name, (), ("B",))
    inside = (value > low) & (value < high)
    if not bool(inside.all()):
        bad = value.detach()[~inside].flatten()[0].item()
        raise ValueError(f"{name} must be greater than {low:g} and less than {high:g}, got {bad:g}")


def check_positive(value: torch.Tensor, name: str) -> None:
    """Raise ValueError unless every entry is positive."""
    if not bool((value > 0).all()):
        raise ValueError(f"{name} must be positive, got {value.tolist()}")


def check_intrinsics(intrinsics: torch.Tensor) -> None:
    """Raise ValueError unless all K have positive focal lengths and the last row (0, 0, 1)."""
    matrices = intrinsics.detach()
    if not bool((matrices[:, [0, 1], [0, 1]] > 0).all()):
        raise ValueError(f"K must have positive focal lengths fx and fy, got {matrices.tolist()}")
    last = matrices.new_tensor([0.0, 0.0, 1.0])
    if not bool(((matrices[:, 2] - last).abs() <= _TOLERANCE).all()):
        raise ValueError(f"K must have the last row (0, 0, 1), got {matrices[:, 2].tolist()}")


@full_precision
def check_rotation(rotation: torch.Tensor, name: str) -> None:
    """Raise ValueError unless all matrices are orthonormal to within 1e-3 and do not mirror."""
    matrices = rotation.detach()
    identity = torch.eye(3, dtype=matrices.dtype, device=matrices.device)
    error = (matrices @ matrices.mT - identity).abs().max().item()
    if error > _TOLERANCE:
        raise ValueError(
            f"{name} must be a rotation: R R^T differs from the identity by {error:.3g}"
        )
    if not bool((torch.linalg.det(matrices) > 0).all()):
        raise ValueError(f"{name} must be a rotation: its determinant is -1, so it mirrors")


@full_precision
def view_from(tensors: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rotation (B, 3, 3) and translation (B, 3) that look from eye to at, up upwards.

    The batch is that of eye, at and up together. Raises ValueError where the view is undefined.
    """
    eye, at, up = (as_batch(tensors[name], name, 3) for name in ("eye", "at", "up"))
    check_batch({"eye": eye.shape[0], "at": at.shape[0], "up": up.shape[0]})
    offset = at - eye
    if bool((offset == 0).all(-1).any()):
        raise ValueError("eye must differ from at, got two equal points")
    if bool((up == 0).all(-1).any()):
        raise ValueError("up must not be the zero vector")
    forward = unit(offset)
    side = torch.linalg.cross(*torch.broadcast_tensors(forward, unit(up)))
    if bool((side.detach().norm(dim=-1) < _PARALLEL).any()):
        raise ValueError("up must not be parallel to the view direction from eye to at")
    right = unit(side)
    down = torch.linalg.cross(*torch.broadcast_tensors(forward, right))
    rotation = torch.stack(torch.broadcast_tensors(right, down, forward), dim=-2)
    return rotation, -(rotation @ eye[..., None])[..., 0]


def orbit_axes(azimuth: torch.Tensor, elevation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
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


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Return vectors, (..., 3), none of them zero, with length 1."""
    # dividing by the largest entry first keeps very long and very short vectors in range
    scaled = vectors / vectors.detach().abs().amax(-1, keepdim=True)
    return scaled / torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)


def centred_intrinsics(focal: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return (B, 3, 3) intrinsics with one focal length (B,) or () per camera."""
    focal = focal.reshape(-1)
    constant = focal.new_tensor([[0, 0, width / 2], [0, 0, height / 2], [0, 0, 1]])
    return constant + focal[:, None, None] * focal.new_tensor([1, 1, 0]).diag()


def broadcast(
    cls: type[Camera],
    rotation: torch.Tensor,
    translation: torch.Tensor,
    intrinsics: torch.Tensor,
    image_size: tuple[int, int],
    perspective: bool,
    near: float,
) -> Camera:
    """Return cameras of parts whose batch sizes are equal or 1."""
    parts = {"rotation": rotation, "translation": translation, "intrinsics": intrinsics}
    batch = check_batch({name: part.shape[0] for name, part in parts.items()})
    parts = {name: part.expand(batch, *part.shape[1:]) for name, part in parts.items()}
    return cls(**parts, image_size=image_size, perspective=perspective, near=near)
