"""Parts of the problems of an outer step, shared among processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meta.learning.group import Group


@dataclass(frozen=True)
class Part:
    """Some problems of one family.

    Parameters
    ----------
    family : int
        Index into the families of the run.
    number : int
        Which of the family's parts; the seed of its problems depends on it, not on the process.
    count : int
        Number of problems, at least 1.
    weight : float
        Share of the objective, in which families are equal, and problems within a family. All parts of
        all families sum to 1.
    """

    family: int
    number: int
    count: int
    weight: float


def parts_of(counts: Sequence[int], shards: int, group: Group) -> list[Part]:
    """Return the parts of a process: those whose number is its rank, modulo the number of processes.

    Parameters
    ----------
    counts : sequence of int
        How many problems of each family an outer step solves.
    shards : int
        How many parts they are divided into, as far as there are enough.
    group : Group
        The processes.

    Raises
    ------
    ValueError
        There are fewer parts than processes.
    """
    largest = max(counts)
    if min(shards, largest) < group.size:
        raise ValueError(
            f"shards must give each of the {group.size} processes a part of the problems, got "
            f"{shards} for at most {largest} problems of a family: {_advice(largest, group)}"
        )
    return [
        Part(family, number, count, count / total / len(counts))
        for family, total in enumerate(counts)
        for number, count in enumerate(even(total, shards))
        if number % group.size == group.rank
    ]


def even(total: int, shards: int) -> list[int]:
    """Return the sizes of the parts of `total` problems: they differ by at most one, and none is empty."""
    parts = min(total, shards)
    return [total // parts + (number < total % parts) for number in range(parts)]


def _advice(largest: int, group: Group) -> str:
    if largest < group.size:
        return f"take at most {largest} processes, or more problems"
    return f"choose --shards {group.size} or a multiple of it"
