"""Rotations: exponential map, random rotations, the angle between two."""

from __future__ import annotations

import torch
from torch import Tensor

# Below this squared angle the power series is exact to rounding in float64.
SMALL = 1e-3


def from_axis_angle(vector: Tensor) -> Tensor:
    """Return the rotation by ``|vector|`` radians about ``vector`` (Rodrigues' formula).

    Parameters
    ----------
    vector : Tensor, (..., 3)
        Axis times angle.

    Returns
    -------
    Tensor, (..., 3, 3)
        Differentiable any number of times, also at the zero vector.
    """
    square = vector.square().sum(-1)[..., None, None]
    small = square < SMALL
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    series = 1 - square / 6 * (1 - square / 20 * (1 - square / 42))
    half_series = 1 - square / 24 * (1 - square / 80 * (1 - square / 168))
    first = torch.where(small, series, torch.sin(angle) / angle)
    half = torch.where(small, half_series, torch.sin(angle / 2) / (angle / 2))
    cross = cross_matrix(vector)
    # (1 - cos) / angle^2 as a square keeps its digits where the cosine is near 1.
    return torch.eye(3).to(vector) + first * cross + half.square() / 2 * (cross @ cross)


def cross_matrix(vector: Tensor) -> Tensor:
    """Return the matrices (..., 3, 3) that take the cross product with vectors (..., 3)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Return the angle in radians, in [0, pi], of the rotation that leads from one to the other.

    Parameters
    ----------
    first, second : Tensor, (..., 3, 3)
        Rotations.

    Returns
    -------
    Tensor, (...)
        Precise for small angles too. Differentiable, with a gradient of zero where the angle is
        exactly 0 or pi.
    """
    turn = first @ second.mT
    skew = turn - turn.mT
    twice_sine = torch.linalg.vector_norm(
        torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], -1), dim=-1
    )
    twice_cosine = turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1
    # An arc cosine would lose half of the digits near 0, and have no derivative there.
    return torch.atan2(twice_sine, twice_cosine)


def random_rotations(
    count: int, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return rotations (count, 3, 3), uniform over all orientations: of unit quaternions."""
    quaternion = torch.randn(count, 4, generator=generator, dtype=dtype)
    quaternion = quaternion / quaternion.norm(dim=-1, keepdim=True)
    w, axis = quaternion[:, 0, None, None], quaternion[:, 1:]
    cross = cross_matrix(axis)
    return torch.eye(3, dtype=dtype) + 2 * w * cross + 2 * cross @ cross


def random_directions(count: int, generator: torch.Generator) -> Tensor:
    """Return unit vectors (count, 3) in float64, uniform over the sphere."""
    vector = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return vector / vector.norm(dim=-1, keepdim=True)
