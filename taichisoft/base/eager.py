"""Functions that ``torch.compile`` leaves alone: it calls them as they are, with all that they call."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

import torch

# What ``torch.compiler.disable`` comes down to. That would import the compiler, which takes longer than the
# rest of torch, and would put a call around every call.
from torch._C._dynamo import eval_frame

try:
    SKIP = eval_frame._FrameExecStrategy(eval_frame._FrameAction.SKIP, eval_frame._FrameAction.SKIP)
except AttributeError:
    # A torch that has no such mark.
    SKIP = None  # type: ignore[assignment]

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)


def eager(function: F) -> F:
    """Return a function of this library that is run as it is within what ``torch.compile`` compiles.

    Kernels cannot become part of a compiled graph. To look for what could, around them, took minutes, and
    what came of it was slower. What a caller does before and after is compiled.
    """
    if SKIP is None:
        return torch.compiler.disable(function)
    eval_frame.set_code_exec_strategy(function.__code__, SKIP)
    # By this the compiler knows, where it looks into a caller, that it has to stop.
    function._torchdynamo_disable = True  # type: ignore[attr-defined]
    return function


def eager_class(kind: C) -> C:
    """Make the constructor and the public methods of a class `eager`, of whatever kind they are."""
    for name, member in list(vars(kind).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, FunctionType):
            setattr(kind, name, eager(member))
        elif isinstance(member, (classmethod, staticmethod)):
            setattr(kind, name, type(member)(eager(member.__func__)))
    return kind
