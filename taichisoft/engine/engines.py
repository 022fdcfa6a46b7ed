"""Engines, the two ways to differentiate a render: a hand-written adjoint, or Taichi's own reverse mode."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod

from torch import Tensor

from taichisoft.appearance.sides import Culling
from taichisoft.base.backend import backend
from taichisoft.cameras.camera import Camera
from taichisoft.engine.autodiff import sums_of_fragments, total_of_fragments
from taichisoft.engine.blend import BlendPass, blend
from taichisoft.engine.block_job import works_in_blocks
from taichisoft.engine.composite import CompositePass
from taichisoft.engine.compositing import Shader, composite_fragments
from taichisoft.engine.coverage import CoveragePass, accumulate
from taichisoft.engine.image import ComposedImages, Ground, compose
from taichisoft.engine.inputs import BlendInputs, CompositeInputs, CoverageInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernel_shader import KernelShader
from taichisoft.engine.layer_shading import shade_layers
from taichisoft.engine.projection import build_scene, unprojected_scene
from taichisoft.engine.silhouette import OutOfBoundsError, can_draw, silhouette
from taichisoft.engine.vector_composite import VectorCompositePass
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch
from taichisoft.softness.aggregation import Aggregation
from taichisoft.softness.curves import CompositeCurves, Curve


class Engine(ABC):
    """Sums a tabulated softness over the faces at each pixel, differentiably."""

    def silhouette(
        self,
        mesh: Mesh | MeshBatch,
        camera: Camera,
        source: Tensor | None,
        generator: Curve,
        aggregation: Aggregation,
        culling: Culling,
    ) -> Tensor:
        """Return (B, H, W): alpha alone; `source` and `culling` as in `build_scene`."""
        scene = build_scene(mesh, camera, None, source=source, culling=culling)
        return aggregation.inverse(self.total(RasterJob(scene), generator, aggregation.takes_max))

    @abstractmethod
    def total(self, job: RasterJob, generator: Curve, takes_max: bool) -> Tensor:
        """Return (B, H, W): the generator of coverage summed over faces, or its maximum."""

    @abstractmethod
    def sums(self, job: RasterJob, coverage: Curve, occlusion: Curve) -> Tensor:
        """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces."""

    def composite(
        self,
        job: RasterJob,
        curves: CompositeCurves,
        *,
        opacity: bool = False,
        shader: Shader | None = None,
    ) -> Tensor:
        """Return (B, H, W, 3 + C): total of the generator, and sums of w, w z and w times the colours."""
        inputs = CompositeInputs.of(job, curves)
        return composite_fragments(job, curves, inputs, opacity=opacity, shader=shader)

    def image(self, ground: Ground, alpha: Tensor, sums: Tensor) -> ComposedImages:
        """Return alpha, depth, colours times alpha and over the background: see `image.compose`."""
        return ground.exact(alpha, sums)


class FusedEngine(Engine):
    """One launch per pass, its adjoint written by hand. The fast one."""

    def silhouette(
        self,
        mesh: Mesh | MeshBatch,
        camera: Camera,
        source: Tensor | None,
        generator: Curve,
        aggregation: Aggregation,
        culling: Culling,
    ) -> Tensor:
        """Return (B, H, W): alpha alone; in one launch where that can be."""
        if camera.distortion is None:
            scene = unprojected_scene(mesh, camera, source=source, culling=culling)
            if can_draw(scene):
                # What has to be clipped or refused is found out while it is drawn.
                with contextlib.suppress(OutOfBoundsError):
                    return silhouette(scene, mesh.vertices, camera, generator, aggregation)
        return super().silhouette(mesh, camera, source, generator, aggregation, culling)

    def total(self, job: RasterJob, generator: Curve, takes_max: bool) -> Tensor:
        """Return (B, H, W): the generator of coverage summed over faces, or its maximum."""
        return accumulate(job, generator, takes_max)

    def sums(self, job: RasterJob, coverage: Curve, occlusion: Curve) -> Tensor:
        """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces."""
        return blend(job, coverage, occlusion)

    def composite(
        self,
        job: RasterJob,
        curves: CompositeCurves,
        *,
        opacity: bool = False,
        shader: Shader | None = None,
    ) -> Tensor:
        """Return (B, H, W, 3 + C): total of the generator, and sums of w, w z and w times the colours."""
        inputs = CompositeInputs.of(job, curves)
        in_blocks = bool(job.num_faces) and works_in_blocks(job)
        if shader is not None:
            look = KernelShader.of(shader, job) if in_blocks else None
            if look is None:
                return shade_layers(job, curves, inputs, shader, opacity)
            return VectorCompositePass(job, curves, opacity, look)(*inputs, *look.inputs)
        if in_blocks:
            return VectorCompositePass(job, curves, opacity)(*inputs)
        return CompositePass(job, curves, opacity)(*inputs)

    def image(self, ground: Ground, alpha: Tensor, sums: Tensor) -> ComposedImages:
        """Return alpha, depth, colours times alpha and over the background: see `image.compose`."""
        if backend() != "cpu" or not alpha.is_cpu:
            return super().image(ground, alpha, sums)
        return compose(ground, alpha, sums)


class AutodiffEngine(Engine):
    """Straight-line maps over the fragments, differentiated by Taichi. The oracle of the other one."""

    def total(self, job: RasterJob, generator: Curve, takes_max: bool) -> Tensor:
        """Return (B, H, W): the generator of coverage summed over faces, or its maximum."""
        if not job.num_faces:
            return accumulate(job, generator, takes_max)
        inputs = CoverageInputs.of(job, generator)
        winner = None
        if takes_max:
            _, (winner,) = CoveragePass(job, generator, takes_max).values(*inputs)
        return total_of_fragments(job, generator, winner, inputs)

    def sums(self, job: RasterJob, coverage: Curve, occlusion: Curve) -> Tensor:
        """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces."""
        if not job.num_faces:
            return blend(job, coverage, occlusion)
        front_face = BlendPass(job, coverage, occlusion).front_face()
        inputs = BlendInputs.of(job, coverage, occlusion)
        return sums_of_fragments(job, coverage, occlusion, front_face, inputs)
