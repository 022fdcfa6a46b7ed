"""What a run is on: devices, drivers and versions."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

import torch

import taichisoft as ts
from benchmarks.about import versions
from benchmarks.gpu.driver import NoDeviceError, cuda_devices
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.report import Say
from taichisoft.base.backend import threads
from taichisoft.base.engine import ENGINE
from taichisoft.base.processor import processor
from taichisoft.base.vulkan_device import vulkan_devices

PACKAGES = (ENGINE.name, "numpy", "nvdiffrast", "pytorch3d", "gsplat")


def describe(plan: Plan, say: Say) -> None:
    """Say what the machine is, and which backend runs."""
    say(
        {
            "backend": ts.backend(),
            "tensors_on": plan.device,
            "processor": processor(),
            "processors": os.cpu_count(),
            "kernel_threads": threads(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "taichisoft": ts.__version__,
            "torch": torch.__version__,
            "torch_cuda": torch.version.cuda,
            **versions(*PACKAGES),
            **_cuda(),
            "vulkan_devices": [name for name, _ in vulkan_devices()],
        }
    )


def _cuda() -> dict[str, object]:
    """Return devices and driver of CUDA; nothing without one."""
    try:
        version, names = cuda_devices()
    except NoDeviceError:
        return {}
    found: dict[str, object] = {"cuda_driver": version, "cuda_devices": names}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found["compute_capability"] = f"{properties.major}.{properties.minor}"
        found["memory_mb"] = properties.total_memory / 2**20
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
        if done.returncode == 0:
            found["nvidia_driver"] = done.stdout.split("\n")[0].strip()
    return found
