"""Atomic files: a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that a reader, or a crash of process or machine, finds the old or the new one.

    Several processes may write the same file at the same time; the last one to end wins.

    Parameters
    ----------
    path : Path
        The file.
    write : callable
        Writes the new content to the path that it is given, in the same folder. If it raises, the file
        stays as it was.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        # Without this the new name can reach the disk before the content.
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, and wait until it is on the disk.

    Parameters
    ----------
    path : Path
        The file; made if it is missing.
    line : str
        With its line break.
    """
    with path.open("a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where systems can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
