"""Sums of the gradients that the workers of an adjoint have found."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.launch import Launch


def points_gradient(job: RasterJob, grad_corners: Tensor) -> Tensor:
    """Sum gradients of face corners, (N * slices * 3 * 4), into those of the points, (P, 4)."""
    rows = job.scene.points.shape[0]
    if not job.num_faces:
        return grad_corners.new_zeros(rows, 4)
    return job.gather_corners(grad_corners, job.scene.faces, rows, 4)


def table_gradient(grad_cells: Tensor, launch: Launch, cells: Tensor) -> Tensor:
    """Sum the tables of all workers into one of the shape of the cells."""
    return grad_cells[: launch.workers * cells.numel()].reshape(launch.workers, -1, 4).sum(0)


def width_gradient(grad_log_width: Tensor, numbers: Tensor) -> Tensor:
    """Return the gradient of a width, given that of its logarithm and the numbers of its curve."""
    return (grad_log_width * numbers[0]).to(torch.float64).reshape(())
