"""Words about tensors and what holds them: a few lines where their numbers would fill pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from reprlib import Repr
from typing import Any

import torch
from torch import Tensor

from taichisoft.base.eager import eager
from taichisoft.base.transforms import beneath

# Of what is no tensor: a tuple of many numbers is cut off.
SHORT = Repr()
SHORT.maxtuple = SHORT.maxlist = SHORT.maxdict = 6
SHORT.maxother = SHORT.maxstring = 80


@eager
def in_words(value: Tensor) -> str:
    """Return shape, dtype, range, and what else matters: ``(42, 3) float32, -1 to 1, requires grad``.

    Reads the numbers, and keeps no graph.
    """
    dtype = str(value.dtype).removeprefix("torch.")
    parts = [f"{tuple(value.shape)} {dtype}"]
    if value.device.type != "cpu":
        parts[0] += f" on {value.device}"
    numbers = beneath(value).detach()
    if numbers.numel() and not numbers.is_meta and numbers.layout == torch.strided:
        parts += _range(numbers)
    if value.requires_grad:
        parts.append("requires grad")
    return ", ".join(parts)


def summary(record: Any, title: str) -> str:
    """Return a title and a line for each field of a dataclass that is not None."""
    lines = [title]
    for field in fields(record):
        value = getattr(record, field.name)
        if value is not None:
            lines.append(f"  {field.name}: {_in_short(value)}")
    return "\n".join(lines)


def counted(number: int, one: str, several: str) -> str:
    """Return ``1 face`` or ``12 faces``."""
    return f"{number} {one if number == 1 else several}"


def _in_short(value: Any) -> str:
    """Return a line about a field; of several records the title of each."""
    if isinstance(value, Tensor):
        return in_words(value)
    if isinstance(value, Mapping):
        return _entries(value)
    if isinstance(value, tuple) and any(is_dataclass(one) for one in value):
        titles = [repr(one).partition("\n")[0] for one in value[: SHORT.maxtuple]]
        return ", ".join(titles + ["..."] * (len(value) > SHORT.maxtuple))
    return SHORT.repr(value)


def _entries(values: Mapping[Any, Any]) -> str:
    """Return what a dict holds by its keys, of as many as are shown."""
    shown = list(values.items())[: SHORT.maxdict]
    words = [f"{SHORT.repr(key)}: {_in_short(value)}" for key, value in shown]
    return "{" + "; ".join(words + ["..."] * (len(values) > len(shown))) + "}"


def _range(numbers: Tensor) -> list[str]:
    if numbers.dtype == torch.bool:
        return [f"{int(numbers.sum())} of {numbers.numel()} true"]
    if numbers.is_complex():
        return []
    if numbers.is_floating_point() and numbers.element_size() == 1:
        # Of 8 bits torch can do little but convert them.
        numbers = numbers.float()
    finite = torch.isfinite(numbers) if numbers.is_floating_point() else None
    others = 0 if finite is None else numbers.numel() - int(finite.sum())
    if finite is not None and others:
        numbers = numbers[finite]
    words = []
    if numbers.numel():
        digits = ".4g" if numbers.is_floating_point() else "d"
        least, largest = (format(bound, digits) for bound in _bounds(numbers))
        words.append(least if least == largest else f"{least} to {largest}")
    if others:
        words.append(f"{others} not finite")
    return words


def _bounds(numbers: Tensor) -> tuple[Any, Any]:
    if numbers.is_floating_point():
        least, largest = torch.aminmax(numbers)
        return least.item(), largest.item()
    # By NumPy, since torch compares no unsigned numbers but those of 8 bits.
    array = numbers.cpu().numpy()
    return array.min().item(), array.max().item()
