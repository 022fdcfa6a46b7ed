"""Kill training runs, continue them, and report.

Importing torch and Taichi takes seconds. It has happened in this process, which starts no thread and no
Taichi; every run is a fork of it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import types
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path

from meta import train
from meta.runs import run, trainer
from meta.runs.checkpoint import Checkpoint
from meta.runs.folder import RunFolder
from tests.meta.learning.problems import PointFamily, tiny
from tests.meta.runs.run_cases import rendered, words_of

KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Found:
    """What is in a run folder after a kill.

    Parameters
    ----------
    run : int
        Number of the run folder.
    step : int or None
        That of the checkpoint; None if there is no run yet.
    lines : int
        Whole lines of the history.
    """

    run: int
    step: int | None
    lines: int


def exact() -> None:
    """Take problems that need neither rendering nor Taichi; for a forked process."""
    trainer.build_families = lambda settings: [PointFamily()]
    run.taichisoft = types.SimpleNamespace(init=lambda name: None, backend=lambda: "cpu")


def start(prepare: Callable[[], object], *commands: list[str]) -> int:
    """Run command lines, until one fails, in a forked process and return its number."""
    process = os.fork()
    if process:
        return process
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        prepare()
        os._exit(next(filter(None, map(train.main, commands)), 0))
    finally:
        os._exit(99)


def wait(process: int) -> int:
    """Return the exit code of a process, negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def found_in(folder: RunFolder, number: int) -> Found:
    """Look at what a kill left."""
    begun = folder.config.exists()
    text = folder.history.read_text() if folder.history.exists() else ""
    step = Checkpoint.load(folder.checkpoint).step if begun else None
    return Found(number, step, text.count("\n"))


def words_for(settings, folder: RunFolder) -> list[str]:
    """Return the command line that begins a run, or continues it if it has begun."""
    if folder.config.exists():
        return ["--resume", str(folder.path)]
    return [*words_of(settings), f"--out={folder.path}"]


def at_random(settings, prepare: Callable[[], None], path: Path, kills: int, seed: int) -> dict:
    """Kill runs after random times, anywhere from their start to their end, until `kills` hit one.

    How long a run takes varies on a busy machine, so it goes on until they have hit several steps.
    """
    numbers, found = random.Random(seed), []
    begin = time.perf_counter()
    codes = [wait(start(prepare, words_for(settings, RunFolder(path / "whole"))))]
    whole = time.perf_counter() - begin
    run_number = 0
    while len(found) < kills or (len({f.step for f in found}) <= 3 and len(found) < 10 * kills):
        folder = RunFolder(path / str(run_number))
        process = start(prepare, words_for(settings, folder))
        # Up to half a run, so that a run is killed about four times before its end.
        time.sleep(numbers.uniform(0, whole / 2))
        os.kill(process, signal.SIGKILL)
        code = wait(process)
        if code == KILLED:
            found.append(found_in(folder, run_number))
        else:
            codes.append(code)
            run_number += 1
    codes.append(wait(start(prepare, words_for(settings, RunFolder(path / str(run_number))))))
    return {"codes": codes, "found": [asdict(f) for f in found], "runs": run_number + 1}


def at_operations(
    settings, prepare: Callable[[], None], path: Path, operations: Iterable[int]
) -> dict:
    """Kill runs just before their k-th file operation, for each k that comes, and then continue them all.

    One process continues them and makes the whole run at last, as each would compile kernels for itself.
    """
    found, codes = [], []
    for number, operation in enumerate(operations):
        folder = RunFolder(path / str(number))
        killing = partial(kill_before, folder.path, operation, prepare)
        code = wait(start(killing, words_for(settings, folder)))
        if code != KILLED:
            codes.append(code)
            break
        found.append(found_in(folder, number))
    folders = [RunFolder(path / str(kill.run)) for kill in found] + [RunFolder(path / "whole")]
    codes.append(wait(start(prepare, *(words_for(settings, folder) for folder in folders))))
    return {"codes": codes, "found": [asdict(f) for f in found], "runs": len(found)}


def kill_before(folder: Path, operation: int, prepare: Callable[[], object]) -> None:
    """Kill this process before an operation, counted from 0, on files in a folder, or on it."""
    prepare()
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event not in ("open", "os.rename", "os.remove", "os.mkdir"):
            return
        if isinstance(arguments[0], int) or not str(arguments[0]).startswith(str(folder)):
            return
        if seen == operation:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1

    sys.addaudithook(hook)


def report(path: Path, seed: int) -> dict:
    """Kill runs in all ways, each in a folder of its name."""
    every = {"checkpoint_every": 1}
    short, long = tiny(outer_steps=2, **every), tiny(outer_steps=20, **every)
    return {
        "random": at_random(long, exact, path / "random", 20, seed),
        "operations": at_operations(short, exact, path / "operations", count()),
        # The first two are in the first steps, the last is in the second.
        "rendered": at_operations(
            rendered(outer_steps=2, **every), lambda: None, path / "rendered", (15, 18, 24)
        ),
    }


def main(path: str, seed: int) -> None:
    """Print a report."""
    print(json.dumps(report(Path(path), seed)))
