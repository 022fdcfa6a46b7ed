"""``taichisoft demo``: three small optimisations, and a picture of each."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from taichisoft.base.backend import init
from taichisoft.cli.command import OK, Command, add_backend
from taichisoft.cli.demonstrations.learned import compare_softnesses
from taichisoft.cli.demonstrations.pose import find_pose
from taichisoft.cli.demonstrations.shape import find_shape

# Each writes the file of its name, and returns in words what was found.
PICTURES: Mapping[str, Callable[[Path], str]] = MappingProxyType(
    {"pose.gif": find_pose, "shape.gif": find_shape, "learned.png": compare_softnesses}
)


class Demo(Command):
    """Show in a minute what this is."""

    name = "demo"
    summary = "find a pose and a shape, compare a learned softness with fixed ones, and draw it"
    example = "taichisoft demo --out pictures"
    notes = (
        "It writes pose.gif, shape.gif and learned.png, and says in a line each what is in them. Where\n"
        "masks lie over each other, what lacks is blue, and what is too much orange."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--out",
            type=Path,
            default=Path("taichisoft-demo"),
            help="folder of the pictures, which is made if it is missing (default: %(default)s)",
        )
        add_backend(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Make one picture after the other."""
        _make_folder(arguments.out)
        init(arguments.backend)
        print("kernels are compiled the first time: up to a minute in all", flush=True)
        for name, make in PICTURES.items():
            path, begin = arguments.out / name, time.perf_counter()
            found = make(path)
            print(f"{path} ({time.perf_counter() - begin:.0f} s): {found}", flush=True)
        return OK


def _make_folder(folder: Path) -> None:
    """Make a folder if it is missing; OSError unless all pictures can be written there.

    Before the work, so that none is lost.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--out must be a folder, got the file {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"--out must be a folder that can be made, got {folder}: {error.strerror}"
        ) from error
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"--out must be a folder that can be written to, got {folder}")
    for name in PICTURES:
        if (folder / name).is_dir():
            raise IsADirectoryError(f"--out must be a folder without a folder {name}, got {folder}")
