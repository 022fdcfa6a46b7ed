"""Signals that stop a run: SIGTERM does what Ctrl-C does, and neither disturbs the last checkpoint."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

Handler = Callable[[int, FrameType | None], object] | int | None


SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Terminated(KeyboardInterrupt):
    """SIGTERM came: from a batch system, from ``kill``, or from torchrun when another worker died."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Raise in the main thread when the first signal comes, and ignore all later ones.

    SIGTERM raises `Terminated`, Ctrl-C `KeyboardInterrupt`. After Ctrl-C torchrun sends SIGTERM as well.
    """
    came = []

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    with _handling({signal.SIGTERM: stop, signal.SIGINT: stop}):
        yield


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore SIGTERM and Ctrl-C for as long as the context lasts."""
    with _handling(dict.fromkeys(SIGNALS, signal.SIG_IGN)):
        yield


def leave(code: int) -> NoReturn:
    """End the process with an exit code, at once if that is not 0.

    At an orderly end torch would wait for an exchange with other processes that was under way (measured with
    gloo, torch 2.13), and a signal from torchrun would replace the exit code.
    """
    if code == 0:
        sys.exit(0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextlib.contextmanager
def _handling(handlers: dict[signal.Signals, Handler]) -> Iterator[None]:
    # Python lets no other thread change them, nor does it interrupt one.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
