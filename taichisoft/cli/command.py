"""Commands of the command line, and the options that several of them have."""

from __future__ import annotations

import argparse
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from taichisoft.base.backend import BACKENDS
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.softness.coverage import Gaussian

# Pixels along an axis of an image; steps and starts; what torch takes as a seed; pixels of a softness.
LARGEST_SIZE = 32768
LARGEST_COUNT = 1_000_000
LARGEST_SEED = 2**64 - 1
SMALLEST_SCALE, LARGEST_SCALE = 1e-6, 1e6

# Exit codes: all is well; it was done, and what came of it is not good; it could not be done.
OK, NOT_OK, FAILED = 0, 1, 2


class Command(ABC):
    """One command: its name, its options, and what it does."""

    name: ClassVar[str]
    """Name on the command line."""

    summary: ClassVar[str]
    """What it does, in one line."""

    example: ClassVar[str]
    """A command line that works, for ``--help``."""

    @abstractmethod
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""

    notes: ClassVar[str] = ""
    """What else ``--help`` has to say, at its end."""

    @abstractmethod
    def run(self, arguments: argparse.Namespace) -> int:
        """Do it, and return the exit code: `OK` or `NOT_OK`. Errors end as one line, and as `FAILED`."""


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add ``--backend``."""
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        help="where the kernels run (default: $TAICHISOFT_BACKEND, else the best one present)",
    )


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) of ``WIDTHxHEIGHT``, each from 1 to `LARGEST_SIZE`."""
    sizes = [_whole_number(part) for part in text.lower().split("x")]
    if len(sizes) != 2 or not all(1 <= size <= LARGEST_SIZE for size in sizes):
        raise argparse.ArgumentTypeError(
            f"must be WIDTHxHEIGHT in pixels, such as 640x480, each from 1 to {LARGEST_SIZE}, "
            f"got {text!r}"
        )
    return sizes[1], sizes[0]


def parse_count(text: str) -> int:
    """Return an int from 1 to `LARGEST_COUNT`."""
    count = _whole_number(text)
    if not 1 <= count <= LARGEST_COUNT:
        raise argparse.ArgumentTypeError(
            f"must be a positive whole number up to {LARGEST_COUNT}, got {text!r}"
        )
    return count


def parse_seed(text: str) -> int:
    """Return an int from 0 to `LARGEST_SEED`."""
    seed = _whole_number(text)
    if not 0 <= seed <= LARGEST_SEED:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 0 to {LARGEST_SEED}, got {text!r}"
        )
    return seed


def check_output(path: Path, option: str) -> None:
    """Raise OSError unless a file can be written there, with the name of its option.

    Before the work, so that none is lost.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{option} must be a file, got the folder {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{option} must be in an existing folder, got {path}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise PermissionError(f"{option} must be a place that can be written to, got {path}")


def renderer_of(softness: str) -> SoftRasterizer:
    """Return the renderer that ``--softness`` names: a scale in pixels, or a shipped softness.

    Raises
    ------
    ValueError
        It is neither a number from 0 nor a name.
    """
    scale = scale_of(softness)
    if scale is None:
        return SoftRasterizer.pretrained(softness)
    return SoftRasterizer.hard() if scale == 0 else SoftRasterizer(Gaussian(scale))


def scale_of(softness: str) -> float | None:
    """Return the scale in pixels that ``--softness`` is, 0 for hard edges; None if it is a name.

    Raises
    ------
    ValueError
        A number that is no scale.
    """
    try:
        scale = float(softness)
    except ValueError:
        return None
    if scale != 0 and not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise ValueError(
            f"--softness must be 0, from {SMALLEST_SCALE:g} to {LARGEST_SCALE:g} pixels, or a name, "
            f"got {softness}"
        )
    return scale


def _whole_number(text: str) -> int:
    """Return the number that is written in at most 20 digits, -1 if the text is none."""
    return int(text) if text.isdecimal() and len(text) <= 20 else -1
