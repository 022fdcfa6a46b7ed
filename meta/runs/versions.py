"""Versions of the software that made a result, and the processor that it was made on."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

import taichisoft
from taichisoft.base.engine import ENGINE
from taichisoft.base.processor import processor


def versions() -> dict[str, str]:
    """Return the versions of taichisoft, torch, the engine and Python, and the processor."""
    return {
        "taichisoft": taichisoft.__version__,
        "torch": torch.__version__,
        ENGINE.name: version(ENGINE.name),
        "python": platform.python_version(),
        "processor": processor(),
    }
