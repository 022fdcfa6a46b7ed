"""Silhouettes on the CPU as one operation: from vertices and cameras to alpha, and back. Private."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

import torch
from torch import Tensor
from torch.nn.functional import pad

from taichisoft.cameras.camera import Camera
from taichisoft.engine.adjoints import table_gradient, width_gradient
from taichisoft.engine.block_job import works_in_blocks
from taichisoft.engine.bridge import Gradients, Needed, Operation, Tensors, flat
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.launch import CPU_WORKERS, Launch, launch_for
from taichisoft.engine.kernels.silhouette import (
    Launches,
    StepGradients,
    Views,
    silhouette_kernels,
)
from taichisoft.engine.moving_points import Projected, moving_points, with_zeros
from taichisoft.engine.projection import FARTHEST
from taichisoft.engine.scene import Scene
from taichisoft.engine.vector_coverage import VectorCoveragePass
from taichisoft.softness.aggregation import Aggregation, Probabilistic
from taichisoft.softness.curves import Curve

# Fragments, by a guess, up to which a launch is not shared among threads: to wake them takes longer.
FEW_FRAGMENTS = 80_000
# The same of the loops beside, by what they are over: `first` sets up faces or cuts pixels into blocks.
FEW_POINTS = 8192
FEW_FACES = 4096
FEW_PIXELS = 32768
# Fragments of a pixel that is covered, and of a face beside.
PER_PIXEL = 2
PER_FACE = 8


class OutOfBoundsError(Exception):
    """A point is not finite, beyond what is drawn, or before the near plane: nothing was drawn."""


@dataclass(frozen=True, eq=False)
class SilhouettePass(Operation):
    """Alpha of the probabilistic sum, or the sums or maxima of a curve, of a mesh seen by cameras.

    Its inputs are the vertices, (V, 3) or (B, V, 3), the rotation, the translation and the intrinsics of the
    cameras, and the cells, slope cells and width of the curve.

    Parameters
    ----------
    scene : Scene
        What is drawn, but for the points, which are written.
    camera : Camera
        From where.
    curve : Curve
        The generator of coverage.
    takes_max : bool
        Whether faces compete.
    exponential : bool
        Whether the result is ``1 - exp(-total)``.
    """

    scene: Scene
    camera: Camera
    curve: Curve
    takes_max: bool
    exponential: bool

    @cached_property
    def _coverage(self) -> VectorCoveragePass:
        return VectorCoveragePass(RasterJob(self.scene), self.curve, self.takes_max)

    @property
    def _kernels(self) -> SimpleNamespace:
        return silhouette_kernels(self._coverage.job.kernel_type)

    def values(self, *inputs: Tensor) -> tuple[Tensor, Tensors]:
        """Return an image, (B, H, W); points, faces, winners, and what passes through all faces.

        Raises
        ------
        OutOfBoundsError
            The scene has to be clipped, or refused.
        """
        coverage = self._coverage
        job, blocks = coverage.job, coverage.blocks
        if self.exponential:
            tiled = job.points.new_empty(blocks.blocks, blocks.lanes)
        else:
            tiled = blocks.scratch("totals", blocks.blocks)
        arrays = coverage.accumulation(
            blocks.unwritten_faces(), inputs[4], tiled, exponential=self.exponential
        )
        flag = torch.zeros(1, dtype=torch.int32)
        launches = self._launches(blocks.set_up_launch(), blocks.forward_launch())
        limit = FARTHEST[job.points.dtype]
        self._kernels.render(
            self._serial, self._views(inputs), limit, job.corners, launches, arrays, flag
        )
        if flag.item():
            raise OutOfBoundsError
        kept = (job.points, arrays.faces.frames, arrays.faces.rows, arrays.winner_out)
        image = arrays.image_out.reshape(job.images, job.height, job.width)
        return image, (*kept, tiled) if self.exponential else kept

    def adjoint(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients of all inputs but the slope cells; None for one that is not asked for."""
        coverage = self._coverage
        job, blocks = coverage.job, coverage.blocks
        points, frames, rows, winner, *passed = kept
        vertices, cells, slope_cells = inputs[0], inputs[4], inputs[5]
        launch = job.backward_launch(needed[4])
        found = coverage.found_gradients(launch, cells, needed[4])
        arrays = coverage.adjoint_arrays(
            launch,
            blocks.faces_of(frames, rows),
            cells,
            slope_cells,
            winner,
            upstream,
            needed[4],
            passed=passed[0] if passed else None,
        )
        count = points.numel() // 4
        gradients = StepGradients(
            points.new_empty(2 * count),
            points.new_empty(3 * count),
            points.new_empty(vertices.numel()),
        )
        launches = self._launches(blocks.tiling_launch(), launch)
        views, fans = self._views(inputs), self.scene.topology.fans(count)
        self._kernels.pull_back(self._serial, views, fans, launches, arrays, found, gradients)
        return (
            gradients.by_vertices.reshape(vertices.shape),
            *self._by_camera(gradients, points, inputs, needed),
            table_gradient(found.cells, launch, cells) if needed[4] else None,
            None,
            width_gradient(found.log_width.sum(), coverage.numbers) if needed[6] else None,
        )

    def second_order(
        self,
        upstream: Tensor,
        kept: Tensors,
        inputs: Tensors,
        cotangents: Gradients,
        needed: Needed,
    ) -> Gradients:
        """Return the gradients of ``<adjoint, cotangents>`` in the upstream gradient and in the inputs.

        With the totals T and their rates T' along the cotangents, that is ``<u, T'>``, and of ``1 - exp(-T)``
        it is ``<u exp(-T), T'>``. It is differentiated in the points, their rates, and the softness;
        from there on torch goes back to vertices and cameras.
        """
        points, frames, rows, winner, *passed = kept
        coverage, images = self._coverage, self.scene.batch_size
        wanted = [
            x.detach().requires_grad_(n) for x, n in zip(inputs[:4], needed[1:5], strict=True)
        ]
        at = Projected(*wanted)
        with torch.enable_grad():
            places, rates = moving_points(
                at,
                with_zeros(cotangents[:4], Projected(*(x.detach() for x in at))),
                perspective=self.camera.perspective,
                near=self.scene.near,
            )
            places, rates = (x.expand(images, -1, -1).reshape(-1, 2) for x in (places, rates))
        by_points = pad(rates.detach(), (0, 2))
        motion = coverage.motion(
            (frames, rows, winner),
            (points.view(-1, 4), *inputs[4:]),
            (by_points, *cotangents[4:]),
        )
        seen, other = upstream.detach(), None
        by_upstream = motion.totals() if self.exponential or needed[0] else None
        if by_upstream is not None and self.exponential:
            through = coverage.blocks.flattened(passed[0]).view(seen.shape)
            by_upstream = by_upstream * through
            other = -seen * by_upstream
            seen = seen * through
        (by_places, *by_softness), by_rates = motion.gradients(
            seen,
            into_cells=needed[5],
            into_slopes=needed[6] and self.curve.slopes is not None,
            keeps_first=True,
            other=other,
        )
        by_cameras = _pulled_back(wanted, (places, rates), (by_places, by_rates))
        return by_upstream if needed[0] else None, *by_cameras, *by_softness

    def _views(self, inputs: Tensors) -> Views:
        vertices, rotation, translation, intrinsics = inputs[:4]
        images = self.scene.batch_size
        return Views(
            self.camera.perspective,
            flat(vertices),
            flat(rotation),
            flat(translation),
            flat(intrinsics),
            self.scene.near,
            images,
            vertices.shape[-2],
            int(vertices.ndim == 3 and vertices.shape[0] == images),
            int(rotation.shape[0] == images),
        )

    @cached_property
    def _serial(self) -> bool:
        job = self._coverage.job
        return PER_PIXEL * job.pixels + PER_FACE * job.num_faces < FEW_FRAGMENTS

    def _launches(self, first: Launch, second: Launch) -> Launches:
        """Return the launches of a kernel, the first of which is over points."""
        points = launch_for(len(self.scene.points), True, CPU_WORKERS)
        if self._serial:
            return Launches(_unshared(points), _unshared(first), _unshared(second))
        job = self._coverage.job
        if len(self.scene.points) < FEW_POINTS:
            points = _unshared(points)
        if job.num_faces < FEW_FACES and job.pixels < FEW_PIXELS:
            first = _unshared(first)
        return Launches(points, first, second)

    def _by_camera(
        self, gradients: StepGradients, points: Tensor, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients of rotation, translation and intrinsics, as far as they are needed."""
        vertices, rotation, translation, _ = (x.detach() for x in inputs[:4])
        images = self.scene.batch_size
        by_view = gradients.by_view.view(images, -1, 3)
        found: list[Tensor | None] = [None, None, None]
        if needed[1]:
            found[0] = by_view.mT @ vertices
        if needed[2]:
            found[1] = by_view.sum(1)
        if needed[3]:
            by_pixels = gradients.by_pixels.view(images, -1, 2)
            view = vertices @ rotation.mT + translation[:, None]
            plane = view[..., :2] * points.view(images, -1, 4)[..., 3:]
            block = torch.cat([by_pixels.mT @ plane, by_pixels.sum(1)[..., None]], -1)
            found[2] = torch.cat([block, torch.zeros_like(block[:, :1])], 1)
        return tuple(
            x.sum(0, keepdim=True) if x is not None and len(rotation) != images else x
            for x in found
        )


def _unshared(launch: Launch) -> Launch:
    """Return the launch of as many workers, one after the other in one thread."""
    return Launch(launch.workers, 1)


def _pulled_back(inputs: list[Tensor], results: Tensors, gradients: Gradients) -> Gradients:
    """Return the gradients of inputs from those of results, (P, 2), with two columns too many."""
    chosen = [x for x in inputs if x.requires_grad]
    pairs = [
        (r, g[:, :2])
        for r, g in zip(results, gradients, strict=True)
        if r.requires_grad and g is not None
    ]
    if not chosen or not pairs:
        return (None,) * len(inputs)
    roots, seeds = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(roots, chosen, seeds, allow_unused=True))
    return tuple(next(found) if x.requires_grad else None for x in inputs)


def silhouette(
    scene: Scene, vertices: Tensor, camera: Camera, curve: Curve, aggregation: Aggregation
) -> Tensor:
    """Return alpha, (B, H, W).

    Parameters
    ----------
    scene : Scene
        What is drawn, with points that are not yet written.
    vertices : Tensor, (V, 3) or (B, V, 3)
        Its points in the world.
    camera : Camera
        From where.
    curve : Curve
        The generator of coverage.
    aggregation : Aggregation
        How coverages combine.

    Raises
    ------
    OutOfBoundsError
        The scene has to be clipped, or refused: it was not drawn.
    """
    # Of a subclass as well, unless it has an inverse of its own.
    exponential = type(aggregation).inverse is Probabilistic.inverse
    drawn = SilhouettePass(scene, camera, curve, aggregation.takes_max, exponential)
    points = scene.points
    result = drawn(
        vertices,
        camera.rotation,
        camera.translation,
        camera.intrinsics,
        curve.cells(points),
        curve.slope_cells(points),
        curve.width,
    )
    return result if exponential else aggregation.inverse(result)


def can_draw(scene: Scene) -> bool:
    """Return whether `silhouette` can draw a scene."""
    return len(scene.faces) > 0 and works_in_blocks(RasterJob(scene))
