"""Precision: code that `torch.autocast` does not reach, so that float32 stays float32; the default dtype."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

# Of the types of device that tensors of this library may be on.
DEVICE_TYPES = ("cpu", "cuda")

P = ParamSpec("P")
R = TypeVar("R")


def default_dtype() -> torch.dtype:
    """Return torch's default dtype if it is float64, else float32: there are no others here."""
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with ``torch.autocast`` switched off while it runs.

    Projected by matrices in bfloat16 a vertex moves by pixels, which no error would tell. A backward
    pass runs after the function has returned, so it has to be called outside of autocast, as torch says
    of every backward pass.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        active = [kind for kind in DEVICE_TYPES if torch.is_autocast_enabled(kind)]
        if not active:
            return function(*args, **kwargs)
        with contextlib.ExitStack() as stack:
            for kind in active:
                stack.enter_context(torch.autocast(kind, enabled=False))
            return function(*args, **kwargs)

    return run
