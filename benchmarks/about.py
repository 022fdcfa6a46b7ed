"""The head of every benchmark's results, which says what was run on what, and the files of the results."""

from __future__ import annotations

import contextlib
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import taichisoft as ts
from meta.runs.folder import write_json_atomically, write_text_atomically
from taichisoft.base.backend import threads
from taichisoft.base.engine import ENGINE
from taichisoft.base.processor import processor


def about(module: str, arguments: list[str] | None) -> dict[str, object]:
    """Return command, processor, threads, backend, engine and versions."""
    given = sys.argv[1:] if arguments is None else arguments
    backend = ts.backend()
    return {
        "command": f"python -m {module} {shlex.join(given)}".rstrip(),
        "processor": processor(),
        "kernel_threads": threads(),
        "torch_threads": torch.get_num_threads(),
        "backend": backend,
        "engine": f"{ENGINE.name} {version(ENGINE.name)}",
        "taichisoft": ts.__version__,
        "torch": torch.__version__,
    }


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    found = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def headline(head: dict[str, object]) -> str:
    """Return command, processor and threads for the first paragraph of a report."""
    count = head["kernel_threads"]
    used = f"{count} thread{'s' * (count != 1)}"
    return f"`{head['command']}`; {head['processor']}, {used}"


def write_results(stem: Path, result: dict[str, object], text: str | None = None) -> None:
    """Write JSON and, with a text, Markdown to files of that stem, and print the text."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(stem.with_suffix(".json"), result)
    if text is not None:
        write_text_atomically(stem.with_suffix(".md"), text)
        print(text)
