"""Atomic files: a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import glob
import os
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

# No write takes that long; a partial file that is older, and whose process is gone, was left by a kill.
SECONDS_OF_A_WRITE = 3600.0


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that a reader, or a crash of process or machine, finds the old or the new one.

    Several processes may write the same file at the same time; the last one to end wins. What killed
    processes left of the same file an hour ago or more is removed.

    Parameters
    ----------
    path : Path
        The file.
    write : callable
        Writes the new content to the path that it is given, in the same folder. If it raises, the file
        stays as it was.

    Raises
    ------
    OSError
        The content could not be written, because the disk is full, say; it names the file, which is as it
        was.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        # Without this the new name can reach the disk before the content.
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        # What went wrong is worth more than that the rest could not be removed.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            named = _about(error, path)
            raise named from error
        raise
    _sync_folder(path.parent)
    _remove_abandoned(path)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, and wait until it is on the disk.

    Parameters
    ----------
    path : Path
        The file; made if it is missing.
    line : str
        With its line break.

    Raises
    ------
    OSError
        It could not be written; it names the file, which is as long as before.
    """
    content = line.encode()
    try:
        with path.open("ab", buffering=0) as file:
            length = file.seek(0, os.SEEK_END)
            try:
                # The system may take a part alone.
                while content:
                    content = content[file.write(content) :]
                os.fsync(file.fileno())
            except BaseException:
                with contextlib.suppress(OSError):
                    file.truncate(length)
                raise
    except OSError as error:
        named = _about(error, path)
        raise named from error


def cut(path: Path, length: int) -> None:
    """Cut a file to its first bytes, which needs no space, and wait until that is on the disk.

    Parameters
    ----------
    path : Path
        The file.
    length : int
        Bytes to keep.
    """
    with path.open("rb+") as file:
        file.truncate(length)
        os.fsync(file.fileno())


def remove_partials(folder: Path, names: Collection[str] | None = None) -> None:
    """Remove what killed writes of files have left beside them; for who alone writes these files.

    Parameters
    ----------
    folder : Path
        Where, a folder that need not exist.
    names : collection of str, optional
        The names of the files; default: all.
    """
    for partial, name, _ in _partials(folder):
        if names is None or name in names:
            partial.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Remove what killed processes left, as far as it cannot be what another one is writing now."""
    # Process numbers of another machine, or container, say nothing here: hence the age as well.
    with contextlib.suppress(OSError):
        for partial, _, process in _partials(path.parent, glob.escape(path.name)):
            old = time.time() - partial.stat().st_mtime > SECONDS_OF_A_WRITE
            if old and not _is_running(process):
                partial.unlink(missing_ok=True)


def _partials(folder: Path, pattern: str = "*") -> Iterator[tuple[Path, str, int]]:
    """Yield partial files, the names of the files that they were to be, and the processes that wrote them."""
    for partial in list(folder.glob(f"{pattern}.*.partial")):
        name, number, _ = partial.name.rsplit(".", 2)
        if number.isdecimal():
            yield partial, name, int(number)


def _is_running(process: int) -> bool:
    """Return whether a process of this machine runs; True where that cannot be asked without harm."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _about(error: OSError, path: Path) -> OSError:
    """Return an error of the same kind that names the file, which the system does not for a full disk."""
    if error.errno is None:
        return OSError(f"{path}: {error}")
    return OSError(error.errno, error.strerror or os.strerror(error.errno), str(path))


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where systems can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
