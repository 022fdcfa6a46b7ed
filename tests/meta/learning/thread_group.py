"""Threads in place of processes, to share the problems of exact runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from torch import Tensor

from meta.learning.group import Group

T = TypeVar("T")


class Meeting:
    """Where threads show each other their values.

    Parameters
    ----------
    size : int
        Number of threads.
    """

    def __init__(self, size: int):
        self.values: list = [None] * size
        # A thread that failed must not keep the others waiting.
        self.barrier = threading.Barrier(size, timeout=60)
        self.lock = threading.Lock()
        self.names: set[str] = set()


class Threads(Group):
    """One of the threads at a meeting."""

    def __init__(self, meeting: Meeting, rank: int):
        self.meeting = meeting
        self._rank = rank

    @property
    def size(self) -> int:
        """Return the number of threads."""
        return len(self.meeting.values)

    @property
    def rank(self) -> int:
        """Return the number of this thread."""
        return self._rank

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum in the order of ranks."""
        first, *others = self.gather(values.clone())
        return sum(others, start=first)

    def gather(self, value: T) -> list[T]:
        """Return the values of all threads."""
        self.meeting.values[self.rank] = value
        self.meeting.barrier.wait()
        values = list(self.meeting.values)
        self.meeting.barrier.wait()
        return values

    def first(self, name: str) -> bool:
        """Return whether no thread has asked before."""
        with self.meeting.lock:
            new = name not in self.meeting.names
            self.meeting.names.add(name)
            return new

    def close(self) -> None:
        """Do nothing."""


def in_threads(size: int, action: Callable[[Group], T]) -> list[T | Exception]:
    """Return what an action returns, or raises, for each of several threads."""
    meeting = Meeting(size)

    def safely(rank: int) -> T | Exception:
        try:
            return action(Threads(meeting, rank))
        except Exception as error:
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(safely, range(size)))
