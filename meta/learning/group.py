"""The processes that share an outer step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")


class Group(ABC):
    """One or more processes, each with its part of the problems. All call the same methods in turn."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of processes."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """Number of this process, from 0. The process 0 writes the files."""

    @abstractmethod
    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, bit-equal on each of them."""

    @abstractmethod
    def gather(self, value: T) -> list[T]:
        """Return the value of each process, by rank; anything that can be pickled."""

    @abstractmethod
    def first(self, name: str) -> bool:
        """Return whether this process is the first that asks for a name. Waits for no other."""

    @abstractmethod
    def close(self) -> None:
        """Leave the group, when nothing is left to be exchanged."""


class Alone(Group):
    """A single process."""

    @property
    def size(self) -> int:
        """Return 1."""
        return 1

    @property
    def rank(self) -> int:
        """Return 0."""
        return 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the values."""
        return values

    def gather(self, value: T) -> list[T]:
        """Return the value alone."""
        return [value]

    def first(self, name: str) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Do nothing."""


def together(group: Group, action: Callable[[], T]) -> T:
    """Do something on every process, or raise on all of them if it fails on one.

    Otherwise the others would wait for the one that failed.

    Parameters
    ----------
    group : Group
        The processes.
    action : callable
        What to do; it must not use the group.

    Raises
    ------
    ImportError, OSError, TypeError, ValueError, RuntimeError
        What `action` raised here, or a RuntimeError with the message of the first process where it failed.
    """
    failure: Exception | None = None
    try:
        result = action()
    except (ImportError, OSError, TypeError, ValueError, RuntimeError) as error:
        failure = error
    messages = group.gather(None if failure is None else f"{failure}")
    if failure is not None:
        raise failure
    for rank, message in enumerate(messages):
        if message is not None:
            raise RuntimeError(f"process {rank} failed: {message}")
    return result
