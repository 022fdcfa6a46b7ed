"""Parts of adjoints: the table of the slopes, and sums of the gradients that workers have found."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.engine.bridge import flat
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.bundles import Table
from taichisoft.engine.kernels.launch import Launch
from taichisoft.softness.curves import Curve


def slopes_table(curve: Curve, numbers: Tensor, cells: Tensor) -> Table:
    """Return the slopes of a curve, of which these are the numbers, for a kernel."""
    # Without slopes of its own they are not read.
    numbers = curve.slope_numbers(numbers) if curve.slopes else numbers
    return Table(curve.slope_pieces, numbers, flat(cells))


def points_gradient(job: RasterJob, grad_corners: Tensor, *, columns: int = 4) -> Tensor:
    """Sum gradients of face corners, (N * slices * 3 * columns), into those of the points, (P, 4)."""
    rows = job.scene.points.shape[0]
    if not job.num_faces:
        return grad_corners.new_zeros(rows, 4)
    found = job.gather_corners(grad_corners, job.scene.faces, rows, columns)
    return found if columns == 4 else torch.nn.functional.pad(found, (0, 4 - columns))


def table_gradient(grad_cells: Tensor, launch: Launch, cells: Tensor) -> Tensor:
    """Sum the tables of all workers into one of the shape of the cells."""
    return grad_cells[: launch.workers * cells.numel()].reshape(launch.workers, -1, 4).sum(0)


def tie_gradient(by_value: Tensor, like: Tensor) -> Tensor:
    """Return the gradient of the order of equal depths and its derivatives, (3,), of which the first counts.

    The others say how it changes with a difference of depths, which is 0.
    """
    return torch.nn.functional.pad(by_value.reshape(1), (0, 2)).to(like)


def width_gradient(grad_log_width: Tensor, numbers: Tensor) -> Tensor:
    """Return the gradient of a width, given that of its logarithm and the numbers of its curve."""
    return (grad_log_width * numbers[0]).to(torch.float64).reshape(())
