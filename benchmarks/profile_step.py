"""Where the time of a step goes: `python -m benchmarks.profile_step`.

A timer interrupts the step a thousand times a second and looks which part of the code runs, to which the time
since the last look is added: while a kernel runs, looks have to wait. That takes next to no time from the
step, and tells the forward pass from the backward one. Of torch's own backward pass, which is no Python, what
comes before a function of Python is counted for that one.
"""

from __future__ import annotations

import argparse
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

import taichisoft as ts
from benchmarks.about import about, headline, write_results
from benchmarks.renderers import Work, fused, fused_color
from benchmarks.scenes import Setting
from benchmarks.workloads import workloads
from meta.config.families import PoseRun
from meta.learning.gradients import AntitheticSettings, MetaGradientSettings, UnrolledSettings
from meta.learning.settings import InnerLoop, TrainSettings
from meta.report.markdown import markdown_table
from meta.runs.trainer import Trainer

# Seconds between two looks.
INTERVAL = 1e-3

ROOT = str(Path(__file__).resolve().parent.parent) + "/"
LIBRARY = ROOT + str(Path(ts.__file__).resolve().parent.relative_to(ROOT)) + "/"

KERNELS = "kernels"
# What the files of the library do, by the beginnings of their names; the first that fits counts.
PARTS = (
    ("engine/kernels/", KERNELS),
    ("engine/projection", "projection"),
    ("engine/clipping", "projection"),
    ("engine/topology", "projection"),
    ("engine/scene", "projection"),
    ("engine/", "arrays of the kernels"),
    ("cameras/", "projection"),
    ("softness/aggregation/", "alpha"),
    ("render/image", "alpha"),
    ("softness/", "curves"),
    ("base/checks", "checks"),
    ("geometry/mesh", "checks"),
    ("geometry/", "loss and problem"),
)
# The same of what lies beside the library.
OTHERS = (
    ("tasks/", "loss and problem"),
    ("meta/learning/inner", "inner optimiser"),
    ("meta/", "rest of meta-training"),
)
TORCH_BACKWARD = ("autograd/graph.py", "autograd/function.py")


def part_of(frame: FrameType | None) -> str:
    """Return which part of a step a frame of the stack belongs to."""
    backward = _is_backward(frame)
    found = None
    while frame is not None and found is None:
        name = frame.f_code.co_filename
        if name.endswith(TORCH_BACKWARD):
            found = "autograd"
        elif name.startswith(LIBRARY):
            found = _first(PARTS, name.removeprefix(LIBRARY)) or "rest of a render"
        elif name.startswith(ROOT):
            found = _first(OTHERS, name.removeprefix(ROOT)) or "rest"
        frame = frame.f_back
    if found in (KERNELS, "arrays of the kernels", "alpha"):
        return f"{found}, {'backward' if backward else 'forward'}"
    return found or "rest"


def _is_backward(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "_engine_run_backward":
            return True
        frame = frame.f_back
    return False


def _first(parts: tuple[tuple[str, str], ...], name: str) -> str | None:
    return next((part for beginning, part in parts if name.startswith(beginning)), None)


@contextmanager
def looking(found: dict[str, float]) -> Iterator[None]:
    """Add up the seconds of the parts that run, until the block ends."""
    last = time.perf_counter()

    def look(_: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.perf_counter()
        found[part_of(frame)] += now - last
        last = now

    before = signal.signal(signal.SIGALRM, look)
    # System calls go on after an interruption.
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def profile(work: Work, seconds: float, warm_up: int = 3) -> dict[str, float]:
    """Return the seconds of each part of a step, the longest first."""
    for _ in range(warm_up):
        work()
    found: dict[str, float] = defaultdict(float)
    steps, begin = 0, time.perf_counter()
    with looking(found):
        while steps == 0 or time.perf_counter() - begin < seconds:
            work()
            steps += 1
    longest = sorted(found.items(), key=lambda item: -item[1])
    return {part: total / steps for part, total in longest}


def outer_step(gradient: MetaGradientSettings, problems: int, steps: int) -> Work:
    """Return a whole step of meta-training: drawing problems, the meta-gradient, the update."""
    trainer = Trainer(
        TrainSettings(
            families=(PoseRun(problems=problems),),
            gradient=gradient,
            inner=InnerLoop(steps=steps),
        )
    )
    return trainer.step


def works(mesh: Path | None) -> dict[str, Callable[[], Work]]:
    """Return what is profiled, by name, to be made when its turn comes."""
    setting = Setting(3, 64, sigma=1e-5)
    found: dict[str, Callable[[], Work]] = {
        f"{setting.label}, silhouettes": lambda: fused(setting).both,
        f"{setting.label}, colour": lambda: fused_color(setting).both,
    }
    for name, work in workloads(mesh).items():
        found[name] = lambda work=work: work
    for gradient in (AntitheticSettings(pairs=1), UnrolledSettings()):
        name = f"meta-training, {gradient.label}, 16 poses, 8 inner steps: one outer step"
        found[name] = lambda gradient=gradient: outer_step(gradient, 16, 8)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Profile, and write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/profile"), help="file stem")
    parser.add_argument("--mesh", type=Path, help="mesh file of Spot")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each step")
    parser.add_argument("--only", default="", help="profile only steps whose name has this in it")
    options = parser.parse_args(arguments)
    # Its tensors are too small for more.
    torch.set_num_threads(1)
    head = about("benchmarks.profile_step", arguments)
    result: dict[str, object] = {"about": head}
    text = f"# Where the time of a step goes\n\n{headline(head)}; backend {head['backend']}.\n"
    for name, make in works(options.mesh).items():
        if options.only in name:
            parts = profile(make(), options.seconds)
            whole = sum(parts.values())
            result[name] = {"seconds": whole, "parts": parts}
            rows = [(part, f"{1e3 * t:.2f}", f"{t / whole:.1%}") for part, t in parts.items()]
            table = markdown_table(("part", "ms", "share"), rows, right_aligned=True)
            text += f"\n## {name}\n\n{1e3 * whole:.2f} ms.\n\n{table}\n"
    write_results(options.out, result, text)


if __name__ == "__main__":
    main()
