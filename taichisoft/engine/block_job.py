"""Block jobs: a raster job cut into blocks of pixels, for the kernels that work in whole vectors."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from taichisoft.base.backend import in_debug_mode
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.blocks import COLUMNS, block_rows
from taichisoft.engine.kernels.faces import FRAME
from taichisoft.engine.kernels.launch import CPU_WORKERS, Launch, launch_for
from taichisoft.engine.kernels.vector_bundles import Faces, Found, Tiles
from taichisoft.engine.kernels.vectors import has_vectors, lanes_of
from taichisoft.engine.scratch import scratch

# Blocks that a worker has room for, unless a single row has more: they should stay in the first cache.
PLACES = 2048


def works_in_blocks(job: RasterJob) -> bool:
    """Return whether the kernels that work in whole vectors can run a job."""
    return job.on_cpu and job.points.is_cpu and has_vectors() and not in_debug_mode()


class BlockJob:
    """The blocks of a job, and its faces as the kernels want them.

    Parameters
    ----------
    job : RasterJob
        On the CPU.
    """

    def __init__(self, job: RasterJob):
        self.job = job
        self.lanes = lanes_of(job.kernel_type)
        self.tiles = Tiles(
            job.images,
            job.height,
            job.width,
            -(-job.height // block_rows(job.kernel_type)),
            -(-job.width // COLUMNS),
        )

    @property
    def blocks(self) -> int:
        """Number of blocks of all images."""
        return self.tiles.images * self.tiles.rows * self.tiles.columns

    def unwritten_faces(self) -> Faces:
        """Return memory for the faces as they are to be set up, as many together as there are lanes."""
        room = -(-self.job.num_faces // self.lanes) * self.lanes
        return self.faces_of(
            self.job.points.new_empty(room * FRAME), torch.empty(2 * room, dtype=torch.int32)
        )

    def set_up_launch(self) -> Launch:
        """Workers that set faces up."""
        return launch_for(-(-self.job.num_faces // self.lanes), True, CPU_WORKERS)

    def tiling_launch(self) -> Launch:
        """Workers that cut rows of blocks out of images."""
        return launch_for(self.tiles.images * self.tiles.rows, True, CPU_WORKERS)

    def faces_of(self, frames: Tensor, rows: Tensor) -> Faces:
        """Return faces that have been set up."""
        job = self.job
        return Faces(frames, rows, job.face_image, job.face_start, job.num_faces, job.slices)

    @cached_property
    def band(self) -> int:
        """Rows of blocks that a worker owns at a time."""
        return -(-self.job.band // block_rows(self.job.kernel_type))

    def forward_launch(self) -> Launch:
        """Workers that own bands of rows of blocks."""
        return launch_for(self.tiles.images * -(-self.tiles.rows // self.band), True, CPU_WORKERS)

    def found(self, kept: int, launch: Launch) -> Found:
        """Return room for what the workers of a launch find, so many vectors a block."""
        rows = max(1, min(self.lanes, PLACES // self.tiles.columns))
        places = rows * self.tiles.columns
        size = launch.workers * places
        cells = scratch("cells", torch.int32, size, self.lanes)
        return Found(
            rows,
            places,
            scratch("blocks", torch.int32, size),
            cells,
            cells.view(-1),
            self.scratch("found", kept * size),
        )

    def scratch(self, purpose: str, vectors: int) -> Tensor:
        """Return scratch memory for vectors."""
        return scratch(purpose, self.job.points.dtype, vectors, self.lanes)

    def tiled_indices(self, blocks: int) -> Tensor:
        """Return indices for each pixel of so many blocks, not yet written."""
        return torch.empty(blocks, self.lanes, dtype=torch.int32)

    def flattened(self, tiled: Tensor) -> Tensor:
        """Return what is tiled in the order of pixels, (B * H * W)."""
        images, height, width, rows, columns = self.tiles
        across = tiled.reshape(images, rows, columns, -1, COLUMNS).transpose(2, 3)
        whole = across.reshape(images, -1, columns * COLUMNS)
        return whole[:, :height, :width].reshape(-1)
