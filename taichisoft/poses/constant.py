"""Constants: what a caller gave, without its gradients, and outside of inference mode."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


def constant(value: T) -> T:
    """Return a tensor, or a mesh, camera or tuple of such, that a search may keep for its gradients.

    Autograd cannot keep tensors that were made in inference mode, so those are copied; this is to be called
    outside of it.
    """
    held: Any = value
    if isinstance(held, Tensor):
        held = held.detach()
        return held.clone() if held.is_inference() else held
    if isinstance(held, tuple):
        return tuple(constant(one) for one in held)  # type: ignore[return-value]
    if is_dataclass(value):
        return replace(held, **{x.name: constant(getattr(held, x.name)) for x in fields(held)})
    return value
