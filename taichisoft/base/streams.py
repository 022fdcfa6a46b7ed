"""CUDA streams: kernels of Taichi run on the default one, wherever the caller is, and are kept in order.

Taichi 1.7.4 launches on the default stream of the first device, which it makes the current one
(``runtime/cuda/kernel_launcher.cpp``). Streams that torch makes do not wait for that stream, nor it for them:
a kernel could read what is not written yet, and what it writes could be read, or its memory be given away,
while it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

# The device that Taichi runs on: the first that the process sees.
FIRST = 0


def check_device(device: torch.device, name: str) -> None:
    """Raise ValueError if a tensor is on a CUDA device other than the one that Taichi runs on."""
    if device.type == "cuda" and device.index not in (None, FIRST):
        raise ValueError(
            f"{name} must be on cuda:{FIRST}, the one CUDA device that kernels run on, got {device}; to use "
            f"another device, start the process with CUDA_VISIBLE_DEVICES={device.index}, where it is cuda:0"
        )


@contextmanager
def in_order(arguments: Sequence[object]) -> Iterator[None]:
    """Let kernels that are launched inside come after and before all else on the current stream.

    The streams wait for each other on the device; the host does not wait. On the default stream, and without
    tensors of a CUDA device, which Taichi copies itself, there is nothing to do. The current device stays.

    Parameters
    ----------
    arguments : sequence
        Of the kernel.

    Raises
    ------
    RuntimeError
        The current stream is being captured into a CUDA graph, which kernels cannot be part of.
    """
    if not any(getattr(argument, "is_cuda", False) for argument in arguments):
        yield
        return
    current, default = torch.cuda.current_stream(FIRST), torch.cuda.default_stream(FIRST)
    aside = current != default
    if aside and torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "no render is possible while a CUDA graph is captured: Taichi launches kernels on the default "
            "stream; render outside of torch.cuda.graph"
        )
    with torch.cuda.device(FIRST):
        if aside:
            default.wait_stream(current)
        try:
            yield
        finally:
            if aside:
                current.wait_stream(default)
