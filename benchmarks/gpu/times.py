"""Times of forward and forward + backward of every scene."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from benchmarks.gpu.cases import Make, renderers
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.report import Say
from benchmarks.timing import measure

ROUNDS, SECONDS = 50, 1.0


def time_scenes(plan: Plan, say: Say) -> None:
    """Say the times of our renderer."""
    for label, make in renderers(plan):
        for row in times(plan, label, make):
            say(row)


def times(plan: Plan, label: str, make: Make) -> Iterator[dict[str, object]]:
    """Yield a row for each kind of work: milliseconds, and seconds of the first one, which compiles."""
    begin = time.perf_counter()
    # To be made it draws the scene once.
    renderer = make()
    for name, work in {"forward": renderer.forward, "forward+backward": renderer.both}.items():
        awaited = plan.awaited(work)
        awaited()
        first = time.perf_counter() - begin
        found = 1e3 * measure(awaited, rounds=ROUNDS, warm_up=1, seconds=SECONDS)
        low, median, high = np.percentile(found, [25, 50, 75])
        yield {
            "scene": label,
            "renderer": renderer.name,
            "work": name,
            "first_s": first,
            "ms": median,
            "low_ms": low,
            "high_ms": high,
            "rounds": len(found),
        }
        begin = time.perf_counter()
