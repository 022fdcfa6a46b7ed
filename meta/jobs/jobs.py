"""Jobs: work in pieces that are done once and leave their result in files, run by one or more processes."""

from __future__ import annotations

import multiprocessing
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import torch

import taichisoft
from meta.jobs.full_disk import cure
from meta.learning.distributed import KERNEL_THREADS
from taichisoft.base.checks import check_integer


class Job(ABC):
    """A piece of work that can be interrupted and done again; picklable, if processes share the work."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is, for messages; different for different jobs."""

    @abstractmethod
    def done(self) -> bool:
        """Return whether the result is there, whole and made in just this way."""

    @abstractmethod
    def run(self) -> None:
        """Do the work and leave the result, so that `done` is true from then on."""


def run_jobs(
    jobs: Sequence[Job], *, workers: int = 1, on_done: Callable[[Job], object] | None = None
) -> None:
    """Run the jobs that are not done yet.

    Parameters
    ----------
    jobs : sequence of Job
        In the order in which they are begun.
    workers : int
        1: in this process. More: as many new processes, in each of which the kernels and torch have one
        thread, so that they do not wait for each other.
    on_done : callable, optional
        Called in this process with each job that is done, also with those that were before.

    Raises
    ------
    ValueError
        Two jobs have the same name.
    RuntimeError
        A job failed, or a worker process died. What is done stays done.
    """
    check_integer(workers, "workers", minimum=1)
    names = [job.name for job in jobs]
    if len(set(names)) < len(names):
        raise ValueError(f"jobs must have different names, got {', '.join(sorted(names))}")
    report = on_done or (lambda job: None)
    left = []
    for job in jobs:
        if job.done():
            report(job)
        else:
            left.append(job)
    if workers == 1:
        for job in left:
            _run(job)
            report(job)
    elif left:
        _run_in_processes(left, workers, report)


def _run(job: Job) -> None:
    try:
        job.run()
    except Exception as error:
        raise RuntimeError(f"{job.name} failed: {error}{cure(error)}") from error


def _run_in_processes(jobs: Sequence[Job], workers: int, report: Callable[[Job], object]) -> None:
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)),
        # A forked process would share the state of threads that it does not have.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare_worker,
        initargs=(taichisoft.backend(),),
    )
    with pool:
        waiting = {pool.submit(_run, job): job for job in jobs}
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    future.result()
                    report(waiting.pop(future))
        except BrokenProcessPool as error:
            raise RuntimeError(_death(waiting, len(jobs))) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _prepare_worker(backend: str) -> None:
    os.environ[KERNEL_THREADS] = "1"
    torch.set_num_threads(1)
    taichisoft.init(backend)


def _death(waiting: dict[Future, Job], count: int) -> str:
    names = sorted(job.name for job in waiting.values() if not job.done())
    listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return (
        f"a worker process died (killed, or out of memory); not done: {listed}. {count - len(names)} of "
        f"{count} jobs are done and kept: the same command goes on from there, with fewer workers if memory "
        "is short"
    )
