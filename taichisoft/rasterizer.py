"""`SoftRasterizer`: the public face of the engine."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from taichisoft.aggregation import Aggregation, Max
from taichisoft.buffers import Buffers
from taichisoft.camera import Camera
from taichisoft.checks import check_type
from taichisoft.coverage import Coverage, Heaviside
from taichisoft.curve import Curve
from taichisoft.engines import AutodiffEngine, FusedEngine
from taichisoft.explain import Explanation, explain
from taichisoft.mesh import Mesh, MeshBatch
from taichisoft.occlusion import DepthSoftmax, Occlusion
from taichisoft.pretrained import load_from, shipped
from taichisoft.scene import Scene, build_scene
from taichisoft.softness import PARTS, Softness
from taichisoft.softness_curves import SoftnessCurves

# What the argument `gradient` may be.
ENGINES = {"fused": FusedEngine, "autodiff": AutodiffEngine}


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
    coverage : Coverage or Module
        The function F and its scale; any other module that maps a number to [0, 1] is taken with a scale
        of one pixel. Default: `Gaussian` with a scale of one pixel.
    aggregation : Aggregation
        How coverages combine. Default: `Probabilistic`.
    occlusion : Occlusion
        The function Z and its gamma. Default: `DepthSoftmax` with gamma = 0.05 scene units.
    softness : Softness
        The three of them in one object, instead.
    background : float or sequence of float
        Colour of the background: one number, or one per channel.
    gradient : str
        "fused": first derivatives by hand-written adjoints. "autodiff": by Taichi's reverse mode over the
        fragments; slower, the same numbers.
    deterministic : bool
        Whether sums are taken in an order that does not depend on the order of the faces: image and
        gradients are bit-equal from run to run and for permuted faces (on the CPU).

    Notes
    -----
    First and second derivatives (``create_graph=True``) with respect to vertices, colours, camera and every
    parameter of the softness, and of the upstream gradient. Asking for third derivatives raises
    RuntimeError; `taichisoft.reference` has them.

    Both sides of a face are drawn. What is nearer than ``camera.near`` is not: a face that crosses that plane
    is cut there into one or two triangles, whose edges are soft as all edges are, and one that is wholly
    nearer is left out. The image does not depend on the order of the faces, except for the gradient of exact
    ties under `Max`.

    After Wu et al., "Learning to Rasterize Differentiably" (EGSR 2024), and Liu et al., "Soft
    Rasterizer" (ICCV 2019).
    """

    def __init__(
        self,
        coverage: Coverage | nn.Module | None = None,
        aggregation: Aggregation | None = None,
        occlusion: Occlusion | None = None,
        *,
        softness: Softness | None = None,
        background: float | tuple[float, ...] = 0.0,
        gradient: str = "fused",
        deterministic: bool = False,
    ):
        super().__init__()
        parts = (coverage, aggregation, occlusion)
        if softness is None:
            softness = Softness(*parts)
        elif any(part is not None for part in parts):
            raise ValueError("softness must be given alone or as its parts, got both")
        self.softness = softness
        self.gradient = gradient
        self.deterministic = deterministic
        self.register_buffer("background", torch.as_tensor(background, dtype=torch.float64))
        if self.background.ndim > 1:
            raise ValueError(
                f"background must be a number or one per channel, got shape "
                f"{tuple(self.background.shape)}"
            )

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; a part of the softness is set there, and what depends on it is renewed."""
        if name in PARTS:
            setattr(self.softness, name, value)
            return
        if name == "softness":
            check_type(value, name, Softness)
            self._curves = SoftnessCurves(value)
        elif name == "gradient":
            if value not in ENGINES:
                raise ValueError(f"gradient must be one of {', '.join(ENGINES)}, got {value!r}")
            self._engine = ENGINES[value]()
        elif name == "deterministic":
            check_type(value, name, bool)
        super().__setattr__(name, value)

    @property
    def coverage(self) -> Coverage:
        """The function F and its scale."""
        return self.softness.coverage

    @property
    def aggregation(self) -> Aggregation:
        """How coverages combine."""
        return self.softness.aggregation

    @property
    def occlusion(self) -> Occlusion:
        """The function Z and its gamma."""
        return self.softness.occlusion

    @classmethod
    def hard(cls, *, background: float | tuple[float, ...] = 0.0) -> SoftRasterizer:
        """Return the exact z-buffer renderer that soft ones approximate; only colours get gradients.

        Surfaces nearer to each other than about 1e-3 scene units are blended.
        """
        return cls(Heaviside(), Max(), DepthSoftmax(1e-4), background=background)

    @classmethod
    def pretrained(
        cls,
        name: str,
        *,
        background: float | tuple[float, ...] = 0.0,
        gradient: str = "fused",
        deterministic: bool = False,
    ) -> SoftRasterizer:
        """Return a renderer with a meta-learned softness that comes with the library.

        How it was trained, and the evaluation it earned, is in ``renderer.softness.trained``. Its parameters
        require gradients, as those of a new one do; ``renderer.requires_grad_(False)`` freezes them.

        Parameters
        ----------
        name : str
            What it was learned from: "pose", "shape3d", "shape2d", "occlusion", or "general" for all of
            them; `taichisoft.pretrained_names` lists those present.
        background, gradient, deterministic
            As in `SoftRasterizer`.

        Raises
        ------
        TypeError, ValueError
            A wrong type or value of an argument; the message lists the names present.
        """
        return cls(
            softness=load_from(shipped(), name),
            background=background,
            gradient=gradient,
            deterministic=deterministic,
        )

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
        scene = self._scene(mesh, camera, colors)
        buffers = Buffers(scene)
        generator, coverage, occlusion = self.curves(scene.image_size[0])
        total = self._engine.total(buffers, generator, self.aggregation.takes_max)
        sums = self._engine.sums(buffers, coverage, occlusion)
        return self.compose(total, sums, has_colors=scene.attributes is not None)

    def silhouette(self, mesh: Mesh | MeshBatch | list[Mesh], camera: Camera) -> Tensor:
        """Render alpha alone, (B, H, W): less than half the work of a full image."""
        scene = self._scene(mesh, camera, None)
        curve = self._curves.generator(scene.image_size[0])
        total = self._engine.total(Buffers(scene), curve, self.aggregation.takes_max)
        return self.aggregation.inverse(total)

    def set_progress(self, progress: float) -> None:
        """Say how much of an optimisation is done, from 0 to 1: annealed scales follow it."""
        self.softness.set_progress(progress)

    def curves(self, image_height: int) -> tuple[Curve, Curve, Curve]:
        """Return the tabulated generator of coverage, coverage, and occlusion, with their widths."""
        curves = self._curves
        return curves.generator(image_height), curves.coverage(image_height), curves.occlusion()

    def explain(
        self,
        mesh: Mesh | MeshBatch | list[Mesh],
        camera: Camera,
        target: Tensor | None = None,
    ) -> Explanation:
        """Say in numbers and words what this softness does with a mesh, and what to change.

        How far it reaches and at what cost, which faces are drawn, how much the silhouette grows; with a
        target, whether a part of it is out of reach. Takes as long as a few renders, and longer the farther
        the target is from the mesh.

        Parameters
        ----------
        mesh, camera
            As in `forward`.
        target : Tensor, (B, H, W) or (H, W), optional
            Silhouettes to fit, bool or in [0, 1]; from one half on a pixel counts as covered.

        Returns
        -------
        Explanation
            ``print`` it, or read its attributes.

        Raises
        ------
        TypeError, ValueError
            As in `forward`, or a target of another size.
        """
        return explain(self, self._scene(mesh, camera, None), target)

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

    def _scene(self, mesh, camera: Camera, colors: Tensor | None) -> Scene:
        return build_scene(mesh, camera, colors, canonical=self.deterministic)

    def _over_background(self, colors: Tensor, alpha: Tensor) -> Tensor:
        channels = colors.shape[-1]
        if self.background.ndim and len(self.background) != channels:
            raise ValueError(
                f"background must be a number or {channels} numbers, one per channel of the "
                f"colours, got {len(self.background)}"
            )
        alpha = alpha.unsqueeze(-1)
        return alpha * colors + (1 - alpha) * self.background.to(colors)
