"""Processes on one or more machines, as torchrun starts them."""

from __future__ import annotations

import io
import os
import pickle
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from meta.learning.group import Alone, Group
from taichisoft.base.engine import ENGINE

T = TypeVar("T")

TRANSPORTS = ("gloo", "nccl")
KERNEL_THREADS = ENGINE.variable("CPU_MAX_NUM_THREADS")
VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL = 1e-3


class WorkerLost(RuntimeError):
    """Another process died, or cannot be reached any more."""


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is.

    Parameters
    ----------
    rank, size : int
        Among those of all machines.
    local_rank, local_size : int
        Among those of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Place:
        """Return what torchrun wrote into the environment; a single process without it."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        defaults = (0, 1, 0, 1)
        pairs = zip(names, defaults, strict=True)
        return cls(*(int(environment.get(name, default)) for name, default in pairs))


def join(transport: str, timeout: float) -> Group:
    """Return the group that torchrun made this process part of, or `Alone` without it.

    Must be called before Taichi or CUDA start, since it shares out the machine's cores and GPUs.

    Parameters
    ----------
    transport : str
        One of `TRANSPORTS`. What is exchanged are some hundred numbers a few times per outer step.
    timeout : float
        Seconds after which a process that does not answer counts as lost.

    Raises
    ------
    WorkerLost
        The processes do not find each other, or PyTorch lacks the transport.
    """
    place = Place.of(os.environ)
    if place.size == 1:
        return Alone()
    os.environ.update(shared(os.environ, place, os.cpu_count() or 1, torch.cuda.device_count()))
    return Distributed(place, transport, timeout)


def shared(environment: Mapping[str, str], place: Place, cores: int, gpus: int) -> dict[str, str]:
    """Return the environment variables by which a process takes no more than its share of a machine.

    Parameters
    ----------
    environment : mapping
        The variables as they are; a number of kernel threads that is set already is respected.
    place : Place
        Which process of how many.
    cores, gpus : int
        Of this machine; GPUs as far as they are visible.
    """
    changes = {}
    if KERNEL_THREADS not in environment:
        changes[KERNEL_THREADS] = str(max(1, cores // place.local_size))
    if gpus:
        # Taichi takes the first GPU that it sees.
        visible = environment.get(VISIBLE) or ",".join(map(str, range(gpus)))
        names = visible.split(",")
        changes[VISIBLE] = names[place.local_rank % len(names)]
    return changes


class Distributed(Group):
    """The processes of torch.distributed; see `join`.

    Parameters
    ----------
    place : Place
        Which of how many this is; the others are found through the environment that torchrun sets.
    transport : str
        One of `TRANSPORTS`.
    timeout : float
        Seconds.
    """

    def __init__(self, place: Place, transport: str, timeout: float):
        self._place = place
        self._device = torch.device("cuda" if transport == "nccl" else "cpu")
        limit = timedelta(seconds=timeout)
        try:
            # Kept, since under torchrun it outlives process 0.
            self._store, rank, size = next(
                dist.rendezvous("env://", place.rank, place.size, timeout=limit)
            )
            dist.init_process_group(
                transport, store=self._store, rank=rank, world_size=size, timeout=limit
            )
        except (RuntimeError, ValueError) as error:
            raise WorkerLost(
                f"process {place.rank} cannot join the others ({_brief(error)})"
            ) from error

    @property
    def size(self) -> int:
        """Return the number of processes."""
        return self._place.size

    @property
    def rank(self) -> int:
        """Return the number of this process."""
        return self._place.rank

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, added in the order of their ranks.

        Raises
        ------
        WorkerLost
            A process died, or does not answer.
        """
        first, *others = self._exchange(values)
        for other in others:
            first = first + other
        return first.to(values.device)

    def gather(self, value: T) -> list[T]:
        """Return the value of each process; the processes trust each other's pickles.

        Raises
        ------
        WorkerLost
            A process died, or does not answer.
        """
        data = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        lengths = torch.cat(self._exchange(torch.tensor([len(data)]))).tolist()
        padded = torch.zeros(max(lengths), dtype=torch.uint8)
        padded[: len(data)] = data
        parts = zip(self._exchange(padded), lengths, strict=True)
        return [
            pickle.load(io.BytesIO(part[:length].cpu().numpy().tobytes())) for part, length in parts
        ]

    def first(self, name: str) -> bool:
        """Return whether no process has asked before; True if that cannot be known."""
        try:
            return self._store.add(f"first {name}", 1) == 1
        except RuntimeError:
            return True

    def close(self) -> None:
        """Leave the group, when nothing is left to be exchanged."""
        dist.destroy_process_group()

    def _exchange(self, values: Tensor) -> list[Tensor]:
        """Return the tensors of all processes, of equal shapes and dtypes, by rank."""
        own = values.detach().to(self._device).reshape(-1)
        parts = [torch.empty_like(own) for _ in range(self.size)]
        try:
            work = dist.all_gather(parts, own, async_op=True)
            # Unlike a wait inside torch, this one ends when a signal comes.
            while not work.is_completed():
                time.sleep(POLL)
            work.wait()
        except RuntimeError as error:
            raise WorkerLost(f"a worker died or cannot be reached ({_brief(error)})") from error
        return [part.reshape(values.shape) for part in parts]


def _brief(error: Exception) -> str:
    """Return the first sentence of an error, without the place in the source of torch."""
    text = str(error).split("\n")[0]
    return re.sub(r"^\[[^]]*\] ", "", text).split(". ")[0]
