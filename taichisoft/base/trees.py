"""Records as torch and its neighbours take them apart: pytrees, batches of a DataLoader, Lightning's mapping.

A record is a frozen dataclass of tensors. Whoever takes it apart puts something else in the place of each
tensor, not always a tensor: what is put together again is not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import fields
from typing import Any, TypeVar

from torch.utils import _pytree as pytree
from torch.utils.data._utils.collate import default_collate_fn_map

C = TypeVar("C", bound=type)
# The fields that are data, and the others with their values.
Kept = tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]
# In a copy that may be changed field by field.
OPEN = "_open"


def tree(*, but: Sequence[str] = ()) -> Callable[[C], C]:
    """Return a decorator of frozen dataclasses that makes them pytrees, whose children are their fields.

    Parameters
    ----------
    but : sequence of str
        Fields that are no data, such as an image size: they belong to the structure.

    Notes
    -----
    Lightning maps over a dataclass by setting the fields of a deep copy, which a frozen one refuses. So those
    of a deep copy may be set, without checks.
    """

    def registered(kind: C) -> C:
        every = tuple(field.name for field in fields(kind))

        def parts(record: Any) -> tuple[list[Any], Kept]:
            values = {name: getattr(record, name) for name in every}
            # To torch None is a leaf like a tensor; here it is the absence of one.
            kept = {n: v for n, v in values.items() if n in but or v is None}
            data = tuple(name for name in every if name not in kept)
            return [values[name] for name in data], (data, tuple(kept.items()))

        def named(record: Any) -> tuple[list[tuple[Any, Any]], Kept]:
            values, (data, kept) = parts(record)
            keys = (pytree.GetAttrKey(name) for name in data)
            return list(zip(keys, values, strict=True)), (data, kept)

        def whole(values: Any, structure: Kept) -> Any:
            made: Any = object.__new__(kind)
            data, kept = structure
            for name, value in (*zip(data, values, strict=True), *kept):
                object.__setattr__(made, name, value)
            return made

        pytree.register_pytree_node(kind, parts, whole, flatten_with_keys_fn=named)
        kind.__deepcopy__ = _open_copy  # type: ignore[attr-defined]
        kind.__setattr__ = _settable_if_open(kind.__setattr__)  # type: ignore[method-assign, assignment]
        return kind

    return registered


def collated(kind: type, together: Callable[[Sequence[Any]], Any]) -> None:
    """Let a DataLoader make a batch of several records of a kind by a function of these."""
    default_collate_fn_map[kind] = lambda batch, *, collate_fn_map=None: together(batch)


def _open_copy(record: Any, memo: dict[int, Any]) -> Any:
    copy = object.__new__(type(record))
    memo[id(record)] = copy
    for name, value in vars(record).items():
        object.__setattr__(copy, name, deepcopy(value, memo))
    object.__setattr__(copy, OPEN, True)
    return copy


def _settable_if_open(refuse: Any) -> Callable[[Any, str, Any], None]:
    """Return what sets a field of an open copy, and refuses it as before in others."""

    def put(record: Any, name: str, value: Any) -> None:
        (object.__setattr__ if OPEN in vars(record) else refuse)(record, name, value)

    return put
