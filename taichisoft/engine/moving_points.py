"""Projected points that move with their vertices and cameras: positions and rates, differentiable once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Projected(NamedTuple):
    """What projected points depend on.

    Parameters
    ----------
    vertices : Tensor, (V, 3) or (B, V, 3)
        Points of the world.
    rotation, translation, intrinsics : Tensor, (B, 3, 3), (B, 3), (B, 3, 3)
        Of the cameras; B may be 1.
    """

    vertices: Tensor
    rotation: Tensor
    translation: Tensor
    intrinsics: Tensor


def moving_points(
    at: Projected, rates: Projected, *, perspective: bool, near: float
) -> tuple[Tensor, Tensor]:
    """Return the positions in pixels, (B, V, 2), and at which rates they move.

    Parameters
    ----------
    at, rates : Projected
        The inputs, and at which rates they move.
    perspective, near
        As in `Camera`; all depths are at least `near`.
    """
    view = at.vertices @ at.rotation.mT + at.translation[:, None]
    view_rate = rates.vertices @ at.rotation.mT + at.vertices @ rates.rotation.mT
    view_rate = view_rate + rates.translation[:, None]
    plane, plane_rate = view[..., :2], view_rate[..., :2]
    if perspective:
        inverse = view[..., 2:].clamp(min=near).reciprocal()
        plane = plane * inverse
        plane_rate = (plane_rate - plane * view_rate[..., 2:]) * inverse
    matrix, matrix_rate = at.intrinsics[:, :2], rates.intrinsics[:, :2]
    points = plane @ matrix[..., :2].mT + matrix[:, None, :, 2]
    moved = plane_rate @ matrix[..., :2].mT + plane @ matrix_rate[..., :2].mT
    return points, moved + matrix_rate[:, None, :, 2]


def with_zeros(rates: tuple[Tensor | None, ...], inputs: Projected) -> Projected:
    """Return rates, zeros for None."""
    return Projected(
        *(torch.zeros_like(x) if r is None else r for r, x in zip(rates, inputs, strict=True))
    )
