"""The parts of a run, each a process of its own with a limit of time, so that a crash ends one alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path

from benchmarks.gpu.counts import count
from benchmarks.gpu.machine import describe
from benchmarks.gpu.memory import measure_memory
from benchmarks.gpu.peers import PEERS, time_peer
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.report import Row, Say, others_of, rows_of
from benchmarks.gpu.tested import GROUPS, run_tests
from benchmarks.gpu.times import time_scenes

ROOT = Path(__file__).resolve().parents[2]
# Seconds of a part below which it is not begun: torch and Taichi are not even imported by then.
LEAST = 5.0

_running: set[subprocess.Popen[str]] = set()


class State(Enum):
    """How a part ended."""

    DONE = "done"
    FAILED = "failed"
    OUT_OF_TIME = "out of time"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Part:
    """Something that is measured.

    Parameters
    ----------
    name : str
        Its own.
    measure : callable
        Says rows, given the plan.
    share : float
        Of the time of a run that it may take, if so much is left.
    needs_cuda : bool
        Whether it is left out where tensors are not on a CUDA device.
    """

    name: str
    measure: Callable[[Plan, Say], None]
    share: float
    needs_cuda: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a part.

    Parameters
    ----------
    state : State
    seconds : float
        It took so long.
    rows : list of dict
        What it said, also if it was ended.
    why : str
        If it is not done, the reason and the last lines that it wrote.
    """

    state: State
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    why: str = ""

    def record(self) -> Row:
        """Return it for a JSON file."""
        found: Row = {"state": self.state.value, "seconds": round(self.seconds, 1)}
        return {**found, "why": self.why, "rows": self.rows}


MACHINE, COUNTS, TIMES, MEMORY = "machine", "launches and waits", "times", "memory"
TESTS, PEER = "tests: ", "peer: "


def parts() -> tuple[tuple[Part, ...], ...]:
    """Return the parts in their order; those that stand together may run at the same time."""
    tests = tuple(Part(f"{TESTS}{name}", partial(run_tests, name), 0.4) for name in GROUPS)
    peers = tuple((Part(f"{PEER}{name}", partial(time_peer, name), 0.1, True),) for name in PEERS)
    return (
        (Part(MACHINE, describe, 0.1),),
        (Part(COUNTS, count, 0.15),),
        (Part(TIMES, time_scenes, 0.25),),
        tests,
        (Part(MEMORY, measure_memory, 0.1),),
        *peers,
    )


def part_named(name: str) -> Part:
    """Return a part."""
    return next(part for together in parts() for part in together if part.name == name)


def run_part(part: Part, plan: Plan, limit: float) -> Outcome:
    """Run a part in a process of its own for at most so many seconds."""
    if part.needs_cuda and plan.device != "cuda":
        return Outcome(State.SKIPPED, why="timed with CUDA only")
    if limit < LEAST:
        return Outcome(State.SKIPPED, why="the time of the run was over")
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", part.name]
    command += ["--backend", plan.backend, *["--quick"] * plan.quick]
    return run_command(command, limit, {"TAICHISOFT_BACKEND": plan.backend})


def run_command(command: Sequence[str], limit: float, variables: dict[str, str]) -> Outcome:
    """Run a program that says rows; end it, and whatever it has started, when its time is over."""
    begin = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    late = False
    _running.add(process)
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        late = True
        _end(process)
        output, _ = process.communicate()
    finally:
        _running.discard(process)
    seconds, rows = time.monotonic() - begin, list(rows_of(output))
    if late:
        return Outcome(State.OUT_OF_TIME, seconds, rows, f"ended after {limit:.0f} s")
    if process.returncode:
        why = f"{_ending(process.returncode)}\n{others_of(output)}"
        return Outcome(State.FAILED, seconds, rows, why)
    return Outcome(State.DONE, seconds, rows)


def end_all() -> None:
    """End the parts that run: they are no children of the terminal, and would go on without the run."""
    for process in tuple(_running):
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _ending(code: int) -> str:
    if code > 0:
        return f"ended with code {code}"
    try:
        return f"ended by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"
