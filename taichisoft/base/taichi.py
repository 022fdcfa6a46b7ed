"""Taichi, or quadrants in its place: imported in this one place.

Everything else takes ``ti`` from here, so that its banner and its driver warnings are silenced once, and
either engine serves.
"""

import os
from importlib import import_module

from taichisoft.base.engine import ENGINE

os.environ.setdefault(f"ENABLE_{ENGINE.name.upper()}_HEADER_PRINT", "False")
# Already while it is imported: in a notebook it has something to say then.
os.environ.setdefault(ENGINE.variable("LOG_LEVEL"), "error")

ti = import_module(ENGINE.name)

# A missing driver of a backend nobody asked for is no news; one that was asked for is an error of ours.
ti.set_logging_level(ti.ERROR)

__all__ = ["ti"]
