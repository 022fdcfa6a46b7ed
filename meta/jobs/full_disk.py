"""Full disks: which errors tell of one, and how to go on."""

from __future__ import annotations

import errno

# Nothing is left, or nothing of what is allowed.
_FULL = {errno.ENOSPC, errno.EDQUOT}


def is_full(error: BaseException) -> bool:
    """Return whether an error tells of a full disk."""
    return isinstance(error, OSError) and error.errno in _FULL


def cure(error: BaseException) -> str:
    """Return what to add to the message of an error: how to go on if a disk is full, or nothing."""
    if not is_full(error):
        return ""
    return ". Free some space, then the same command goes on; what was done before is kept"
