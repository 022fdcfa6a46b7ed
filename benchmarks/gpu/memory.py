"""Peak memory of a step."""

from __future__ import annotations

import torch

from benchmarks.bench import peak_memory
from benchmarks.gpu.cases import Torus
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.report import Say
from benchmarks.renderers import fused, fused_color
from benchmarks.scenes import Setting


def measure_memory(plan: Plan, say: Say) -> None:
    """Say how much a forward + backward takes.

    With CUDA that is what torch allocates for it, and what is taken of the device beside by then: by Taichi,
    which takes it once, and by the driver. Elsewhere it is the growth of the memory of a process.
    """
    if plan.device != "cuda":
        for setting in (Setting(0, 16),) if plan.quick else (Setting(3, 256), Setting(4, 512)):
            say({"scene": setting.label, "host_mb": peak_memory(setting)})
        return
    large = Torus(Setting(size=1024, views=1, sigma=1e-5, device=plan.device))
    small = Setting(0, 16, device=plan.device) if plan.quick else Setting(4, 512, device="cuda")
    for setting in (small,) if plan.quick else (small, large):
        for kind, make in {"silhouette": fused, "colour": fused_color}.items():
            work = plan.awaited(make(setting).both)
            work()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            work()
            free, total = torch.cuda.mem_get_info()
            say(
                {
                    "scene": f"{kind}, {setting.label}",
                    "torch_mb": (torch.cuda.max_memory_allocated() - before) / 2**20,
                    "beside_mb": (total - free - torch.cuda.memory_reserved()) / 2**20,
                }
            )
