"""`SoftRasterizer`: the public face of the engine."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from taichisoft.aggregation import Aggregation, Max, Probabilistic
from taichisoft.buffers import Buffers
from taichisoft.camera import Camera
from taichisoft.checks import check_type
from taichisoft.coverage import Coverage, Gaussian, Heaviside
from taichisoft.mesh import Mesh, MeshBatch
from taichisoft.occlusion import DepthSoftmax, Occlusion
from taichisoft.rasterize import Curve, accumulate, shade
from taichisoft.scene import build_scene
from taichisoft.table import Table, TableCache, tabulate

# Within a table coverage stops this short of 1, where the probabilistic generator is singular.
FULL = 1 - 1e-6


@dataclass(frozen=True, eq=False)
class SoftImage:
    """A rendered batch of images.

    Parameters
    ----------
    alpha : Tensor, (B, H, W)
        Coverage of each pixel by the mesh, in [0, 1].
    depth : Tensor, (B, H, W)
        Mean camera depth of the faces at the pixel, by weight, in scene units; 0 where no face reaches.
    color : Tensor, (B, H, W, C), or None
        Colour over the background; None if neither the mesh nor the call had colours.
    """

    alpha: Tensor
    depth: Tensor
    color: Tensor | None


class SoftRasterizer(nn.Module):
    """Render meshes softly, differentiably in their vertices and colours, the camera and the softness.

    For the signed distance d of a pixel to a face (pixels, positive inside), coverage is
    ``D = F(d / scale)``, alpha the aggregate of D over all faces, and colour
    ``alpha (sum w c) / (sum w) + (1 - alpha) background`` with ``w = D Z((front - z) / gamma)``, where
    front is the least depth of the faces that reach the pixel.

    Parameters
    ----------
    coverage : Coverage
        The function F and its scale. Default: `Gaussian` with a scale of one pixel.
    aggregation : Aggregation
        How coverages combine. Default: `Probabilistic`.
    occlusion : Occlusion
        The function Z and its gamma. Default: `DepthSoftmax` with gamma = 0.05 scene units.
    background : float or sequence of float
        Colour of the background: one number, or one per channel.

    Notes
    -----
    First derivatives with respect to vertices, colours, camera and every parameter of the softness. Asking
    for second derivatives (``create_graph=True``) raises RuntimeError; `taichisoft.reference` has them.

    Both sides of a face are drawn. A face with a vertex nearer than ``camera.near`` is not drawn at all. The
    image does not depend on the order of the faces, except for the gradient of exact ties under `Max`.

    After Wu et al., "Learning to Rasterize Differentiably" (EGSR 2024), and Liu et al., "Soft
    Rasterizer" (ICCV 2019).
    """

    def __init__(
        self,
        coverage: Coverage | None = None,
        aggregation: Aggregation | None = None,
        occlusion: Occlusion | None = None,
        *,
        background: float | tuple[float, ...] = 0.0,
    ):
        super().__init__()
        self.coverage = Gaussian(1.0) if coverage is None else coverage
        self.aggregation = Probabilistic() if aggregation is None else aggregation
        self.occlusion = DepthSoftmax() if occlusion is None else occlusion
        check_type(self.coverage, "coverage", Coverage)
        check_type(self.aggregation, "aggregation", Aggregation)
        check_type(self.occlusion, "occlusion", Occlusion)
        self.register_buffer("background", torch.as_tensor(background, dtype=torch.float64))
        if self.background.ndim > 1:
            raise ValueError(
                f"background must be a number or one per channel, got shape "
                f"{tuple(self.background.shape)}"
            )
        self._tables = TableCache()

    @classmethod
    def hard(cls, *, background: float | tuple[float, ...] = 0.0) -> SoftRasterizer:
        """Return the exact z-buffer renderer that soft ones approximate; only colours get gradients.

        Surfaces nearer to each other than about 1e-3 scene units are blended.
        """
        return cls(Heaviside(), Max(), DepthSoftmax(1e-4), background=background)

    def settings(self) -> dict:
        """Return the constructor arguments that make an equal renderer, up to learned weights."""
        return {
            "coverage": self.coverage,
            "aggregation": self.aggregation,
            "occlusion": self.occlusion,
            "background": self.background.tolist(),
        }

    def forward(
        self,
        mesh: Mesh | MeshBatch | list[Mesh],
        camera: Camera,
        colors: Tensor | None = None,
    ) -> SoftImage:
        """Render alpha, depth and, if there are colours, colour.

        Parameters
        ----------
        mesh : Mesh, MeshBatch or list of Mesh
            What to draw; float32, or float64 on the CPU and CUDA backends.
        camera : Camera
            From where. Batch sizes of mesh and camera must be equal or 1.
        colors : Tensor, optional
            (V, C), (B, V, C), (F, C) or (B, F, C), instead of the mesh's own colours.

        Returns
        -------
        SoftImage
            Row 0 is the top row.

        Raises
        ------
        TypeError, ValueError
            An argument of a wrong type, shape, dtype, device or batch size, or not finite.
        """
        scene = build_scene(mesh, camera, colors)
        buffers = Buffers(scene)
        generator, coverage, occlusion = self.curves(scene.image_size[0])
        total = accumulate(buffers, generator, self.aggregation.takes_max)
        sums = shade(buffers, coverage, occlusion)
        return self.compose(total, sums, has_colors=scene.attributes is not None)

    def silhouette(self, mesh: Mesh | MeshBatch | list[Mesh], camera: Camera) -> Tensor:
        """Render alpha alone, (B, H, W): less than half the work of a full image."""
        scene = build_scene(mesh, camera, None)
        curve = self._generator_curve(scene.image_size[0])
        total = accumulate(Buffers(scene), curve, self.aggregation.takes_max)
        return self.aggregation.inverse(total)

    def curves(self, image_height: int) -> tuple[Curve, Curve, Curve]:
        """Return the tabulated generator of coverage, coverage, and occlusion, with their widths."""
        return (
            self._generator_curve(image_height),
            self._coverage_curve(image_height),
            self._occlusion_curve(),
        )

    def compose(self, total: Tensor, sums: Tensor, *, has_colors: bool) -> SoftImage:
        """Turn sums over faces into an image.

        Parameters
        ----------
        total : Tensor, (B, H, W)
            Aggregated generators.
        sums : Tensor, (B, H, W, 2 + C)
            Sums of w, w z and w c.
        has_colors : bool
            Whether colours were given.
        """
        alpha = self.aggregation.inverse(total)
        weight = sums[..., :1]
        reached = weight > 0
        means = torch.where(reached, sums[..., 1:] / torch.where(reached, weight, 1), 0)
        color = self._over_background(means[..., 1:], alpha) if has_colors else None
        return SoftImage(alpha, means[..., 0], color)

    @staticmethod
    def below_full(coverage: Tensor) -> Tensor:
        """Keep coverage within a table short of 1, where the probabilistic generator is singular."""
        return coverage.clamp(max=FULL)

    def _over_background(self, colors: Tensor, alpha: Tensor) -> Tensor:
        channels = colors.shape[-1]
        if self.background.ndim and len(self.background) != channels:
            raise ValueError(
                f"background must be a number or {channels} numbers, one per channel of the "
                f"colours, got {len(self.background)}"
            )
        alpha = alpha.unsqueeze(-1)
        return alpha * colors + (1 - alpha) * self.background.to(colors)

    def _generator_curve(self, image_height: int) -> Curve:
        coverage, aggregation = self.coverage, self.aggregation

        def build(high: Tensor) -> Table:
            return tabulate(
                lambda s: aggregation.generator(self.below_full(coverage.without_tail(s))),
                aggregation.generator(coverage.without_tail(high)),
                coverage.domain(),
            )

        table = self._tables.get("generator", build, coverage.domain(), coverage, aggregation)
        return Curve(table, coverage.scale.in_pixels(image_height))

    def _coverage_curve(self, image_height: int) -> Curve:
        coverage = self.coverage

        def build(high: Tensor) -> Table:
            return tabulate(coverage.without_tail, coverage.without_tail(high), coverage.domain())

        table = self._tables.get("coverage", build, coverage.domain(), coverage)
        return Curve(table, coverage.scale.in_pixels(image_height))

    def _occlusion_curve(self) -> Curve:
        occlusion = self.occlusion

        def build(high: Tensor) -> Table:
            return tabulate(occlusion, occlusion(high), occlusion.domain())

        table = self._tables.get("occlusion", build, occlusion.domain(), occlusion)
        return Curve(table, occlusion.gamma())
