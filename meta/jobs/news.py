"""News for who waits: one line that changes in a terminal, lines from time to time elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

# Seconds between lines where there is no terminal.
INTERVAL = 15.0
# Of a terminal: go to the start of the line, and clear it.
FRESH = "\r\x1b[K"


class News:
    """Says how far a work is.

    Parameters
    ----------
    stream : TextIO, optional
        Where to. Default: the standard output as it is now.
    interval : float
        Seconds between lines, if the stream is no terminal.
    clock : callable
        Tells seconds.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream = sys.stdout if stream is None else stream
        self.interval = interval
        self._clock = clock
        self._said = -float("inf")
        self._unfinished = False

    def say(self, text: str) -> None:
        """Say something that stays, in a line of its own."""
        self.clear()
        self._write(f"{text}\n")
        self._said = self._clock()

    def tell(self, text: str) -> None:
        """Say how far it is: in the place of what was told before, or else if that is long enough ago."""
        if self.stream.isatty():
            width = shutil.get_terminal_size().columns
            self._write(f"{FRESH}{text[: width - 1]}")
            self._unfinished = True
        elif self._clock() - self._said >= self.interval:
            self.say(text)

    def clear(self) -> None:
        """Take back what was told last, so that others may write."""
        if self._unfinished:
            self._write(FRESH)
            self._unfinished = False

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
