"""Versions of the software that made a result."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

import taichisoft


def versions() -> dict[str, str]:
    """Return the versions of taichisoft, torch, taichi and Python."""
    return {
        "taichisoft": taichisoft.__version__,
        "torch": torch.__version__,
        "taichi": version("taichi"),
        "python": platform.python_version(),
    }
