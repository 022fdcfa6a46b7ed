"""Warnings that name the line of the user, however deep in the library their cause is found."""

from __future__ import annotations

import sys
import warnings


def warn_user(message: str) -> None:
    """Warn with the line that called the library: the nearest one outside of it."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_of(frame.f_globals.get("__name__", ""), package):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def _is_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
