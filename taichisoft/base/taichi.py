"""Taichi, imported in this one place.

Everything else takes ``ti`` from here, so that its banner and its driver warnings are silenced once and
a compatible fork could be swapped in with one line.
"""

import os

os.environ.setdefault("ENABLE_TAICHI_HEADER_PRINT", "False")
# Already while it is imported: in a notebook it has something to say then.
os.environ.setdefault("TI_LOG_LEVEL", "error")

import taichi as ti

# A missing driver of a backend nobody asked for is no news; one that was asked for is an error of ours.
ti.set_logging_level(ti.ERROR)

__all__ = ["ti"]
