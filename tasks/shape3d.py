"""Shape3D: a sphere that is deformed until its silhouettes are those of an unknown mesh."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch import Tensor

from taichisoft import Camera, Gaussian, Mesh, Situation, SoftRasterizer, situation_of
from taichisoft.base.checks import check_dtype, check_image_size, check_integer, check_type
from taichisoft.cameras.construction import orbit_axes
from tasks.arguments import Unknowns, check_problem, check_unknowns, check_weight
from tasks.base import Split, Task, TaskFamily
from tasks.faults import Fault, check_fault, spoiled
from tasks.hard import hard_renderer
from tasks.meshes import MeshSplit, default_meshes
from tasks.silhouettes import Silhouettes, join
from tasks.template import Template, template_of

ELEVATIONS = (-60.0, -30.0, 0.0, 30.0, 60.0)
# The unit sphere just fits the image.
DISTANCE = 4.0
FIELD_OF_VIEW = 30.0
RADIUS = 0.5

# Views by which a result is judged: between the elevations that targets are seen from.
JUDGED_ELEVATIONS = (-45.0, -15.0, 15.0, 45.0)
JUDGED_PER_ELEVATION = 3
# The sphere starts at 0.5 to 0.8. Good settings bring most targets to 0.1 to 0.25 within 60 steps,
# as one elevation leaves the hollows that are only seen from others open.
SOLVED = 0.2
# Width in pixels of the soft silhouettes whose error stands in for that of hard ones.
NARROW = 0.3


@dataclass(frozen=True, eq=False)
class Shape3DTask(Task):
    """Shapes to find. Made by `Shape3DFamily.sample`.

    The unknown "displacement" (P, V, 3) is added to the vertices of the sphere, in scene units. There is no
    solution, as the sphere has another topology than the targets.

    Parameters
    ----------
    template : Template
        The sphere.
    seen, judged : Silhouettes
        Of the target: those that the loss compares with, and those that the error does.
    laplacian, flatten : float
        Weights of the regularisers.
    start : dict of Tensor
        Zeros: the sphere.
    targets : Tensor, (P, H, 4 W)
        Hard silhouettes of the target, from one judged view of each elevation.
    """

    template: Template
    seen: Silhouettes
    judged: Silhouettes
    laplacian: float
    flatten: float
    start: Unknowns
    targets: Tensor
    solved_below = SOLVED

    def loss(self, unknowns: Unknowns, renderer: SoftRasterizer) -> Tensor:
        """Return ``1 - IoU``, mean over the views seen, plus the regularisers, (P,)."""
        mesh = self._mesh(unknowns)
        roughness = self.template.roughness(mesh.vertices, self.laplacian, self.flatten)
        return 1 - self.seen.iou(mesh, renderer) + roughness

    @torch.no_grad()
    def error(self, unknowns: Unknowns) -> Tensor:
        """Return ``1 - IoU`` of hard silhouettes from other views, (P,). No gradient."""
        return 1 - self.judged.iou(self._mesh(unknowns), hard_renderer())

    def differentiable_error(self, unknowns: Unknowns) -> Tensor:
        """Return ``1 - IoU`` from the views of the error, with a narrow soft renderer, (P,).

        Its Gaussian is 0.3 px wide and does not depend on the softness that solves. Differentiable.
        During 20 steps of four problems it was within 0.014 of the error at 64 px, and within 0.08 at
        24 px, where thin parts are a pixel wide.
        """
        return 1 - self.judged.iou(self._mesh(unknowns), _narrow())

    def situation(self) -> Situation:
        """Return what is known of the sphere: that of the first problem, since all start with the same."""
        sphere = Mesh(self._mesh(self.init()).vertices[0], self.template.mesh.faces)
        views = self.seen.camera.batch_size // self.count
        return situation_of(sphere, self.seen.camera[:views], colors=False)

    @torch.no_grad()
    def views(self, unknowns: Unknowns, problem: int) -> Tensor:
        """Return hard silhouettes of one problem from four of the other views, (H, 4 W)."""
        check_problem(problem, self.count)
        vertices = self._mesh(unknowns).vertices[problem]
        camera = self.judged.camera[_one_of_each_elevation(problem)]
        mesh = Mesh(vertices, self.template.mesh.faces)
        return _side_by_side(hard_renderer().silhouette(mesh, camera))

    def _mesh(self, unknowns: Unknowns) -> Mesh:
        check_unknowns(unknowns, self.start)
        displacement = unknowns["displacement"]
        mesh = self.template.mesh
        return mesh.with_vertices(RADIUS * mesh.vertices.to(displacement) + displacement)


@dataclass(frozen=True)
class Shape3DFamily(TaskFamily):
    """Meshes seen from all sides at one elevation, to be modelled by deforming a sphere.

    Parameters
    ----------
    image_size : (int, int)
        Height and width in pixels.
    views : int
        Number of azimuths, evenly spaced, at least 1: the fewer, the harder. The elevation of
        the views is drawn for each problem.
    subdivisions : int
        Of the sphere, which has ``10 * 4^subdivisions + 2`` vertices.
    laplacian, flatten : float
        Weights of the sums of squared Laplacians over the vertices, and of one minus the cosine
        of the folding angle over the edges; not negative.
    meshes : MeshSplit
        The targets; by default `default_meshes`.
    fault : Fault, optional
        What is wrong with the silhouettes that the loss compares with, another time in each. The problems
        are those without it, and so are targets and errors. None: nothing is.
    dtype : torch.dtype
        Of the problems, float32 or float64.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of an argument.

    Notes
    -----
    After the shape experiments of GenDR (Petersen et al., CVPR 2022) and "Learning to Rasterize
    Differentiably" (Wu et al., EGSR 2024), with plain displacements.
    """

    name = "shape3d"
    error_unit = "1 - IoU"
    # About the error of the starting sphere for the thinnest of targets.
    error_cap = 0.8
    # In scene units.
    learning_rate = 0.05

    image_size: tuple[int, int] = (64, 64)
    views: int = 24
    subdivisions: int = 3
    laplacian: float = 0.03
    flatten: float = 0.0003
    meshes: MeshSplit = field(default_factory=default_meshes, repr=False)
    fault: Fault | None = None
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", check_image_size(self.image_size))
        check_integer(self.views, "views", minimum=1)
        check_integer(self.subdivisions, "subdivisions", minimum=0)
        check_weight(self.laplacian, "laplacian")
        check_weight(self.flatten, "flatten")
        check_type(self.meshes, "meshes", MeshSplit)
        check_fault(self.fault)
        check_dtype(self.dtype)

    def draw(self, count: int, split: Split, generator: torch.Generator) -> Shape3DTask:
        """Return ``count`` random problems with the meshes of a split."""
        meshes = self.meshes.draw(count, split, generator, self.dtype)
        elevation = torch.tensor(ELEVATIONS, dtype=torch.float64)[
            torch.randint(len(ELEVATIONS), (count,), generator=generator)
        ]
        azimuth = torch.arange(self.views, dtype=torch.float64) * (360 / self.views)
        seen = join(
            [
                self._silhouettes(m, e.expand(self.views), azimuth)
                for m, e in zip(meshes, elevation, strict=True)
            ]
        )
        # Drawn last, so that all else is drawn as without a fault.
        seen = replace(seen, images=spoiled(seen.images, self.fault, generator))
        judged = [self._silhouettes(m, *_judged_views()) for m in meshes]
        targets = [_side_by_side(one.images[_one_of_each_elevation(0)]) for one in judged]
        template = template_of(self.subdivisions)
        zeros = torch.zeros(count, template.mesh.num_vertices, 3, dtype=self.dtype)
        return Shape3DTask(
            template,
            seen,
            join(judged),
            self.laplacian,
            self.flatten,
            start={"displacement": zeros},
            targets=torch.stack(targets),
        )

    def _silhouettes(self, mesh: Mesh, elevation: Tensor, azimuth: Tensor) -> Silhouettes:
        camera = Camera.look_at(
            eye=DISTANCE * orbit_axes(azimuth, elevation)[0],
            fov=FIELD_OF_VIEW,
            image_size=self.image_size,
            dtype=self.dtype,
        )
        return Silhouettes(camera, hard_renderer().silhouette(mesh, camera))


@cache
def _narrow() -> SoftRasterizer:
    """Return the renderer of the differentiable error; kept, as it keeps its tables."""
    return SoftRasterizer(Gaussian(NARROW))


def _judged_views() -> tuple[Tensor, Tensor]:
    """Return elevations and azimuths in degrees, the azimuths of each elevation staggered."""
    elevation = torch.tensor(JUDGED_ELEVATIONS, dtype=torch.float64)
    count = len(JUDGED_ELEVATIONS) * JUDGED_PER_ELEVATION
    step = 360 / count
    azimuth = torch.arange(count, dtype=torch.float64).reshape(JUDGED_PER_ELEVATION, -1).mT
    return elevation.repeat_interleave(JUDGED_PER_ELEVATION), (azimuth.flatten() + 0.25) * step


def _one_of_each_elevation(problem: int) -> slice:
    """Return which of all judged views the pictures of a problem are from."""
    views = len(JUDGED_ELEVATIONS) * JUDGED_PER_ELEVATION
    return slice(problem * views, (problem + 1) * views, JUDGED_PER_ELEVATION)


def _side_by_side(images: Tensor) -> Tensor:
    """Return images (N, H, W) as one picture (H, N W)."""
    return images.permute(1, 0, 2).flatten(1)
