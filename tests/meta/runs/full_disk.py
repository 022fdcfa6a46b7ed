"""A disk that is full after so many bytes."""

from __future__ import annotations

import builtins
import errno
import io
import os
from pathlib import Path

import pytest


class FullDisk:
    """Lets files of a folder take some bytes more, then fails each write as a full disk does.

    As a file system does, it takes a part of what does not fit, and files that are removed or cut give no
    space back: only the time until it is full matters here.

    Parameters
    ----------
    patch : MonkeyPatch
        Undoes it.
    folder : Path
        Where.
    free : int
        Bytes.
    """

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, free: int):
        self.folder, self.free = str(folder), free
        # Bytes of each write.
        self.written: list[int] = []
        self._open = io.open
        patch.setattr(io, "open", self.open)
        patch.setattr(builtins, "open", self.open)

    def open(self, file, mode="r", buffering=-1, encoding=None, *others, **options):
        """Open a file, in the folder one that may not grow."""
        inside = isinstance(file, str | Path) and str(file).startswith(self.folder)
        if not inside or mode.strip("bt") in ("r", "r+"):
            return self._open(file, mode, buffering, encoding, *others, **options)
        raw = _Limited(self, file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        binary = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, encoding or "utf-8")


class _Limited(io.FileIO):
    def __init__(self, disk: FullDisk, file: str | Path, mode: str):
        super().__init__(file, mode)
        self._disk = disk

    def write(self, content) -> int:
        """Write what still fits."""
        view = memoryview(content).cast("B")
        fits = view[: self._disk.free]
        if len(view) > 0 and len(fits) == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(fits)
        self._disk.free -= written
        self._disk.written.append(written)
        return written
