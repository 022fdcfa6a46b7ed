"""``taichisoft info``: what is installed, where the kernels run, and what is shipped."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import version

import torch

from taichisoft.base.backend import available_backends, backend, cache_folder, threads
from taichisoft.base.engine import ENGINE
from taichisoft.base.version import __version__
from taichisoft.base.vulkan_device import vulkan_devices
from taichisoft.cli.command import OK, Command
from taichisoft.softness.pretrained import pretrained_names


class Info(Command):
    """Say what there is."""

    name = "info"
    summary = "say which versions, backends and devices there are, and which backend would run"
    example = "taichisoft info"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add no options."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Print lines of a name and what belongs to it."""
        for name, value in describe().items():
            print(f"{name + ':':<12}{value}")
        return OK


def describe() -> dict[str, str]:
    """Return what `Info` prints. Starts the backend, to say what really runs.

    Raises
    ------
    ValueError, RuntimeError
        The environment asks for a backend that is unknown or not there.
    """
    runs = backend()
    present = (name for name, there in available_backends().items() if there)
    return {
        "taichisoft": __version__,
        "python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        "torch": torch.__version__,
        ENGINE.name: version(ENGINE.name),
        "backend": f"{runs} (present: {', '.join(present)})",
        "devices": ", ".join(_devices()) or "the CPU alone",
        "threads": f"{threads()} of the kernels, {torch.get_num_threads()} of torch",
        "cache": _cache(),
        "softnesses": ", ".join(pretrained_names()),
    }


def _devices() -> list[str]:
    found = [f"{name} (Vulkan)" for name, _ in vulkan_devices()]
    if torch.cuda.is_available():
        names = (torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        found += [f"{name} (CUDA)" for name in names]
    return found


def _cache() -> str:
    """Return the folder of compiled kernels and its size."""
    folder = cache_folder()
    files = [file for file in folder.glob("*") if file.is_file()]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    return f"{folder} ({len(files)} files, {megabytes:.1f} MB)"
