"""Scratch memory of launches on every backend: where kernels run, so that it is not copied back and forth."""

from __future__ import annotations

import threading
from typing import Any

import torch

from taichisoft.base.backend import backend
from taichisoft.base.taichi import ti
from taichisoft.engine.job import RasterJob
from taichisoft.engine.scratch import scratch


class _Kept(threading.local):
    """The arrays of a thread, which two launches never use at once."""

    def __init__(self) -> None:
        self.arrays: dict[tuple[str, torch.dtype], Any] = {}


_kept = _Kept()


def device_scratch(purpose: str, job: RasterJob, dtype: torch.dtype, size: int) -> Any:
    """Return flat memory for kernels, at least so large, that holds anything.

    It is overwritten when memory for the same purpose is asked for next. On the CPU and on CUDA it is a
    tensor, elsewhere an array of Taichi.

    Parameters
    ----------
    purpose : str
    job : RasterJob
        What it is for.
    dtype : torch.dtype
        float32, float64 or int32.
    size : int
        Numbers.
    """
    if job.on_cpu and job.points.is_cpu:
        return scratch(purpose, dtype, max(size, 1))
    if backend() in ("cpu", "cuda"):
        return torch.empty(max(size, 1), dtype=dtype, device=job.points.device)
    key = (purpose, dtype)
    array = _kept.arrays.get(key)
    if array is None or array.shape[0] < size:
        _kept.arrays.pop(key, None)
        room = 1 << max(size - 1, 1).bit_length()
        array = ti.ndarray(ti.i32 if dtype == torch.int32 else ti.f32, room)
        _kept.arrays[key] = array
    return array
