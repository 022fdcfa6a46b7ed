"""Clip coordinates of OpenGL in one matrix, as nvdiffrast takes points: taken apart into pose and intrinsics.

The pixel of a point is at ``width (1 + x / w) / 2`` and ``height (1 - y / w) / 2``: three rows of numbers, of
which every matrix is a product of intrinsics and a pose (Hartley and Zisserman, "Multiple View Geometry in
Computer Vision", section 6.2.4), found by making its rows orthonormal from the last one on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from taichisoft.base.precision import full_precision
from taichisoft.base.transforms import beneath
from taichisoft.cameras.construction import Matrices, as_batch, completed
from taichisoft.geometry.vectors import unit

# What numbers may differ by, relative to the largest: rounding of what was multiplied in float32.
_TOLERANCE = 1e-5
# Roundings that a near depth may have gone through, each of the size of the numbers that it is made of.
_ROUNDINGS = 32


@full_precision
def from_clip(
    mvp: Tensor, image_size: tuple[int, int], near: float | None
) -> tuple[Matrices, bool, float]:
    """Return the matrices of `Camera.from_clip`, whether they are perspective, and the near depth."""
    mvp = as_batch(mvp, "mvp", 4, 4)
    height, width = image_size
    perspective = _is_perspective(mvp)
    last = mvp[:, 3, :3].norm(dim=-1) if perspective else mvp[:, 3, 3]
    _check_scale(last)
    x, y, z, w = (mvp / last[:, None, None]).unbind(1)
    if not perspective:
        w = w * w.new_tensor([0.0, 0.0, 0.0, 1.0])
    rows = torch.stack([(w + x) * (width / 2), (w - y) * (height / 2)], 1)
    if perspective:
        forward = w[:, :3]
    else:
        forward = torch.linalg.cross(rows[:, 0, :3], rows[:, 1, :3])
        sides = rows[:, 0, :3].norm(dim=-1) * rows[:, 1, :3].norm(dim=-1)
        _check_rank(forward, sides)
        _check_rank(z[:, :3], sides.sqrt(), 0.0)
        forward = unit(forward)
    parts, rotation = _orthonormal(rows[..., :3], forward)
    _check_not_mirrored(rotation, z[:, :3], perspective)
    depth_row = w if perspective else _depth_row(z, forward)
    # Sideways the pose is known but for its intrinsics.
    plane = rows[..., 3]
    offset = plane - parts[..., 2] * depth_row[:, 3:] if perspective else plane
    if perspective:
        sideways, centre = torch.linalg.solve(parts[..., :2], offset), parts[..., 2]
    else:
        sideways, centre = torch.zeros_like(plane), plane
    intrinsics = completed(torch.cat([parts[..., :2], centre[..., None]], 2))
    translation = torch.cat([sideways, depth_row[:, 3:]], 1)
    if near is None:
        near = _near_of(z, depth_row) if perspective else 0.0
    return (rotation, translation, intrinsics), perspective, near


def _orthonormal(rows: Tensor, forward: Tensor) -> tuple[Tensor, Tensor]:
    """Return intrinsics (B, 2, 3) and a rotation whose product two rows are, given its last row."""
    lengths = rows.norm(dim=-1)
    first, second = rows.unbind(1)
    (center_x, first), (center_y, second) = (_apart(row, forward) for row in (first, second))
    _check_rank(second, lengths[:, 1])
    down = unit(second)
    skew, first = _apart(first, down)
    _check_rank(first, lengths[:, 0])
    right = unit(first)
    zero = torch.zeros_like(skew)
    focal_x, focal_y = (first * right).sum(-1), (second * down).sum(-1)
    top = torch.stack([focal_x, skew, center_x], -1)
    parts = torch.stack([top, torch.stack([zero, focal_y, center_y], -1)], 1)
    return parts, torch.stack([right, down, forward], 1)


def _apart(vectors: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Return how long vectors are in a direction, and what is across it."""
    along = (vectors * direction).sum(-1)
    return along, vectors - along[:, None] * direction


def _depth_row(z: Tensor, forward: Tensor) -> Tensor:
    """Return the depth of an orthographic camera as a row, (B, 4), counted from where z is -1."""
    slope, across = _apart(z[:, :3], forward)
    if not bool(beneath(across.norm(dim=-1) <= _TOLERANCE * slope.abs()).all()):
        raise ValueError("mvp must not shear an orthographic scene in depth")
    return torch.cat([forward, (1 + z[:, 3:]) / slope[:, None]], 1)


def _near_of(z: Tensor, depth_row: Tensor) -> float:
    """Return the depth that a perspective matrix maps to -1."""
    z, depth_row = z.detach(), depth_row.detach()
    slope, across = _apart(z[:, :3], depth_row[:, :3])
    along = slope * depth_row[:, 3]
    nears = beneath((along - z[:, 3]) / (slope + 1))
    near = float(nears.flatten()[0])
    straight = beneath(across.norm(dim=-1) <= _TOLERANCE * slope.abs())
    # A near depth is a difference of numbers as large as the distance of the camera from the origin.
    sizes = (along.abs() + z[:, 3].abs()) / (slope + 1).abs()
    rounding = beneath(_ROUNDINGS * torch.finfo(z.dtype).eps * sizes)
    same = (nears - near).abs() <= rounding.clamp(min=_TOLERANCE * abs(near))
    if not 0 < near < math.inf or not bool(same.all()) or not bool(straight.all()):
        raise ValueError(
            "near must be given if mvp does not map one positive depth to -1 for the whole batch, got an mvp "
            f"with near {nears.tolist()}"
        )
    return near


def _is_perspective(mvp: Tensor) -> bool:
    """Return whether w is more than the same number everywhere, to within rounding.

    The scale is that of x and y: a lens for which w counts for so little would see 0.001 degrees.
    """
    lengths = mvp[:, [0, 1, 3], :3].detach().norm(dim=-1)
    kinds = beneath(lengths[:, 2] > _TOLERANCE * lengths[:, :2].amax(-1))
    if bool(kinds.any()) != bool(kinds.all()):
        raise ValueError("mvp must be perspective or orthographic for the whole batch, got both")
    return bool(kinds.all())


def _check_scale(last: Tensor) -> None:
    if not bool(beneath(last > 0).all()):
        raise ValueError("mvp must have a last row that gives a positive w before the camera")


def _check_rank(rows: Tensor, scale: Tensor, tolerance: float = _TOLERANCE) -> None:
    """Raise unless what is left of rows is more than rounding of numbers of some scale."""
    if bool(beneath(rows.detach().norm(dim=-1) <= tolerance * scale.detach()).any()):
        raise ValueError(
            "mvp must not flatten the scene: its rows x, y and w must be independent, or x, y and z of an "
            "orthographic one"
        )


def _check_not_mirrored(rotation: Tensor, z: Tensor, perspective: bool) -> None:
    mirrored = torch.linalg.det(rotation.detach()) < 0
    if not perspective:
        # Of parallel rays both directions are possible; depth tells.
        mirrored = (rotation[:, 2] * z).sum(-1).detach() <= 0
    if bool(beneath(mirrored).any()):
        raise ValueError("mvp must not mirror: x right, y up and depth must be of one handedness")
