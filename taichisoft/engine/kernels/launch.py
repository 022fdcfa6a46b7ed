"""Launches: how work is handed to the workers of a kernel.

A kernel loops over ``slots``; every ``stride``-th slot is a worker, which takes the items ``worker,
worker + workers, ...``. On a GPU every slot works. On the CPU Taichi hands out at least 512 consecutive
iterations at a time and splits a loop evenly over the threads, so short loops would run on one thread
(measured with 1.7.4): there a worker is followed by 511 empty slots.
"""

from typing import NamedTuple

CPU_STRIDE = 512
CPU_WORKERS = 64


class Launch(NamedTuple):
    """Loop of a kernel: `slots` iterations of which every `stride`-th is a worker."""

    slots: int
    stride: int

    @property
    def workers(self) -> int:
        """Number of workers."""
        return self.slots // self.stride


def launch_for(items: int, on_cpu: bool, most: int) -> Launch:
    """Return the launch for a number of items; `most` caps the workers on a GPU.

    The number of workers on the CPU does not depend on its cores, so that sums are taken in the same
    order on every machine.
    """
    workers = max(1, min(items, CPU_WORKERS if on_cpu else most))
    stride = CPU_STRIDE if on_cpu else 1
    return Launch(workers * stride, stride)
