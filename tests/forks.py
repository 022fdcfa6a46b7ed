"""Programs in processes of their own that are spared importing torch, Taichi and the library.

A server, which starts no thread and no backend, imports them once, and what torch imports for the first
optimiser; every program is a fork of it. What says something about importing itself needs a process from the
start.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import tempfile
import time
from multiprocessing import forkserver
from pathlib import Path

from taichisoft.base.engine import VARIABLE as ENGINE

PRELOADED = ["meta.train", "torch._dynamo"]
# By itself it would outlive this process for a moment.
atexit.register(forkserver._forkserver._stop)


def outside() -> dict[str, str]:
    """Return the environment as users have it: without what was set for the tests, but for the engine."""
    return {
        name: value
        for name, value in os.environ.items()
        if name == ENGINE or not name.startswith("TAICHISOFT_")
    }


class Program:
    """A program that runs in a process of its own, with nothing in its environment but what is given."""

    def __init__(self, code: str, environment: dict[str, str]):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._outputs = tempfile.TemporaryDirectory()
        self._process = context.Process(target=_run, args=(code, environment, self._outputs.name))
        self._process.start()
        # Known after its end, too.
        self.pid: int = self._process.pid

    def said(self, timeout: float = 240) -> str:
        """Wait for the first line of its output and return it."""
        limit = time.monotonic() + timeout
        while "\n" not in (said := self._text("out")):
            if not self._process.is_alive():
                # Its last words may have come since.
                said = self._text("out")
                assert said, self._text("err")
                break
            assert time.monotonic() < limit
            time.sleep(0.02)
        return said.splitlines()[0]

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def running(self) -> bool:
        """Return whether it has not ended."""
        return self._process.is_alive()

    def finished(self, timeout: float = 240) -> subprocess.CompletedProcess:
        """Wait for the end; return what came of it."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            self._process.join()
            raise TimeoutError(f"the program has not ended after {timeout:g} seconds")
        out, err = map(self._text, ("out", "err"))
        self._process.close()
        self._outputs.cleanup()
        return subprocess.CompletedProcess([], code, out, err)

    def _text(self, name: str) -> str:
        path = Path(self._outputs.name) / name
        # It may not have begun.
        return path.read_text() if path.exists() else ""


def _run(code: str, environment: dict[str, str], outputs: str) -> None:
    for stream, name in ((1, "out"), (2, "err")):
        file = os.open(Path(outputs) / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, stream)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    try:
        exec(code, {"__name__": "__main__"})
    finally:
        # As at the end of a program; a process that was forked here leaves them out.
        atexit._run_exitfuncs()
