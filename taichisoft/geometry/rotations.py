"""Rotations: axis and angle, quaternions, six numbers, and views; the angle between two; random ones.

A rotation R is a matrix that takes a column vector x to ``R @ x``. Angles are in radians. Those with
tensors as arguments take any number of leading axes, keep dtype and device, are differentiable any number of
times, and go into the transforms of ``torch.func``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.base.checks import check_last_axes, check_rotation
from taichisoft.base.eager import eager
from taichisoft.base.precision import full_precision
from taichisoft.base.transforms import beneath
from taichisoft.geometry.vectors import unit

# Below this squared angle the power series is exact to rounding in float64.
SMALL = 1e-3
# Terms of the arc tangent that are as exact.
SERIES = 8
# Sine of the angle between two directions below which they count as parallel.
PARALLEL = 1e-6


@full_precision
def from_axis_angle(vector: Tensor) -> Tensor:
    """Return the rotation by ``|vector|`` radians about ``vector``: the exponential map, Rodrigues' formula.

    Parameters
    ----------
    vector : Tensor, (..., 3)
        Axis times angle, the ``rvec`` of OpenCV. By the right-hand rule.

    Returns
    -------
    Tensor, (..., 3, 3)
        Differentiable any number of times, also at the zero vector.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape.
    """
    check_last_axes(vector, "vector", 3)
    square = vector.square().sum(-1)[..., None, None]
    small = square < SMALL
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    series = 1 - square / 6 * (1 - square / 20 * (1 - square / 42))
    half_series = 1 - square / 24 * (1 - square / 80 * (1 - square / 168))
    first = torch.where(small, series, torch.sin(angle) / angle)
    half = torch.where(small, half_series, torch.sin(angle / 2) / (angle / 2))
    cross = _cross_matrix(vector)
    # (1 - cos) / angle^2 as a square keeps its digits where the cosine is near 1.
    return torch.eye(3).to(vector) + first * cross + half.square() / 2 * (cross @ cross)


@eager
def to_axis_angle(rotation: Tensor) -> Tensor:
    """Return axis times angle of a rotation, the way back from `from_axis_angle`: the logarithm.

    Parameters
    ----------
    rotation : Tensor, (..., 3, 3)
        Rotations.

    Returns
    -------
    Tensor, (..., 3)
        With a length from 0 to pi. Derivatives are right up to both ends. At pi the axis may be either of
        two opposite ones, between which the result jumps.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape, or a matrix that is no rotation (to within 1e-3).
    """
    quaternion = to_quaternion(rotation)
    w, vector = quaternion[..., :1], quaternion[..., 1:]
    square = vector.square().sum(-1, keepdim=True)
    small = square < SMALL
    sine = torch.where(small, torch.ones_like(square), square).sqrt()
    # The series of the arc tangent, in a ratio that is only used where w is about 1.
    ratio = torch.where(small, square, 0) / torch.where(small, w, 1).square()
    series = torch.zeros_like(ratio)
    for power in range(SERIES, -1, -1):
        series = (-1) ** power / (2 * power + 1) + ratio * series
    half = torch.where(small, series / torch.where(small, w, 1), torch.atan2(sine, w) / sine)
    return 2 * half * vector


@eager
@full_precision
def from_quaternion(quaternion: Tensor) -> Tensor:
    """Return the rotation of a quaternion.

    Parameters
    ----------
    quaternion : Tensor, (..., 4)
        In the order w, x, y, z: the real part first, as in COLMAP and Blender; SciPy puts it last. Of any
        length but zero: it is divided by its length.

    Returns
    -------
    Tensor, (..., 3, 3)
        The same for a quaternion and its negative.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape, or a quaternion of zeros.
    """
    check_last_axes(quaternion, "quaternion", 4)
    _check_not_zero(quaternion, "quaternion")
    # By the largest entry first, so that very long and very short ones stay in range.
    scaled = quaternion / quaternion.detach().abs().amax(-1, keepdim=True)
    return _of_unit_quaternion(scaled / scaled.norm(dim=-1, keepdim=True))


@eager
def to_quaternion(rotation: Tensor) -> Tensor:
    """Return the quaternion of a rotation, the way back from `from_quaternion`.

    Parameters
    ----------
    rotation : Tensor, (..., 3, 3)
        Rotations.

    Returns
    -------
    Tensor, (..., 4)
        In the order w, x, y, z, of length 1. Of the two that are the same rotation the one with w >= 0,
        between which the result jumps at half a turn.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape, or a matrix that is no rotation (to within 1e-3).

    Notes
    -----
    All products of two entries of the quaternion are linear in the matrix. One row of them, that of the
    largest entry, is made unit length: no root is taken of a number near zero.
    """
    check_last_axes(rotation, "rotation", 3, 3)
    check_rotation(rotation, "rotation")
    xx, yy, zz = rotation.diagonal(dim1=-2, dim2=-1).unbind(-1)
    (xy, yx), (xz, zx), (yz, zy) = (
        (rotation[..., i, j], rotation[..., j, i]) for i, j in ((0, 1), (0, 2), (1, 2))
    )
    # Four times the products.
    rows = [
        [1 + xx + yy + zz, zy - yz, xz - zx, yx - xy],
        [zy - yz, 1 + xx - yy - zz, xy + yx, xz + zx],
        [xz - zx, xy + yx, 1 - xx + yy - zz, yz + zy],
        [yx - xy, xz + zx, yz + zy, 1 - xx - yy + zz],
    ]
    products = torch.stack([torch.stack(row, -1) for row in rows], -2)
    largest = products.detach().diagonal(dim1=-2, dim2=-1).argmax(-1)
    index = largest[..., None, None].expand(*largest.shape, 1, 4)
    row = products.gather(-2, index).squeeze(-2)
    row = row / row.norm(dim=-1, keepdim=True)
    return torch.where(row[..., :1].detach() < 0, -row, row)


@eager
@full_precision
def from_6d(numbers: Tensor) -> Tensor:
    """Return the rotation whose first two columns are two vectors, made orthonormal.

    Parameters
    ----------
    numbers : Tensor, (..., 6)
        The first vector, then the second; of any length but zero, and not parallel. Where PyTorch3D has rows
        these are columns, as in the paper: its matrices are the transposes.

    Returns
    -------
    Tensor, (..., 3, 3)
        Continuous in the numbers, and any rotation can be had: what an optimiser or a network can learn.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape, a vector of zeros, or parallel vectors.

    References
    ----------
    Zhou, Barnes, Lu, Yang, Li, "On the Continuity of Rotation Representations in Neural Networks", CVPR
    2019, equation 15 (Gram-Schmidt).
    """
    check_last_axes(numbers, "numbers", 6)
    first, second = numbers[..., :3], numbers[..., 3:]
    _check_not_zero(first, "numbers[..., :3]")
    _check_not_zero(second, "numbers[..., 3:]")
    x, towards = unit(first), unit(second)
    if _any_parallel(x, towards):
        raise ValueError("numbers[..., 3:] must not be parallel to numbers[..., :3]")
    y = unit(towards - (x * towards).sum(-1, keepdim=True) * x)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


@eager
def to_6d(rotation: Tensor) -> Tensor:
    """Return the first two columns of a rotation, (..., 6), the way back from `from_6d`.

    Parameters
    ----------
    rotation : Tensor, (..., 3, 3)
        Rotations.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape, or a matrix that is no rotation (to within 1e-3).
    """
    check_last_axes(rotation, "rotation", 3, 3)
    check_rotation(rotation, "rotation")
    return rotation[..., :2].mT.flatten(-2)


@eager
def look_at(eye: Tensor, at: Tensor, up: Tensor) -> Tensor:
    """Return the rotation, world to camera, of a camera that looks from ``eye`` to ``at``.

    Parameters
    ----------
    eye, at, up : Tensor, (..., 3)
        Position, a point before the camera, and a direction that points up in the image; they are broadcast.
        ``up`` need not be a unit vector.

    Returns
    -------
    Tensor, (..., 3, 3)
        To the axes of `Camera`: x right, y down, z forward. Its translation is ``-rotation @ eye``.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape; ``eye`` equal to ``at``; ``up`` zero or parallel to the view direction.
    """
    for name, value in (("eye", eye), ("at", at), ("up", up)):
        check_last_axes(value, name, 3)
    offset = at - eye
    if bool(beneath((offset == 0).all(-1)).any()):
        raise ValueError("eye must differ from at, got two equal points")
    _check_not_zero(up, "up")
    forward, upwards = torch.broadcast_tensors(unit(offset), unit(up))
    if _any_parallel(forward, upwards):
        raise ValueError("up must not be parallel to the view direction from eye to at")
    right = unit(torch.linalg.cross(forward, upwards))
    down = torch.linalg.cross(*torch.broadcast_tensors(forward, right))
    return torch.stack(torch.broadcast_tensors(right, down, forward), dim=-2)


@full_precision
def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Return the angle in radians, in [0, pi], of the rotation that leads from one to the other.

    Parameters
    ----------
    first, second : Tensor, (..., 3, 3)
        Rotations.

    Returns
    -------
    Tensor, (...)
        Precise for small angles too. Differentiable any number of times, but for the corners that an angle
        has at 0 and at pi, as ``|x|`` has one: where it is exactly one of these, all derivatives are taken
        to be zero. The square of an angle is smooth at 0; with all derivatives right there it is
        ``to_axis_angle(first @ second.mT).square().sum(-1)``.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape.
    """
    check_last_axes(first, "first", 3, 3)
    check_last_axes(second, "second", 3, 3)
    turn = first @ second.mT
    skew = turn - turn.mT
    axis = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], -1)
    zero = (axis == 0).all(-1)
    # Of a root at zero no derivative is finite.
    safe = torch.where(zero[..., None], torch.ones_like(axis), axis)
    twice_sine = torch.where(zero, 0, torch.linalg.vector_norm(safe, dim=-1))
    twice_cosine = turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1
    # An arc cosine would lose half of the digits near 0, and have no derivative there.
    return torch.atan2(twice_sine, twice_cosine)


def random_rotations(
    count: int, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return rotations (count, 3, 3), uniform over all orientations: of unit quaternions."""
    quaternion = torch.randn(count, 4, generator=generator, dtype=dtype)
    return _of_unit_quaternion(quaternion / quaternion.norm(dim=-1, keepdim=True))


def random_directions(count: int, generator: torch.Generator) -> Tensor:
    """Return unit vectors (count, 3) in float64, uniform over the sphere."""
    vector = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return vector / vector.norm(dim=-1, keepdim=True)


def _cross_matrix(vector: Tensor) -> Tensor:
    """Return the matrices (..., 3, 3) that take the cross product with vectors (..., 3)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def _of_unit_quaternion(quaternion: Tensor) -> Tensor:
    w, cross = quaternion[..., 0, None, None], _cross_matrix(quaternion[..., 1:])
    return torch.eye(3).to(quaternion) + 2 * w * cross + 2 * cross @ cross


def _check_not_zero(vectors: Tensor, name: str) -> None:
    if bool(beneath((vectors == 0).all(-1)).any()):
        raise ValueError(f"{name} must not be the zero vector")


def _any_parallel(first: Tensor, second: Tensor) -> bool:
    """Return whether two directions of length 1 are parallel."""
    sine = torch.linalg.cross(first.detach(), second.detach()).norm(dim=-1)
    return bool(beneath(sine < PARALLEL).any())
