"""Graphs of torch that keep nothing: what their derivatives need is computed again for them. Private."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from taichisoft.base.precision import full_precision


def can_recompute() -> bool:
    """Return whether a graph may keep nothing: transforms of ``torch.func`` have to keep what they need."""
    return torch._C._autograd._saved_tensors_hooks_is_enabled()  # type: ignore[attr-defined]


class Recomputed:
    """Functions of which at most one has in memory what its derivatives need: the one asked for last.

    Differentiable as often as the functions are. ``torch.utils.checkpoint`` does so for each function for
    itself, keeps what a part of a backward does not ask for, and imports the compiler.
    """

    def __init__(self) -> None:
        self._latest: object | None = None
        self._saved: list[Tensor] = []

    def __call__(self, function: Callable[[], Tensor]) -> Tensor:
        """Return what a function returns, which must be the same whenever it is called."""
        number = itertools.count()

        def unpack(which: int) -> Tensor:
            if self._latest is not number:
                # What is there goes before its like is made.
                self._latest, self._saved = None, []
                self._saved = _saved_by(function)
                self._latest = number
            return self._saved[which]

        with saved_tensors_hooks(lambda _: next(number), unpack):
            return function()


@full_precision
def _saved_by(function: Callable[[], Tensor]) -> list[Tensor]:
    """Return the tensors that the graph of a function keeps, in order, without a graph of their own."""
    saved: list[Tensor] = []

    def pack(x: Tensor) -> int:
        saved.append(x.detach())
        return len(saved) - 1

    with torch.enable_grad(), saved_tensors_hooks(pack, saved.__getitem__):
        function()
    return saved
