"""What the adjoints of the two passes share: sums of their results, and the derivative of the derivative."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.launch import Launch


def differentiate_adjoint(
    render: Callable[..., Tensor],
    upstream: Tensor,
    inputs: list[Tensor],
    cotangents: tuple[Tensor | None, ...],
    needed: tuple[bool, ...],
) -> list[Tensor | None]:
    """Return the gradients of ``<d render / d inputs, cotangents>`` in `upstream` and the inputs.

    `cotangents` has one entry for each input, `needed` (whether that gradient is) one for the upstream first.
    """
    with torch.enable_grad():
        # An input whose gradient is only to be differentiated, not differentiated in, requires one too.
        required = [n or c is not None for n, c in zip(needed[1:], cotangents, strict=True)]
        upstream = upstream.detach().requires_grad_()
        inputs = [x.detach().requires_grad_(r) for x, r in zip(inputs, required, strict=True)]
        chosen = [(x, c) for x, c in zip(inputs, cotangents, strict=True) if c is not None]
        first = torch.autograd.grad(
            render(*inputs),
            [x for x, _ in chosen],
            upstream,
            create_graph=True,
            allow_unused=True,
        )
    pairs = [
        (g, c) for g, (_, c) in zip(first, chosen, strict=True) if g is not None and g.requires_grad
    ]
    wanted = [x for x, n in zip((upstream, *inputs), needed, strict=True) if n]
    found: Iterator[Tensor | None] = iter([None] * len(wanted))
    if pairs and wanted:
        gradients, seeds = zip(*pairs, strict=True)
        found = iter(torch.autograd.grad(gradients, wanted, list(seeds), allow_unused=True))
    return [next(found) if n else None for n in needed]


def points_gradient(buffers: RasterJob, grad_corners: Tensor) -> Tensor:
    """Sum gradients of face corners, (N * slices * 3 * 4), into those of the points, (P, 4)."""
    rows = buffers.scene.points.shape[0]
    if not buffers.num_faces:
        return grad_corners.new_zeros(rows, 4)
    return buffers.gather_corners(grad_corners, buffers.scene.faces, rows, 4)


def table_gradient(grad_cells: Tensor, launch: Launch, cells: Tensor) -> Tensor:
    """Sum the tables of all workers into one of the shape of the cells."""
    return grad_cells[: launch.workers * cells.numel()].reshape(launch.workers, -1, 4).sum(0)


def width_gradient(grad_log_width: Tensor, numbers: Tensor) -> Tensor:
    """Return the gradient of a width, given that of its logarithm and the numbers of its curve."""
    return (grad_log_width * numbers[0]).to(torch.float64).reshape(())


def flat(x: Tensor) -> Tensor:
    """Return a detached, contiguous, flat array for a kernel."""
    return x.detach().contiguous().reshape(-1)
