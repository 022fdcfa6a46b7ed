"""Raster jobs: the flat arrays of a render that its kernels share, and how its work is divided."""

from __future__ import annotations

from functools import cached_property
from math import prod

import torch
from torch import Tensor

from taichisoft.base.backend import backend, kernel_dtype, threads
from taichisoft.base.memory import check_fits
from taichisoft.base.streams import check_device
from taichisoft.engine.kernels.bundles import Corners, Raster
from taichisoft.engine.kernels.coverage import coverage_kernels
from taichisoft.engine.kernels.launch import CPU_WORKERS, Launch, launch_for
from taichisoft.engine.kernels.triangle import CPU_LANES, GPU_LANES
from taichisoft.engine.scene import Scene

# Rows a worker owns at a time: many, since a face is set up again in every band that it reaches, but enough
# bands that the threads end together. Measured with 1,280 faces at 256 x 256: 64 rows take 8 % less than 16.
LEAST_BAND = 16
BANDS_PER_THREAD = 8
# Softness gradients are summed in one table per worker; this bounds their memory on a GPU.
TABLE_WORKERS = 512
# With fewer items than this faces are sliced by rows, so that two huge faces still fill a device.
ITEMS_PER_WORKER = 4
GPU_ITEMS = 16384
# Faces are named in float32 there.
MOST_FACES = 2**24


class RasterJob:
    """Flat, detached arrays of a scene, shared by the kernels of one render."""

    def __init__(self, scene: Scene):
        self.scene = scene
        points = scene.points
        self.kernel_type = kernel_dtype(points.dtype)
        self.on_cpu = backend() == "cpu"
        self.height, self.width = scene.image_size
        self.images = scene.batch_size
        self.num_faces = scene.faces.shape[0]
        if backend() == "cuda":
            check_device(points.device, "vertices")
        _check_countable(scene)
        _check_memory(scene)
        self.points = points.detach().contiguous().reshape(-1)
        self.corners = Corners(self.points, scene.topology.corners.flat)
        self.lanes = CPU_LANES if self.on_cpu else GPU_LANES
        items = CPU_WORKERS * ITEMS_PER_WORKER if self.on_cpu else GPU_ITEMS
        self.slices = max(1, min(self.height, -(-items // max(self.num_faces, 1))))

    @property
    def face_start(self) -> Tensor:
        """(B + 1) first face of each image and the end."""
        return self.scene.topology.face_start

    @property
    def face_image(self) -> Tensor:
        """(N) image of each face."""
        return self.scene.topology.face_image

    @property
    def attribute_index(self) -> Tensor:
        """(N * 3) rows of the attributes of the corners of each face."""
        return self.scene.attribute_rows.flat

    @property
    def pixels(self) -> int:
        """Number of pixels of all images."""
        return self.images * self.height * self.width

    @cached_property
    def band(self) -> int:
        """Rows that a worker of the CPU owns at a time."""
        bands = threads() * BANDS_PER_THREAD
        return max(LEAST_BAND, -(-self.images * self.height // bands))

    def forward_launch(self) -> Launch:
        """Workers of the CPU that own bands of rows."""
        return launch_for(self.images * -(-self.height // self.band), self.on_cpu, CPU_WORKERS)

    @property
    def items(self) -> int:
        """Number of slices of all faces."""
        return self.num_faces * self.slices

    def backward_launch(self, into_cells: bool) -> Launch:
        """Workers that own slices of faces."""
        return launch_for(self.items, self.on_cpu, TABLE_WORKERS if into_cells else self.items)

    def rows(self, numbers: Tensor) -> Tensor:
        """(N * 2) rows that each face reaches, given the numbers of a curve; none for a culled face."""
        rows = torch.zeros(2 * self.num_faces, dtype=torch.int32, device=self.points.device)
        face_rows = coverage_kernels(self.kernel_type, self.lanes).face_rows
        size = (self.num_faces, self.height, self.width)
        face_rows(self.corners, numbers, self.scene.near, *size, rows)
        return rows

    def raster(self, numbers: Tensor) -> Raster:
        """Return the faces with the rows that they reach."""
        rows = self.rows(numbers)
        size = (self.height, self.width, self.slices)
        return Raster(self.corners, self.face_start, self.face_image, rows, *size)

    def zeros(self, *shape: int) -> Tensor:
        """Return zeros in the dtype and on the device of the points, flat."""
        return self.points.new_zeros(max(prod(shape), 1))

    def unwritten(self, *shape: int) -> Tensor:
        """Return memory that a kernel will write entirely; zeros if there is no face to run one for."""
        return self.points.new_empty(prod(shape)) if self.num_faces else self.zeros(*shape)

    def indices(self, size: int, value: int) -> Tensor:
        """Return equal indices of faces."""
        return torch.full((size,), value, dtype=torch.int32, device=self.points.device)

    def no_faces(self, size: int) -> Tensor:
        """Return what workers that share pixels write faces to: floating-point numbers above any face."""
        return self.points.new_full((size,), self.num_faces)

    def face_indices(self, faces: Tensor) -> Tensor:
        """Return what they have written as indices, -1 for none."""
        return faces.masked_fill_(faces == self.num_faces, -1).to(torch.int32)

    def gather_corners(self, corners: Tensor, index: Tensor, rows: int, columns: int) -> Tensor:
        """Sum (N * slices, 3, columns) gradients of face corners into (rows, columns)."""
        if self.slices > 1:
            corners = corners.reshape(self.num_faces, self.slices, 3, columns).sum(1)
        return self.gather_faces(corners, index, rows, columns)

    def gather_faces(self, corners: Tensor, index: Tensor, rows: int, columns: int) -> Tensor:
        """Sum (N, 3, columns) gradients of face corners into (rows, columns).

        An index_add over rows adds in order on the CPU, hence is deterministic, and is the fastest of torch's
        scatters: it took half the time of one over single numbers.
        """
        total = corners.new_zeros(rows, columns)
        return total.index_add_(0, index.reshape(-1), corners.reshape(-1, columns))


def _check_countable(scene: Scene) -> None:
    """Raise if there are more elements of an array, or faces, than the kernels can number."""
    if scene.faces.shape[0] >= MOST_FACES and backend() != "cpu":
        raise ValueError(
            f"mesh must give fewer than {MOST_FACES} faces in all images on the {backend()!r} backend, "
            f"got {scene.faces.shape[0]}"
        )
    height, width = scene.image_size
    numbers = scene.batch_size * height * width * (2 + scene.channels.shape[1])
    if numbers >= 2**31:
        raise ValueError(
            f"camera and colors must give fewer than 2**31 numbers in all images, got {numbers} for "
            f"{scene.batch_size} x {height} x {width} pixels with {scene.channels.shape[1]} channels"
        )


def least_bytes(scene: Scene, channels: int | None = None) -> int:
    """Return how many bytes image and gradient of a scene take at least.

    Colours have the channels of its attributes, unless others are given.
    """
    height, width = scene.image_size
    channels = _channels(scene) if channels is None else channels
    pixels = scene.batch_size * height * width
    # Of a pixel, totals, alpha and their gradients; with colours the sums, the image, and theirs as well.
    # Of a face, the gradients of its corners.
    numbers = pixels * (4 + (4 * (2 + channels) if channels else 0)) + 12 * scene.faces.shape[0]
    return numbers * scene.points.element_size()


def _channels(scene: Scene) -> int:
    return scene.channels.shape[1] if scene.attributes is not None else 0


def _check_memory(scene: Scene) -> None:
    """Raise if image and gradient cannot fit: see `taichisoft.base.memory`."""
    height, width = scene.image_size
    check_fits(
        least_bytes(scene),
        scene.points.device,
        f"rendering {scene.batch_size} x {height} x {width} pixels with {_channels(scene)} channels and "
        f"{scene.faces.shape[0]} faces in all",
    )
