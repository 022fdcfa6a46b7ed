"""Records: frozen dataclasses of tensors, copied with other tensors, another device or another dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from taichisoft.base.checks import check_dtype, check_finite
from taichisoft.base.trees import checked

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")


def replace_unchecked(record: R, **changes: Any) -> R:
    """Copy a frozen record without running its checks again; the caller checks what it changed."""
    checked(record)
    copy = object.__new__(type(record))
    for field in fields(record):
        value = changes[field.name] if field.name in changes else getattr(record, field.name)
        object.__setattr__(copy, field.name, value)
    return copy


def moved(record: R, device: torch.device | str | None, dtype: torch.dtype | None) -> R:
    """Return a record with its floating tensors on a device and of a dtype, its others on the device.

    So are those of records in a tuple. What is several times in it stays one tensor. Tensors in a mapping
    keep their dtype: they are data of any kind.

    Raises TypeError for another dtype than float32 and float64, and ValueError for a number that float32
    does not hold.
    """
    if dtype is not None:
        check_dtype(dtype)
    return _moved(record, device, dtype, {})


def _moved(
    record: R,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
    done: dict[int, Any],
) -> R:
    """Return a moved record; what has been moved is in ``done``, by its identity."""
    changes: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, torch.Tensor):
            if id(value) not in done:
                made = value.to(device=device, dtype=dtype if value.is_floating_point() else None)
                if made.dtype != value.dtype and made.dtype == torch.float32:
                    check_finite(made, f"{field.name} in float32")
                done[id(value)] = made
            changes[field.name] = done[id(value)]
        elif isinstance(value, tuple):
            changes[field.name] = tuple(
                _moved(x, device, dtype, done) if is_dataclass(x) and not isinstance(x, type) else x
                for x in value
            )
        elif isinstance(value, Mapping):
            changes[field.name] = {name: x.to(device=device) for name, x in value.items()}
    return replace_unchecked(record, **changes)
