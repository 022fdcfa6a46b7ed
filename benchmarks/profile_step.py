"""Where the time of a step goes: `python -m benchmarks.profile_step`.

A second thread looks a thousand times a second which part of the code runs, and adds the time since its last
look to that part. It tells the forward pass from the backward one; torch's own backward pass, which is no
Python, is "autograd". The processor time of the thread that takes the steps says what a part costs there if
other programs run as well; the threads of the kernels are not in it.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
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

# Seconds between two looks, and after which the step is asked to let one happen.
INTERVAL = 1e-3
PATIENCE = 1e-5

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


class Looker(threading.Thread):
    """Looks at what the thread that made it runs, and adds the time since the last look to that part.

    Attributes
    ----------
    wall, own : dict of float
        Seconds of each part, by the wall clock and of processor time of that thread.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.wall: dict[str, float] = defaultdict(float)
        self.own: dict[str, float] = defaultdict(float)
        self._watched = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._watched)
        self._end = threading.Event()

    def run(self) -> None:
        """Look until the end."""
        last = self._now()
        while not self._end.wait(INTERVAL):
            part, now = part_of(sys._current_frames().get(self._watched)), self._now()
            self.wall[part] += now[0] - last[0]
            self.own[part] += now[1] - last[1]
            last = now

    def stop(self) -> None:
        """End it."""
        self._end.set()
        self.join()

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), time.clock_gettime(self._clock)


def profile(work: Work, seconds: float, warm_up: int = 3) -> dict[str, tuple[float, float]]:
    """Return the seconds of each part of a step, by the wall clock and of its thread, the longest first."""
    for _ in range(warm_up):
        work()
    patience = sys.getswitchinterval()
    looker, steps, begin = Looker(), 0, time.perf_counter()
    # Otherwise it would see little but operations of torch, which let other threads of Python run.
    sys.setswitchinterval(PATIENCE)
    try:
        looker.start()
        while steps == 0 or time.perf_counter() - begin < seconds:
            work()
            steps += 1
        looker.stop()
    finally:
        sys.setswitchinterval(patience)
    longest = sorted(looker.wall, key=looker.wall.__getitem__, reverse=True)
    return {part: (looker.wall[part] / steps, looker.own[part] / steps) for part in longest}


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
            whole = sum(wall for wall, _ in parts.values())
            result[name] = {"seconds": whole, "parts": parts}
            rows = [
                (part, f"{1e3 * wall:.2f}", f"{wall / whole:.1%}", f"{1e3 * own:.2f}")
                for part, (wall, own) in parts.items()
            ]
            columns = ("part", "ms", "share", "of the calling thread, ms")
            table = markdown_table(columns, rows, right_aligned=True)
            text += f"\n## {name}\n\n{1e3 * whole:.2f} ms.\n\n{table}\n"
    write_results(options.out, result, text)


if __name__ == "__main__":
    main()
