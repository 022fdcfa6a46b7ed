"""What a machine with a GPU shows, in at most eight minutes: `python -m benchmarks.gpu --backend cuda`.

Which tests pass, times next to other renderers, launches of kernels, waits of the host, and memory, as JSON
and as a page, both of which are written anew after every part. A part that crashes, or that takes longer than
it may, is told as such. Without CUDA, ``--backend vulkan`` runs the same.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import driver
from benchmarks.gpu.page import to_markdown
from benchmarks.gpu.parts import (
    PEER,
    TESTS,
    Outcome,
    Part,
    State,
    end_all,
    part_named,
    parts,
    run_part,
)
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.report import say
from meta.runs.folder import write_json_atomically, write_text_atomically
from taichisoft.base.vulkan_device import vulkan_devices

BACKENDS = ("cuda", "vulkan", "metal", "cpu")
MINUTES = 8.0
# Cores for each process that compiles kernels and tests them.
CORES = 2
NO_CUDA_IN_TORCH = (
    "there is a CUDA device ({devices}), but torch {torch} {why}. Install a torch for a driver of CUDA "
    "{driver}, as https://pytorch.org/get-started/locally/ says, for example\n\n"
    "    {python} -m pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126\n"
)
NO_VULKAN = (
    "no Vulkan device: install the driver of the card, or Mesa's software one (Debian and Ubuntu: apt-get "
    "install libvulkan1 mesa-vulkan-drivers)"
)


def missing(backend: str) -> str | None:
    """Return what is missing for a backend, and how to get it; None if nothing is."""
    if backend == "vulkan":
        return None if vulkan_devices() else NO_VULKAN
    if backend != "cuda":
        return None
    try:
        version, devices = driver.cuda_devices()
    except driver.NoDeviceError as error:
        return driver.NO_DEVICE.format(reason=error)
    if torch.cuda.is_available():
        return None
    built = torch.version.cuda
    why = "has no CUDA" if built is None else f"is for CUDA {built}, which cannot use it"
    return NO_CUDA_IN_TORCH.format(
        devices=", ".join(devices),
        torch=torch.__version__,
        why=why,
        driver=version,
        python=sys.executable,
    )


def outcomes(plan: Plan, seconds: float, chosen: str) -> Iterator[tuple[str, Outcome]]:
    """Run all parts whose name has that word, one group after the other, until the time is over."""
    end = time.monotonic() + seconds
    for together in parts():
        wanted = [part for part in together if chosen in part.name]
        side_by_side = max(1, min(len(wanted), (os.cpu_count() or 1) // CORES))

        def run(part: Part, side_by_side: int = side_by_side, count: int = len(wanted)) -> Outcome:
            # Those that run one after the other share the time that one may take.
            share = part.share * seconds * side_by_side / count
            return run_part(part, plan, min(share, end - time.monotonic()))

        with ThreadPoolExecutor(side_by_side) as pool:
            try:
                for part, outcome in zip(wanted, pool.map(run, wanted), strict=True):
                    yield part.name, outcome
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                end_all()
                raise


def has_failed(name: str, outcome: Outcome) -> bool:
    """Return whether a part or one of its tests has failed. Other renderers are not ours to fail for."""
    if name.startswith(PEER):
        return False
    if name.startswith(TESTS) and any(row["outcome"] == "failed" for row in outcome.rows):
        return True
    return outcome.state is State.FAILED


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write JSON and a page; return 1 if something failed, 2 if nothing could be run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=BACKENDS, default="cuda")
    parser.add_argument("--out", type=Path, default=Path("results/gpu.json"), help="JSON file")
    parser.add_argument("--page", type=Path, help="Markdown file; by default beside the other")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all parts together")
    parser.add_argument("--quick", action="store_true", help="small scenes and few tests")
    parser.add_argument("--only", default="", help="parts whose name has this in it")
    parser.add_argument("--part", help="run this part here, and print its rows")
    options = parser.parse_args(arguments)
    plan = Plan(options.backend, options.quick)
    if options.part:
        part_named(options.part).measure(plan, say)
        return 0
    lacking = missing(options.backend)
    if lacking is not None:
        print(lacking, file=sys.stderr)
        return 2
    given = sys.argv[1:] if arguments is None else arguments
    begin, failed = time.monotonic(), False
    result: dict[str, Any] = {
        "command": f"python -m benchmarks.gpu {shlex.join(given)}".rstrip(),
        "backend": plan.backend,
        "quick": plan.quick,
        "minutes": options.minutes,
        "parts": {},
    }
    for name, outcome in outcomes(plan, 60 * options.minutes, options.only):
        print(f"{name}: {outcome.state.value}, {outcome.seconds:.0f} s", flush=True)
        failed |= has_failed(name, outcome)
        result["parts"][name] = outcome.record()
        result["seconds"] = time.monotonic() - begin
        _write(options.out, options.page or options.out.with_suffix(".md"), result)
    return int(failed)


def _write(out: Path, page: Path, result: dict[str, Any]) -> None:
    for path in (out, page):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(out, result)
    write_text_atomically(page, to_markdown(result))


if __name__ == "__main__":
    # Ended from outside it ends its parts, as it does when it is interrupted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
