"""Commands of the command line, and the options that several of them have."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from typing import ClassVar

from taichisoft.base.backend import BACKENDS
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.softness.coverage import Gaussian


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

    @abstractmethod
    def run(self, arguments: argparse.Namespace) -> None:
        """Do it. Errors of the library and of the system end as one line."""


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add ``--backend``."""
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        help="where the kernels run (default: $TAICHISOFT_BACKEND, else the best one present)",
    )


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) of ``WIDTHxHEIGHT``."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(
            f"must be WIDTHxHEIGHT in pixels, such as 640x480, got {text!r}"
        )
    return int(parts[1]), int(parts[0])


def parse_count(text: str) -> int:
    """Return a positive int."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive whole number, got {text!r}")
    return int(text)


def renderer_of(softness: str) -> SoftRasterizer:
    """Return the renderer that ``--softness`` names: a scale in pixels, or a shipped softness.

    Raises
    ------
    ValueError
        It is neither a number from 0 nor a name.
    """
    try:
        scale = float(softness)
    except ValueError:
        return SoftRasterizer.pretrained(softness)
    return SoftRasterizer.hard() if scale == 0 else SoftRasterizer(Gaussian(scale))
