"""`SoftRasterizer`: meshes, cameras and a softness to images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from taichisoft.appearance.background import Background, as_background
from taichisoft.appearance.lights import Lighting
from taichisoft.appearance.order import in_canonical_order
from taichisoft.appearance.sides import Culling
from taichisoft.appearance.surface import Surface, prepare
from taichisoft.appearance.texture import Texture
from taichisoft.base.checks import check_holds_numbers, check_integer, check_type
from taichisoft.base.eager import eager_class
from taichisoft.base.precision import full_precision
from taichisoft.base.trees import checked
from taichisoft.cameras.camera import Camera
from taichisoft.engine.engines import AutodiffEngine, FusedEngine
from taichisoft.engine.job import RasterJob
from taichisoft.engine.projection import as_drawable, build_scene
from taichisoft.engine.scene import Scene
from taichisoft.engine.shaded import shade_fragments
from taichisoft.geometry.attributes import Opacity, has_opacity, with_opacity, without_colors
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch
from taichisoft.render.composition import Composition
from taichisoft.render.face_ids import nearest_faces
from taichisoft.render.hooks import TakesRecords
from taichisoft.render.image import SoftImage, magnified, mean_of_blocks
from taichisoft.render.transforms import transformable
from taichisoft.softness.aggregation import Aggregation, Max, Probabilistic
from taichisoft.softness.coverage import Coverage, Heaviside
from taichisoft.softness.curves import CompositeCurves, Curve, SoftnessCurves
from taichisoft.softness.occlusion import FrontToBack, Occlusion
from taichisoft.softness.pretrained import load_from, shipped
from taichisoft.softness.progress_watch import ProgressWatch
from taichisoft.softness.situation import Situation
from taichisoft.softness.softness import PARTS, Softness

if TYPE_CHECKING:
    from taichisoft.diagnosis.explanation import Explanation  # sugar

# What the argument `gradient` may be.
ENGINES = {"fused": FusedEngine, "autodiff": AutodiffEngine}


@eager_class
class SoftRasterizer(TakesRecords):
    """Render meshes softly, differentiably in their vertices and colours, the camera and the softness.

    For the signed distance d of a pixel to a face (pixels, positive inside), coverage is
    ``D = F(d / scale)``, alpha the aggregate of D over all faces, and colour
    ``alpha (sum w c) / (sum w) + (1 - alpha) background``. The weight w of a face is what it adds to alpha
    behind the faces in front of it (`FrontToBack`), or ``D Z((front - z) / gamma)``, where front is the least
    depth of the faces that reach the pixel (`ReferenceDepth`).

    Parameters
    ----------
    coverage : Coverage or Module
        The function F and its scale; any other module that maps a number to [0, 1] is taken with a scale
        of one pixel. Default: `Gaussian` with a scale of one pixel.
    aggregation : Aggregation
        How coverages combine. Default: `Probabilistic`.
    occlusion : Occlusion
        How faces hide each other. Default: `FrontToBack`, with a gamma of 0.02 of the extent in depth of what
        is drawn.
    softness : Softness
        The three of them in one object, instead.
    background : float, sequence of float, or Tensor
        One number, one per channel, or an image: (C,), (H, W, C) or (B, H, W, C). A tensor gets a gradient;
        a `torch.nn.Parameter` is a parameter of the renderer. Can be set again.
    ssaa : int
        Supersampling: the image is rendered this many times as high and wide, with scales that are still
        those of pixels of the image, and averaged (depth and normals weighted by alpha). Takes ``ssaa ** 2``
        times as long.
    gradient : str
        "fused": first derivatives by hand-written adjoints. "autodiff": by Taichi's reverse mode over the
        fragments; slower, the same numbers.
    deterministic : bool
        Whether sums are taken in an order that does not depend on the order of the faces: image, normals,
        light and gradients are bit-equal from run to run and for permuted faces (on the CPU). Faces are
        sorted by their vertices; of two faces at one place the one with the smaller indices comes first.
    culling : Culling
        Which faces are left out, by the side that the camera sees; by default none. Which these are has no
        gradient, that of the others is exact.

    Notes
    -----
    First and second derivatives (``create_graph=True``) with respect to vertices, colours, textures and their
    UV coordinates, lights, background, camera and every parameter of the softness, and of the upstream
    gradient. Asking for third derivatives raises RuntimeError; `taichisoft.reference` has them.

    `forward` and `silhouette` go through ``torch.func`` (grad, vjp, jvp, jacrev, jacfwd, hessian, vmap) and
    ``torch.autograd.forward_ad``, up to second derivatives; ``torch.func.functional_call`` gives the renderer
    other parameters. ``vmap`` over vertices, colours or cameras of one scene is a batch, over anything else
    a loop. Forward mode over forward mode raises RuntimeError, as does forward mode over a gradient of a
    `StraightThrough`: reverse mode has both. ``torch.compile`` compiles what is around a render.

    Hooks of torch are called by a call of the renderer, and by no method. Full backward hooks see the
    tensors within meshes, cameras and images, in the order of the pytree.

    Both sides of a face are drawn, unless one is culled. What is nearer than ``camera.near`` is not: a face
    that crosses that plane is cut there into one or two triangles, whose edges are soft as all edges are, and
    one that is wholly nearer is left out, as is one with a vertex that a lens with a distortion has no image
    of. The image does not depend on the order of the faces, except for the gradient of exact ties under
    `Max`; of faces that are exactly equally near, the hard renderer shows the one with the smallest index.

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
        background: Background = 0.0,
        ssaa: int = 1,
        gradient: str = "fused",
        deterministic: bool = False,
        culling: Culling = Culling.NONE,
    ):
        super().__init__()
        parts = (coverage, aggregation, occlusion)
        if isinstance(coverage, Softness):
            raise TypeError("coverage must be a Coverage, got Softness; give it as softness=")
        if softness is None:
            softness = Softness(*parts)
        elif any(part is not None for part in parts):
            raise ValueError("softness must be given alone or as its parts, got both")
        self.softness = softness
        self.gradient = gradient
        self.deterministic = deterministic
        self.culling = culling
        self.background = background
        self.ssaa = ssaa

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a part of the softness is set there, and what depends on it is renewed."""
        if name in PARTS:
            # Past `nn.Module`, which would register the part here as well.
            object.__setattr__(self, name, value)
            return
        if name == "softness":
            check_type(value, name, Softness)
            self._curves = SoftnessCurves(value)
            self._watch = ProgressWatch()
        elif name == "gradient":
            check_type(value, name, str)
            if value not in ENGINES:
                raise ValueError(f"gradient must be one of {', '.join(ENGINES)}, got {value!r}")
            self._engine = ENGINES[value]()
        elif name == "deterministic":
            check_type(value, name, bool)
        elif name == "culling":
            check_type(value, name, Culling)
        elif name == "ssaa":
            value = check_integer(value, name, minimum=1)
        elif name == "background":
            self._set_background(as_background(value))
            return
        super().__setattr__(name, value)

    @property
    def coverage(self) -> Coverage:
        """The function F and its scale."""
        return self.softness.coverage

    @coverage.setter
    def coverage(self, value: nn.Module) -> None:
        self.softness.coverage = value

    @property
    def aggregation(self) -> Aggregation:
        """How coverages combine."""
        return self.softness.aggregation

    @aggregation.setter
    def aggregation(self, value: Aggregation) -> None:
        self.softness.aggregation = value

    @property
    def occlusion(self) -> Occlusion:
        """How faces hide each other."""
        return self.softness.occlusion

    @occlusion.setter
    def occlusion(self, value: Occlusion) -> None:
        self.softness.occlusion = value

    if TYPE_CHECKING:
        # What `__setattr__` takes and makes of it.
        @property
        def background(self) -> Tensor:
            """What is behind the meshes."""

        @background.setter
        def background(self, value: Background) -> None: ...

    @classmethod
    def hard(
        cls, *, background: Background = 0.0, ssaa: int = 1, culling: Culling = Culling.NONE
    ) -> SoftRasterizer:
        """Return the exact z-buffer renderer that soft ones approximate.

        Alpha has no gradient. Colour has one with respect to the colours and, through their interpolation,
        to vertices and camera.

        Depth and colour are those of the nearest face, at any scale of the scene; of faces that are equally
        near, of the one with the smallest index.
        """
        return cls(
            Heaviside(),
            Max(),
            FrontToBack(Heaviside(), 1.0),
            background=background,
            ssaa=ssaa,
            culling=culling,
        )

    @classmethod
    def pretrained(
        cls,
        name: str,
        *,
        trainable: bool = False,
        background: Background = 0.0,
        ssaa: int = 1,
        gradient: str = "fused",
        deterministic: bool = False,
        culling: Culling = Culling.NONE,
    ) -> SoftRasterizer:
        """Return a renderer with a meta-learned softness that comes with the library.

        How it was trained, and the evaluation it earned, is in ``renderer.softness.trained``, and in words in
        ``renderer.softness.describe()``. Its scale is annealed: loop with ``for step in
        renderer.anneal(steps)``. It comes frozen: under an optimizer for all of a module it would drift on
        the soft loss, and a step takes longer.

        Parameters
        ----------
        name : str
            What it was learned from: "pose", "shape3d", "shape2d", "occlusion", or "general" for all of
            them; `taichisoft.pretrained_names` lists those present.
        trainable : bool
            Whether its parameters require gradients, to learn it further.
        background, ssaa, gradient, deterministic, culling
            As in `SoftRasterizer`.

        Raises
        ------
        TypeError, ValueError
            A wrong type or value of an argument; the message lists the names present.
        """
        return cls(
            softness=load_from(shipped(), name, trainable=trainable),
            background=background,
            ssaa=ssaa,
            gradient=gradient,
            deterministic=deterministic,
            culling=culling,
        )

    @transformable
    @full_precision
    def forward(
        self,
        mesh: Mesh | MeshBatch | list[Mesh],
        camera: Camera,
        colors: Tensor | Texture | None = None,
        *,
        lighting: Lighting | None = None,
        normals: bool = False,
        objects: bool = False,
        face_ids: bool = False,
        opacity: Opacity | None = None,
    ) -> SoftImage:
        """Render alpha, depth and, if there are colours, colour.

        Parameters
        ----------
        mesh : Mesh, MeshBatch or list of Mesh
            What to draw; float32, or float64 on the CPU and CUDA backends.
        camera : Camera
            From where. Batch sizes of mesh, camera, colours and lighting must be equal or 1.
        colors : Tensor or Texture, optional
            (V, C), (B, V, C), (F, C) or (B, F, C), or a texture, instead of the mesh's own colours and
            materials. All channels are alike: a fourth one is not opacity. A `MeshBatch` takes none: its
            meshes have theirs.
        lighting : Lighting, optional
            Lights and the answer of the surface; without it colours are shown as they are. A mesh without
            colours is lit as white, with three channels.
        normals : bool
            Whether to render normals: those that `Lighting` computes with, of the faces for `Shading.FLAT`
            and otherwise `vertex_normals`, interpolated, with the hard edges of the mesh. They point out of
            the mesh, not to the camera.
        objects : bool
            Whether to render how much of each object of a scene is seen, as `join` numbers them in
            ``face_objects``: masks with gradients.
        face_ids : bool
            Whether to tell the face that is seen at each pixel.
        opacity : float or Tensor, optional
            How much of what is behind is hidden, from 0 to 1: one number, (V,), (B, V), (F,) or (B, F),
            instead of the mesh's own; that of a texture or a material is multiplied by it. Coverage is
            multiplied by the opacity, so alpha, depth and colour depend on it; light and face ids do not. It
            needs a `FrontToBack`.

        Returns
        -------
        SoftImage
            Row 0 is the top row.

        Raises
        ------
        TypeError, ValueError
            An argument of a wrong type, shape, dtype, device or batch size, or not finite; a face that is
            drawn 1e16 pixels or scene units away (1e29 in float64), where derivatives overflow.
        MemoryError
            Image and gradients cannot fit in memory.

        Notes
        -----
        A `Texture`, the images of materials and `Shading.PHONG` are evaluated for each fragment, a pair of
        a face and a pixel within its reach, so that soft edges and hidden faces show their own texture.
        Front to back on the CPU the kernels do so, and keep nothing of a fragment. Torch does so on other
        backends, with lights and textures of your own classes, with a reference depth, and for second
        derivatives. Front to back it has a band of rows in memory, about 100 MB; all but the last are
        evaluated again for the gradient. Within a transform of ``torch.func``, and with a reference depth,
        it has all fragments: each takes about 360 bytes with a texture and 610 with Phong shading if its
        gradient is kept (float32), and about 200 if not (``python -m benchmarks.appearance texture
        --reference-depth``).
        """
        check_type(face_ids, "face_ids", bool)
        self._check_ready()
        surface, scene = self.scene(
            mesh,
            camera,
            colors,
            lighting=lighting,
            normals=normals,
            objects=objects,
            opacity=opacity,
        )
        _check_opacity(surface, self.occlusion)
        fine, sums = self._sums(RasterJob(scene), surface, mesh, camera)
        self._watch.watch(self.softness, fine, sums)
        image = self._image(fine, sums, surface)
        if not face_ids:
            return image
        return replace(image, face_ids=nearest_faces(mesh, camera, self.culling))

    if TYPE_CHECKING:
        __call__ = forward

    @transformable
    @full_precision
    def silhouette(
        self,
        mesh: Mesh | MeshBatch | list[Mesh],
        camera: Camera,
        *,
        opacity: Opacity | None = None,
    ) -> Tensor:
        """Render alpha alone, (B, H, W): less than half the work of a full image.

        Front to back the alpha of an image is the same but for rounding.
        With an opacity, that of the mesh or its materials or one given as to `forward`, it is as much work as
        an image. The opacity of a texture is in the alpha of `forward` alone.
        """
        self._check_ready()
        mesh = as_drawable(mesh)
        if opacity is not None or has_opacity(mesh):
            return self.forward(without_colors(mesh), camera, opacity=opacity).alpha
        check_type(camera, "camera", Camera)
        generator = self._magnified(self._curves.generator(camera.image_size[0]))
        fine = self._fine_alpha(mesh, camera, generator)
        self._watch.watch(self.softness, fine)
        return mean_of_blocks(fine, self.ssaa)

    def anneal(self, steps: int) -> Iterator[int]:
        """Count the steps of an optimisation, which all that is annealed follows.

        ``for step in renderer.anneal(60):`` in the place of ``for step in range(60):``. Before step k the
        progress is ``k / (steps - 1)``, and 1 after the last; a loop that is left early leaves it where it
        was. Raises TypeError or ValueError unless ``steps`` is an int that is not negative.
        """
        return self.softness.anneal(steps)

    def set_progress(self, progress: float) -> None:
        """Say how much of an optimisation is done, from 0 to 1; `anneal` does so itself."""
        self.softness.set_progress(progress)

    def set_situation(self, situation: Situation) -> None:
        """Say what is known of a scene before the first step: what `situation_of` measures.

        Conditioned numbers of the softness follow it; nothing changes if there are none.
        """
        self.softness.set_situation(situation)

    def scene(
        self,
        mesh: Mesh | MeshBatch | list[Mesh],
        camera: Camera,
        colors: Tensor | Texture | None = None,
        *,
        lighting: Lighting | None = None,
        normals: bool = False,
        objects: bool = False,
        opacity: Opacity | None = None,
    ) -> tuple[Surface, Scene]:
        """Return the look and the projected geometry of what `forward` renders, ``ssaa`` times as large."""
        mesh, colors, source = as_drawable(mesh), checked(colors), None
        check_type(camera, "camera", Camera)
        if opacity is not None:
            mesh = with_opacity(mesh, opacity)
        if self.deterministic:
            mesh, colors, source = in_canonical_order(mesh, colors)
        camera = magnified(camera, self.ssaa)
        surface = prepare(mesh, camera, colors, lighting, normals, objects)
        return surface, build_scene(
            mesh, camera, surface.attributes, source=source, culling=self.culling
        )

    def curves(self, image_height: int) -> tuple[Curve, Curve, Curve]:
        """Return the tabulated generator of coverage, coverage, and occlusion, with their widths.

        The widths of the first two are in pixels of what is rendered, ``ssaa`` times as many as in an image
        of that height.
        """
        curves = self._curves
        generator, coverage = curves.generator(image_height), curves.coverage(image_height)
        return self._magnified(generator), self._magnified(coverage), curves.occlusion()

    def composite_curves(self, image_height: int) -> CompositeCurves:
        """Return the tabulated curves of compositing front to back, with widths as those of `curves`."""
        curves = self._curves.composite(image_height)
        return replace(
            curves,
            generator=self._magnified(curves.generator),
            coverage=self._magnified(curves.coverage),
        )

    def alpha(self, total: Tensor) -> Tensor:
        """Turn aggregated generators, (B, ssaa H, ssaa W), into alpha, (B, H, W)."""
        return mean_of_blocks(self.aggregation.inverse(total), self.ssaa)

    @full_precision
    def explain(
        self,
        mesh: Mesh | MeshBatch | list[Mesh],
        camera: Camera,
        target: Tensor | None = None,
    ) -> Explanation:
        """Say in numbers and words what this softness does with a mesh, and what to change.

        How far it reaches and at what cost, which faces are drawn, how much the silhouette grows, how much of
        what is seen comes from hidden faces, and which edges in front of something have no gradient; with a
        target, whether a part of it is out of reach. The numbers are those of the current progress and of the
        situation that was set; an annealed scale is judged at both ends: its reach at the start, how much it
        inflates at the end. A mesh counts as opaque. Takes as long as a few renders, and longer the farther
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
            As in `forward`, or a target of another size or outside of [0, 1].
        """
        from taichisoft.diagnosis.explain import explain  # sugar

        mesh = as_drawable(mesh)
        scene = unbent = build_scene(mesh, camera, None, culling=self.culling)
        if camera.distortion is not None:
            pinhole = replace(camera, distortion=None)
            unbent = build_scene(mesh, pinhole, None, culling=self.culling)
        shared = isinstance(mesh, Mesh) or mesh.batch_size == 1
        total = mesh.num_faces * (scene.batch_size if shared else 1)
        # A material decides how many channels there are, whatever the colours of vertices beside it.
        channels = mesh.materials[0].channels if mesh.materials else None
        return explain(self, scene, total, target, unbent, channels)

    def compose(self, fine: Tensor, sums: Tensor, surface: Surface) -> SoftImage:
        """Turn alpha and sums over faces into an image.

        Parameters
        ----------
        fine : Tensor, (B, ssaa H, ssaa W)
            Alpha in the resolution that is rendered.
        sums : Tensor, (B, ssaa H, ssaa W, ... + 2 + C)
            The last ones are sums of w, w z and w times what is seen of the surface.
        surface : Surface
            What the channels are.
        """
        return Composition(surface, self.background, self.ssaa).image(fine, sums)

    def _image(self, fine: Tensor, sums: Tensor, surface: Surface) -> SoftImage:
        """Return what `compose` does, in one go where that can be."""
        # Of a subclass as well, unless it has an inverse of its own.
        exponential = type(self.aggregation).inverse is Probabilistic.inverse
        through_total = exponential and isinstance(self.occlusion, FrontToBack)
        composition = Composition(surface, self.background, self.ssaa)
        inverse = self.aggregation.inverse if through_total else None
        return composition.image_at_once(self._engine, fine, sums, inverse)

    def _fine_alpha(
        self, mesh: Mesh | MeshBatch | list[Mesh], camera: Camera, generator: Curve
    ) -> Tensor:
        """Return alpha in the resolution that is rendered."""
        mesh, source = as_drawable(mesh), None
        if self.deterministic:
            mesh, _, source = in_canonical_order(mesh, None)
        camera = magnified(camera, self.ssaa)
        return self._engine.silhouette(
            mesh, camera, source, generator, self.aggregation, self.culling
        )

    def _sums(
        self,
        job: RasterJob,
        surface: Surface,
        mesh: Mesh | MeshBatch | list[Mesh],
        camera: Camera,
    ) -> tuple[Tensor, Tensor]:
        """Return alpha and the sums of `compose`, in the resolution that is rendered."""
        height = camera.image_size[0]
        if isinstance(self.occlusion, FrontToBack):
            curves = self.composite_curves(height)
            sums = self._engine.composite(
                job, curves, opacity=surface.opacity, shader=surface.shader
            )
            return self.aggregation.inverse(sums[..., 0]), sums
        generator = self._magnified(self._curves.generator(height))
        fine = self._fine_alpha(mesh, camera, generator).expand(job.images, -1, -1)
        _, coverage, occlusion = self.curves(height)
        if surface.shader is None:
            return fine, self._engine.sums(job, coverage, occlusion)
        return fine, shade_fragments(job, coverage, occlusion, surface)

    def _check_ready(self) -> None:
        """Raise if this module has no numbers (device meta)."""
        # Of the softness this is found out when it is tabulated.
        check_holds_numbers(self.background, "the renderer")

    def _magnified(self, curve: Curve) -> Curve:
        return curve if self.ssaa == 1 else replace(curve, width=curve.width * self.ssaa)

    def _set_background(self, background: Tensor) -> None:
        """Keep a background as a parameter if it is one, so that it is optimised, and as a buffer if not."""
        for kind in (self._parameters, self._buffers):
            kind.pop("background", None)
        if isinstance(background, nn.Parameter):
            self.register_parameter("background", background)
        else:
            self.register_buffer("background", background)


def _check_opacity(surface: Surface, occlusion: Occlusion) -> None:
    """Raise ValueError for a surface with opacity that is blended by a reference depth."""
    if surface.opacity and not isinstance(occlusion, FrontToBack):
        raise ValueError(
            f"occlusion must be a FrontToBack for a mesh with opacity, got a {type(occlusion).__name__}"
        )
