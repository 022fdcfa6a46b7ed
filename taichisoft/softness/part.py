"""Parts of a softness: modules that keep what they were made with."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator
from inspect import signature
from typing import Any

from torch import Tensor, nn


class Part(nn.Module, ABC):
    """A module that can tell the arguments of its constructor.

    Each argument is an attribute or a property of the same name: a module, a number, a string, None, or a
    list of these. Only a ``seed`` need not be kept: it says where weights start, which are saved themselves.
    """

    def __init__(self) -> None:
        super().__init__()

    def settings(self) -> dict[str, Any]:
        """Return the constructor arguments that make an equal module, up to learned weights."""
        return {name: getattr(self, name) for name in self._arguments()}

    def extra_repr(self) -> str:
        """Return the arguments that are plain values; modules among them are shown by themselves."""
        # Printing never fails, whatever a class of the user keeps.
        found = [(name, getattr(self, name)) for name in self._arguments() if hasattr(self, name)]
        plain = (bool, int, float, str, type(None))
        return ", ".join(f"{name}={value}" for name, value in found if isinstance(value, plain))

    def hold(self, name: str, value: Tensor, *, learn: bool) -> None:
        """Keep a tensor under a name: as a parameter if it is learned, else as a buffer."""
        if learn:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    def _arguments(self) -> Iterator[str]:
        return (name for name in signature(type(self)).parameters if name != "seed")
