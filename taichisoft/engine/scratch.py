"""Scratch memory of launches, kept from one to the next: a fresh array costs a page fault every 4 KB."""

from __future__ import annotations

import threading

import torch
from torch import Tensor

# Bytes of an array up to which it is kept.
MOST = 2**26


class _Kept(threading.local):
    """The arrays of a thread, which two launches never use at once."""

    def __init__(self) -> None:
        self.arrays: dict[tuple[str, torch.dtype], Tensor] = {}


_kept = _Kept()


def scratch(purpose: str, dtype: torch.dtype, *shape: int) -> Tensor:
    """Return memory of the CPU that holds anything, until it is next asked for with that purpose."""
    size = 1
    for length in shape:
        size *= length
    key = (purpose, dtype)
    array = _kept.arrays.get(key)
    if array is None or len(array) < size:
        # Not a tensor of inference mode, which could not be used outside of it.
        with torch.inference_mode(False):
            array = torch.empty(max(size, 1), dtype=dtype)
        if array.element_size() * size <= MOST:
            _kept.arrays[key] = array
    return array[:size].view(shape)
