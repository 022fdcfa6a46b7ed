"""Records as torch and its neighbours take them apart: pytrees, batches of a DataLoader, Lightning's copies.

A record is a frozen dataclass of tensors. Whoever takes it apart puts something else in the place of each
tensor, not always a tensor: what is put together again is checked where it is used, by `checked`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import fields
from typing import Any, TypeVar

from torch.utils import _pytree as pytree
from torch.utils.data._utils.collate import default_collate_fn_map

from taichisoft.base.words import summary

C = TypeVar("C", bound=type)
R = TypeVar("R")
# The fields that are data, and the others with their values.
Kept = tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]
# Of a record that was put together unchecked: which fields are data.
UNCHECKED = "_unchecked"
# Of a copy whose fields are about to be set: which are yet to be.
UNSET = "_unset"


def checked(value: R) -> R:
    """Return a value; a record that was put together unchecked has the checks of its constructor now."""
    if getattr(value, UNCHECKED, None) is not None and hasattr(value, "__post_init__"):
        value.__post_init__()
        # Another thread may have been as quick.
        vars(value).pop(UNCHECKED, None)
    return value


def tree(*, but: Sequence[str] = ()) -> Callable[[C], C]:
    """Return a decorator of frozen dataclasses that makes them pytrees, whose children are their fields.

    Parameters
    ----------
    but : sequence of str
        Fields that are no data, such as an image size: they belong to the structure.

    Notes
    -----
    To torch None is a leaf; here it is the absence of one, so that functions of tensors can be mapped over
    any record. But a field that was data when a record was taken apart stays data in what is made of the
    parts, whatever they are: a tree of axes for ``vmap``, some of them None, has the structure of the record.

    Lightning maps over a dataclass by setting the fields of a copy, which a frozen one refuses. So those of
    such a copy can be set, each once.
    """

    def registered(kind: C) -> C:
        every = tuple(field.name for field in fields(kind))

        def data_of(record: Any) -> tuple[str, ...]:
            default = (n for n in every if n not in but and getattr(record, n) is not None)
            return vars(record).get(UNCHECKED) or tuple(default)

        def parts(record: Any) -> tuple[list[Any], Kept]:
            data = data_of(record)
            kept = tuple((name, getattr(record, name)) for name in every if name not in data)
            return [getattr(record, name) for name in data], (data, kept)

        def named(record: Any) -> tuple[list[tuple[Any, Any]], Kept]:
            values, structure = parts(record)
            keys = map(pytree.GetAttrKey, structure[0])
            return list(zip(keys, values, strict=True)), structure

        def whole(values: Any, structure: Kept) -> Any:
            data, kept = structure
            record: Any = object.__new__(kind)
            vars(record).update(zip(data, values, strict=True))
            vars(record).update({**dict(kept), UNCHECKED: data})
            return record

        def copied(record: Any, memo: dict[int, Any]) -> Any:
            # Lightning says beforehand that the fields are to be kept as they are; a copy proper never does.
            to_be_set = all(memo.get(id(x), memo) is x for x in (getattr(record, n) for n in every))
            copy = memo[id(record)] = object.__new__(type(record))
            vars(copy).update({name: deepcopy(x, memo) for name, x in _state(record).items()})
            if to_be_set:
                vars(copy).update({UNCHECKED: data_of(record), UNSET: set(every)})
            return copy

        pytree.register_pytree_node(kind, parts, whole, flatten_with_keys_fn=named)
        changed: Any = kind
        changed.__deepcopy__ = copied
        changed.__getstate__ = _state
        changed.__setattr__ = _settable(changed.__setattr__)
        changed.__repr__ = _said(changed.__repr__)
        return kind

    return registered


def collated(kind: type, together: Callable[[Sequence[Any]], Any]) -> None:
    """Let a DataLoader make a batch of several records of a kind by a function of these."""
    default_collate_fn_map[kind] = lambda batch, *, collate_fn_map=None: together(batch)


def _state(record: Any) -> dict[str, Any]:
    """Return what is copied and pickled: fields that are yet to be set can be in the record alone."""
    return {name: value for name, value in vars(record).items() if name != UNSET}


def _settable(refuse: Callable[[Any, str, Any], None]) -> Callable[[Any, str, Any], None]:
    """Return what sets a field that is yet to be set, and refuses all others."""

    def put(record: Any, name: str, value: Any) -> None:
        unset = vars(record).get(UNSET, ())
        if name not in unset:
            refuse(record, name, value)
            return
        vars(record)[name] = value
        unset.remove(name)
        if not unset:
            del vars(record)[UNSET]

    return put


def _said(describe: Callable[[Any], str]) -> Callable[[Any], str]:
    """Return what describes a record; one that is unchecked, and that it fails for, field by field."""

    def say(record: Any) -> str:
        try:
            return describe(record)
        except Exception:
            if UNCHECKED not in vars(record):
                raise
            return summary(record, type(record).__name__)

    return say
