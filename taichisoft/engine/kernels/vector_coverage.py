"""Kernels of coverage on the CPU, in whole vectors: sums or maxima of projected faces, and the adjoint."""

from functools import cache
from types import SimpleNamespace

from taichisoft.engine.kernels.bundles import Corners
from taichisoft.engine.kernels.kernel import vector_kernel
from taichisoft.engine.kernels.launch import Launch
from taichisoft.engine.kernels.vector_accumulate import Accumulation, accumulate_functions
from taichisoft.engine.kernels.vector_adjoint import (
    AdjointArrays,
    FoundGradients,
    adjoint_functions,
)


@cache
def vector_coverage_kernels(real):
    """Compile-on-first-use kernels for a float type."""
    forward = accumulate_functions(real)
    backward = adjoint_functions(real)

    @vector_kernel(real)
    def accumulate(
        corners: Corners,
        near: float,  # scene units
        set_up: Launch,
        launch: Launch,
        arrays: Accumulation,  # frames and rows of the faces are written
    ):
        for slot in range(set_up.slots):
            if slot % set_up.stride == 0:
                forward.set_up(
                    slot // set_up.stride,
                    set_up.slots // set_up.stride,
                    corners,
                    arrays.curve.numbers[1],
                    near,
                    arrays.tiles,
                    arrays.faces,
                )
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                forward.accumulate(slot // launch.stride, launch.slots // launch.stride, arrays)

    @vector_kernel(real)
    def accumulate_adjoint(
        tiling: Launch,  # of rows of blocks
        launch: Launch,
        arrays: AdjointArrays,
        gradients_out: FoundGradients,
    ):
        for slot in range(tiling.slots):
            if slot % tiling.stride == 0:
                workers = tiling.slots // tiling.stride
                rows = arrays.tiles.images * arrays.tiles.rows
                worker = slot // tiling.stride
                for row in range(rows * worker // workers, rows * (worker + 1) // workers):
                    backward.tile(row, arrays)
        for slot in range(launch.slots):
            if slot % launch.stride == 0:
                worker = slot // launch.stride
                backward.pull_back(worker, launch.slots // launch.stride, arrays, gradients_out)

    return SimpleNamespace(accumulate=accumulate, accumulate_adjoint=accumulate_adjoint)
