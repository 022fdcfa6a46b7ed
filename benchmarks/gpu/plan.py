"""What a run is asked for: the backend, where the tensors are, and how much of everything."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.timing import Work


@dataclass(frozen=True)
class Plan:
    """What all parts of a run share.

    Parameters
    ----------
    backend : str
        That runs the kernels.
    quick : bool
        Whether small scenes and few tests will do: to see that it runs, not how fast.
    """

    backend: str
    quick: bool

    @property
    def device(self) -> str:
        """Where the tensors are: with CUDA there, so that nothing is copied."""
        return "cuda" if self.backend == "cuda" else "cpu"

    def awaited(self, work: Work) -> Work:
        """Return work that ends when CUDA has done it; Taichi waits for other devices, to copy results."""
        if self.device != "cuda":
            return work

        def run() -> object:
            result = work()
            torch.cuda.synchronize()
            return result

        return run
