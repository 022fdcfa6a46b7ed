"""Locks: one process at a time writes a run, or the results in a folder."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import socket
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
# Windows, where nothing is locked.
except ImportError:
    fcntl = None

# What file systems say that know no locks. There the run goes on without.
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class InUse(RuntimeError):
    """Another process writes what this one wants to write."""


class Lock:
    """The right to write, which one process has at a time; in this process several may have it together.

    The system takes it away when the process ends, however it ends, so that a file that a killed process
    left blocks nobody. It is given back by `release`, or when the lock is forgotten.

    Parameters
    ----------
    file : Path
        The file that is locked, in a folder that exists; it says who holds it, and is removed at the end.

    Raises
    ------
    InUse
        Another process holds it; the message says which, where, and since when.
    OSError
        The file cannot be made.
    """

    def __init__(self, file: Path):
        path = file.resolve()
        _acquire(path)
        self.release = weakref.finalize(self, _release, path)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


@dataclass
class _Held:
    """A locked file of this process: how many locks share it, and its open descriptor, if it has one."""

    count: int
    descriptor: int | None


_held: dict[Path, _Held] = {}
_guard = threading.Lock()


def _acquire(path: Path) -> None:
    with _guard:
        if path not in _held:
            _held[path] = _Held(0, _locked(path))
        _held[path].count += 1


def _release(path: Path) -> None:
    with _guard:
        held = _held.get(path)
        # None in a process that was forked from the one that holds it.
        if held is None:
            return
        held.count -= 1
        if held.count == 0:
            del _held[path]
            if held.descriptor is not None:
                # In this order, so that nobody else's file is removed.
                path.unlink(missing_ok=True)
                os.close(held.descriptor)


def _locked(path: Path) -> int | None:
    """Lock a file, write into it who holds it, and return its descriptor; None where there are no locks."""
    if fcntl is None:
        return None
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            text = os.pread(descriptor, 10000, 0)
            os.close(descriptor)
            if error.errno in UNSUPPORTED:
                path.unlink(missing_ok=True)
                return None
            if isinstance(error, BlockingIOError):
                raise InUse(f"{path.parent} is in use by {_holder(text)}: {CURE}") from None
            raise
        if _is_at(descriptor, path):
            # On a full disk it stays empty, and locks nevertheless.
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _this_process(), 0)
            return descriptor
        # Who held it has removed it in between.
        os.close(descriptor)


CURE = "wait until it ends or stop it, or take another folder"


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _this_process() -> bytes:
    holder = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "command": shlex.join(sys.orig_argv)[:1000],
    }
    return json.dumps(holder).encode()


def _holder(text: bytes) -> str:
    """Return in words who wrote into the file."""
    try:
        holder = json.loads(text)
        words = "process {process} on {host} since {since} ({command})".format(**holder)
    # It was about to be written.
    except (ValueError, TypeError, LookupError):
        return "another process"
    return " ".join(words.split())


def _forget() -> None:
    """Leave the locks to the process that this one was forked from."""
    for held in _held.values():
        if held.descriptor is not None:
            os.close(held.descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
