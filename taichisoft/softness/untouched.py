"""Untouched: whether modules hold what they held before, found out in a few microseconds.

A render asks this of its softness every time, and nearly always nothing has changed. What may have is
compared by identity: all that hangs on a module lies in four dictionaries. Numbers in tensors are compared
bit by bit, see `taichisoft.base.bits`. Both may take what is equal for changed, never what is changed for
equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import chain
from operator import is_
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from taichisoft.base.bits import Bits, readable

# Attributes that every module has, all but the mode that it is in: torch's own, or looked at here.
OWN = frozenset(vars(nn.Module())) - {"training"}
# Values that nobody can change in their place.
CONSTANT = (
    *(int, float, complex, str, bytes, type(None), type, Enum),
    *(FunctionType, BuiltinFunctionType, torch.dtype, torch.device),
)
# Stands for a value that is not looked into.
NOT_PLAIN = object()
# Bytes of tensors up to which they are compared here: larger ones torch compares faster.
MOST_BYTES = 2**18


class _Held:
    """The values in dictionaries, by identity; a copy of it is None.

    What a copy of a module holds are other objects than those that a copy of this would look at.
    """

    def __init__(self, dictionaries: Iterable[dict[str, Any]]):
        self._dictionaries = tuple(dictionaries)
        # Kept, since the identity of what is gone may be given to something new.
        self._values = tuple(chain.from_iterable(map(dict.values, self._dictionaries)))

    def is_same(self) -> bool:
        """Return whether they hold the very same values."""
        here, values = self._dictionaries, self._values
        return sum(map(len, here)) == len(values) and all(
            map(is_, chain.from_iterable(map(dict.values, here)), values)
        )

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


class ModuleTree:
    """All modules in a module, walked through again only when one was replaced."""

    def __init__(self) -> None:
        self._root: nn.Module | None = None
        self._held: _Held | None = None
        self._modules: tuple[nn.Module, ...] = ()

    def of(self, root: nn.Module) -> tuple[nn.Module, ...]:
        """Return what ``root.modules()`` gives."""
        if self._root is not root or self._held is None or not self._held.is_same():
            self._root, self._modules = root, tuple(root.modules())
            self._held = _Held(module._modules for module in self._modules)
        return self._modules


class Watch:
    """Modules and tensors as they are now, to be asked later whether they still are.

    Parameters
    ----------
    modules : sequence of Module
        What is watched; what is in them is watched only if it is listed as well.
    tensors : sequence of Tensor
        Theirs.
    """

    def __init__(self, modules: tuple[nn.Module, ...], tensors: tuple[Tensor, ...]):
        groups = ([vars(m), m._parameters, m._buffers, m._modules] for m in modules)
        self._held = _Held(chain.from_iterable(groups))
        self._tensors = tensors
        self._bits = Bits(tensors)

    @classmethod
    def over(cls, modules: tuple[nn.Module, ...], tensors: tuple[Tensor, ...]) -> Watch | None:
        """Return a watch, or None if not all can be watched.

        That is so of a tensor that is not in the main memory, or large, and of an attribute that could be
        changed in its place: a list, say, or an object of the user.
        """
        if not all(map(readable, tensors)) or sum(t.nbytes for t in tensors) > MOST_BYTES:
            return None
        attributes = (item for module in modules for item in vars(module).items())
        if all(k in OWN or isinstance(v, Tensor) or _is_constant(v) for k, v in attributes):
            return cls(modules, tensors)
        return None

    def is_same(self) -> bool:
        """Return whether nothing was touched."""
        return self._held.is_same() and self._bits.are_of(self._tensors)

    def requires_grad(self) -> bool:
        """Return whether any of the tensors does."""
        return any([tensor.requires_grad for tensor in self._tensors])

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        # See `_Held`.
        return type(None), ()


def plain_value(value: object, depth: int = 4) -> object:
    """Return what compares equal as long as a number, a string, or lists and the like of them do.

    So does a frozen dataclass of constants.

    `NOT_PLAIN` for all else, and for what is nested more deeply.
    """
    if isinstance(value, (int, float, complex, str, bytes, type(None))):
        return value
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if depth and isinstance(value, (list, tuple)):
        return tuple(plain_value(item, depth - 1) for item in value)
    if depth and isinstance(value, dict):
        return tuple((key, plain_value(item, depth - 1)) for key, item in value.items())
    if is_dataclass(value) and _is_constant(value):
        return value
    return NOT_PLAIN


def _is_constant(value: object) -> bool:
    """Return whether a value stays as it is as long as it is the same object."""
    if isinstance(value, (tuple, frozenset)):
        return all(map(_is_constant, value))
    if is_dataclass(value) and not isinstance(value, type):
        frozen = value.__dataclass_params__.frozen  # type: ignore[attr-defined]
        return frozen and all(_is_constant(getattr(value, f.name)) for f in fields(value))
    return isinstance(value, CONSTANT)
