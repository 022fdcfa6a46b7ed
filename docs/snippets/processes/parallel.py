"""Gradients shared by processes: DistributedDataParallel, started by spawn or by torchrun."""

import os

import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from torch.nn.parallel import DistributedDataParallel

import taichisoft as ts


def gradient(rank: int, size: int) -> torch.Tensor:
    """Return the gradient to the scale, of the views that this process has."""
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.Pixels(1.0, learn=True)))
    shared = DistributedDataParallel(renderer) if size > 1 else renderer
    views = [ts.Camera.orbit(3.0, 90.0 * i, 20.0, image_size=(32, 32)) for i in (0, 1)]
    mine = views[rank::size]
    loss = sum(shared(ts.shapes.mug(), view).alpha.mean() for view in mine) / len(mine)
    loss.backward()
    return next(renderer.parameters()).grad


def run(rank: int, size: int) -> None:
    """One process of the group."""
    dist.init_process_group("gloo", rank=rank, world_size=size)
    assert torch.allclose(gradient(rank, size), gradient(0, 1))
    dist.destroy_process_group()


if __name__ == "__main__":
    if "RANK" in os.environ:  # torchrun --nproc-per-node 2 parallel.py
        run(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    else:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29531")
        processes.spawn(run, args=(2,), nprocs=2)
