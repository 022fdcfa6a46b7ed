"""What the processes of torchrun exchange: ``torchrun -m tests.meta.runs.distributed_worker FOLDER``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from meta.learning.distributed import KERNEL_THREADS, join


def report() -> tuple[int, dict]:
    """Return the rank and what this process gets."""
    group = join("gloo", 60.0)
    rank = group.rank
    # Added in the order of ranks this is (1e16 + 1) - 1e16 = 0, in another one 1.
    value = torch.tensor([1e16, 1.0, -1e16][rank], dtype=torch.float64)
    got = {
        "size": group.size,
        "sum": group.sum(value).item(),
        "matrix": group.sum(torch.full((2, 3), float(rank + 1))).tolist(),
        "empty": list(group.sum(torch.zeros(0, 4)).shape),
        "gathered": group.gather({"rank": rank, "text": "x" * rank, "tensor": torch.tensor(rank)}),
        "first": [group.first("a"), group.first("a")],
        "threads": os.environ[KERNEL_THREADS],
    }
    got["gathered"] = [{**one, "tensor": one["tensor"].item()} for one in got["gathered"]]
    group.close()
    return rank, got


if __name__ == "__main__":
    rank, got = report()
    Path(sys.argv[1], f"{rank}.json").write_text(json.dumps(got))
