"""Launches of kernels, and how often the host waits for the device, in one step.

Launches are those of the kernels of this library; what Taichi launches for its reverse mode, in second
derivatives, is not counted. Waits are those that torch notices on CUDA; those inside of Taichi, which waits
where an argument of a kernel is not on the device, are not among them.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.gpu.plan import Plan
from benchmarks.gpu.report import Say
from benchmarks.renderers import Work, fused, fused_color
from benchmarks.scenes import Setting
from taichisoft.engine.kernels.direct import Direct

WAITS = "called a synchronizing CUDA operation"


def count(plan: Plan, say: Say) -> None:
    """Say how many there are in steps with and without colours."""
    setting = Setting(0, 16, 2) if plan.quick else Setting(3, 256, sigma=1e-5)
    for kind, make in {"silhouette": fused, "colour": fused_color}.items():
        renderer = make(Setting(setting.subdivisions, setting.size, device=plan.device))
        for name, work in {
            "forward": renderer.forward,
            "forward+backward": renderer.both,
        }.items():
            # Compiles, and fills what is kept from one step to the next.
            plan.awaited(work)()
            plan.awaited(work)()
            launched = launches(work)
            waited = waits(work) if plan.device == "cuda" else None
            say(
                {
                    "scene": f"{kind}, {setting.faces} faces",
                    "work": name,
                    "launches": sum(launched.values()),
                    "kernels": dict(launched.most_common()),
                    "waits": None if waited is None else sum(waited.values()),
                    "waits_at": None if waited is None else dict(waited.most_common()),
                }
            )


def launches(work: Work) -> Counter[str]:
    """Return how often each kernel is launched by some work."""
    found: Counter[str] = Counter()
    with _noting_launches(found):
        work()
    return found


@contextmanager
def _noting_launches(found: Counter[str]) -> Iterator[None]:
    launch = Direct.__call__

    def noted(self: Direct, *arguments: object) -> None:
        found[self._name] += 1
        launch(self, *arguments)

    Direct.__call__ = noted
    try:
        yield
    finally:
        Direct.__call__ = launch


def waits(work: Work) -> Counter[str]:
    """Return how often the host waits for CUDA in some work, by the places in the source where it does."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return Counter(
        f"{Path(one.filename).name}:{one.lineno}" for one in said if WAITS in str(one.message)
    )
