"""What the conventions share: intrinsics in and out, and checks of matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from taichisoft.base.checks import check_batch, check_tensor

if TYPE_CHECKING:
    from taichisoft.cameras.camera import Camera

# Skew, relative to the focal length, below which it is rounding.
_SKEW = 1e-6


def axis_aligned_intrinsics(focal: Tensor, centre: Tensor) -> Tensor:
    """Return (B, 3, 3) intrinsics without skew from (x, y) pairs in pixels, (B, 2) or (1, 2)."""
    batch = check_batch({"focal length": focal.shape[0], "principal point": centre.shape[0]})
    diagonal = torch.cat([focal, torch.ones_like(focal[:, :1])], 1).diag_embed()
    last = torch.nn.functional.pad(centre, (0, 1))[..., None]
    return diagonal.expand(batch, 3, 3) + torch.nn.functional.pad(last, (2, 0))


def own_intrinsics(camera: Camera) -> Tensor:
    """Return the intrinsics of a camera with the last row (0, 0, 1), whatever it was."""
    last = camera.intrinsics.new_tensor([[0.0, 0.0, 1.0]]).expand(len(camera), 1, 3)
    return torch.cat([camera.intrinsics[:, :2], last], 1)


def focal_and_centre(camera: Camera, program: str) -> tuple[Tensor, Tensor]:
    """Return (x, y) of focal lengths and principal points in pixels, (B, 2) each.

    Raises ValueError if there is skew or a focal length is not positive, which the program cannot express.
    """
    focal = camera.intrinsics[:, [0, 1], [0, 1]]
    skew = camera.intrinsics.detach()[:, [0, 1], [1, 0]]
    if not bool((skew.abs() <= _SKEW * focal.detach().abs()).all()):
        raise ValueError(f"intrinsics must have no skew for {program}, got {skew.tolist()}")
    if not bool((focal > 0).all()):
        raise ValueError(
            f"intrinsics must have positive focal lengths for {program}, got {focal.tolist()}"
        )
    return focal, camera.intrinsics[:, :2, 2]


def check_perspective(camera: Camera, program: str) -> None:
    """Raise ValueError for orthographic cameras, which the program does not have."""
    if not camera.perspective:
        raise ValueError(f"{program} has no orthographic cameras, got perspective=False")


def check_row(rows: Tensor, expected: tuple[float, ...], name: str, tolerance: float) -> None:
    """Raise ValueError unless all rows, (B, n), are the expected one."""
    difference = rows.detach() - rows.new_tensor(expected)
    if not bool((difference.abs() <= tolerance).all()):
        raise ValueError(f"{name} must be {expected}, got {rows.tolist()}")


def as_scalars(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return values, scalars or (B,), as (B,) with a common B."""
    for name, value in values.items():
        check_tensor(value, name, (), ("B",))
    flat = {name: value.reshape(-1) for name, value in values.items()}
    batch = check_batch({name: value.shape[0] for name, value in flat.items()})
    return {name: value.expand(batch) for name, value in flat.items()}
