"""Shape2D: the vertices of a coloured triangulation, moved until it shows a target picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from taichisoft import (
    Camera,
    Gaussian,
    Mesh,
    MeshBatch,
    Situation,
    SoftImage,
    SoftRasterizer,
    situation_of,
)
from taichisoft.base.checks import check_dtype, check_image_size, check_integer
from taichisoft.geometry.losses import mse
from tasks.arguments import Unknowns, check_problem, check_unknowns, check_weight
from tasks.base import Split, Task, TaskFamily
from tasks.faults import Fault, check_fault, spoiled
from tasks.hard import level_renderer
from tasks.pictures import draw_picture
from tasks.triangulation import FEWEST_TRIANGLES, Triangulation, triangulate

# Nearer to the target than at rest.
# Starts are at 1.5 to 4.3, 2.5 on average. A Gaussian brings 32 training problems to 0.99 on average within
# 40 steps, 59 % of them below 1, if it is 0.3 pixels wide; annealed from 2 to 0.2 pixels to 0.95 and 66 %.
SOLVED = 1.0
# Width in pixels of the edges in the smooth stand-in for the error.
NARROW = 0.3
# The unit of the error is not less, even if the triangulation at rest shows the target perfectly.
SMALLEST_RMSE = 1e-3
# Vertices nearer to each other than this, in spacings, are displaced alike: few faces flip.
SMOOTHNESS = 2.0


@dataclass(frozen=True, eq=False)
class Shape2DTask(Task):
    """Triangulations to move. Made by `Shape2DFamily.sample`.

    The unknown "vertices" (P, I, 2) is added to the start of the inner vertices, in heights of the image, x
    right and y up. The vertices around the frame stay, the colours of the faces are known. Which
    triangulation shows a picture best is not known, so there is no solution.

    Parameters
    ----------
    meshes : MeshBatch
        The P triangulations at the start, with a colour for each face; the inner vertices come first.
    start : dict of Tensor
        Zeros.
    targets : Tensor, (P, H, W, 3)
        The pictures to show.
    rest_mse : Tensor, (P,)
        Mean squared difference of target and hard picture of the triangulation that the colours were
        taken with.
    camera : Camera
        Sees the frame.
    seen : Tensor, (P, H, W, 3)
        What the loss compares with: the targets, or such with a fault.
    """

    meshes: MeshBatch
    start: Unknowns
    targets: Tensor
    rest_mse: Tensor
    camera: Camera
    seen: Tensor
    solved_below = SOLVED

    def loss(self, unknowns: Unknowns, renderer: SoftRasterizer) -> Tensor:
        """Return the mean squared difference of soft picture and what is seen over ``rest_mse``, (P,)."""
        return mse(self._render(unknowns, renderer).color, self.seen) / self.rest_mse

    @torch.no_grad()
    def error(self, unknowns: Unknowns) -> Tensor:
        """Return the RMSE of the hard picture over that at rest, (P,). No gradient."""
        picture = self._render(unknowns, level_renderer()).color
        return (mse(picture, self.targets) / self.rest_mse).sqrt()

    def differentiable_error(self, unknowns: Unknowns) -> Tensor:
        """Return the same of pictures whose edges are Gaussian, of 0.3 pixels, (P,).

        Neighbours are blended without a seam. Differentiable in the unknowns.
        """
        image = self._render(unknowns, SoftRasterizer(Gaussian(NARROW)))
        # Alpha is at least one half, as every pixel lies in a face.
        picture = image.color / image.alpha[..., None]
        return (mse(picture, self.targets) / self.rest_mse).clamp(min=1e-12).sqrt()

    def situation(self) -> Situation:
        """Return what is known of the triangulations as they start."""
        return situation_of(self._mesh(self.init()), self.camera, colors=True)

    @torch.no_grad()
    def views(self, unknowns: Unknowns, problem: int) -> Tensor:
        """Return the hard picture of one problem, (H, W, 3)."""
        check_problem(problem, self.count)
        mesh = self._mesh(unknowns).split()[problem]
        return level_renderer()(mesh, self.camera).color[0]

    def _render(self, unknowns: Unknowns, renderer: SoftRasterizer) -> SoftImage:
        return renderer(self._mesh(unknowns), self.camera)

    def _mesh(self, unknowns: Unknowns) -> MeshBatch:
        check_unknowns(unknowns, self.start)
        return _moved(self.meshes, unknowns["vertices"])


@dataclass(frozen=True)
class Shape2DFamily(TaskFamily):
    """Pictures of words and shapes, to be shown by a random triangulation whose vertices move.

    At rest, the triangulation has vertices on the contours of the target, and its faces have the mean
    colours of the target there. Then its vertices are moved away, smoothly; the problem is to move them back
    or to a better place.

    Parameters
    ----------
    image_size : (int, int)
        Height and width in pixels.
    triangles : int
        Number of faces, at least 4; an odd number gives one less.
    displacement : float
        Root mean square of how far the start of a vertex is from rest, in lengths of an edge of equilateral
        triangles as many as these; less near the frame. Not negative. The difficulty.
    fault : Fault, optional
        What is wrong with the pictures that the loss compares with. The problems are those without it, with
        their colours, and so are targets and errors. None: nothing is.
    dtype : torch.dtype
        Of the problems, float32 or float64.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of an argument.

    Notes
    -----
    After the experiment with triangulations of "Learning to Rasterize Differentiably" (Wu et al., EGSR 2024).
    """

    name = "shape2d"
    error_unit = "RMSE / RMSE at rest"
    # The mean error of the start at the usual displacement.
    error_cap = 2.5
    # In heights of the image.
    learning_rate = 0.04

    image_size: tuple[int, int] = (64, 64)
    triangles: int = 100
    displacement: float = 0.9
    fault: Fault | None = None
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", check_image_size(self.image_size))
        check_integer(self.triangles, "triangles", minimum=FEWEST_TRIANGLES)
        check_weight(self.displacement, "displacement")
        check_fault(self.fault)
        check_dtype(self.dtype)

    def draw(self, count: int, split: Split, generator: torch.Generator) -> Shape2DTask:
        """Return ``count`` random problems with the words and shapes of a split."""
        targets, meshes, moves = [], [], []
        for _ in range(count):
            target = draw_picture(self.image_size, split, generator)
            rest = triangulate(target, self.triangles, generator)
            targets.append(target)
            meshes.append(Mesh(pad(rest.vertices, (0, 1)), rest.faces, None, rest.colors(target)))
            moves.append(self.displacement * _smooth_noise(rest, generator))
        pictures = torch.stack(targets).to(self.dtype)
        # Drawn last, so that all else is drawn as without a fault.
        seen = spoiled(pictures, self.fault, generator)
        return self._task(pictures, seen, MeshBatch.from_meshes(meshes), torch.stack(moves))

    def _task(self, targets: Tensor, seen: Tensor, rest: MeshBatch, moves: Tensor) -> Shape2DTask:
        moves = moves.to(self.dtype)
        rest = rest.to(dtype=self.dtype)
        camera = Camera.orthographic(
            eye=(0.0, 0.0, 1.0), height=1.0, image_size=self.image_size, dtype=self.dtype
        )
        picture = level_renderer()(rest, camera).color
        rest_mse = mse(picture, targets).clamp(min=SMALLEST_RMSE**2)
        start = {"vertices": torch.zeros_like(moves)}
        return Shape2DTask(_moved(rest, moves), start, targets, rest_mse, camera, seen)


def _moved(mesh: MeshBatch, displacement: Tensor) -> MeshBatch:
    """Add a displacement (P, I, 2) to the first vertices."""
    others = mesh.vertices.shape[1] - displacement.shape[1]
    return mesh.with_vertices(mesh.vertices + pad(displacement, (0, 1, 0, others)))


def _smooth_noise(rest: Triangulation, generator: torch.Generator) -> Tensor:
    """Return displacements of the inner vertices, (I, 2), like those of their neighbours.

    Gaussian noise of unit root mean square in spacings, that falls to zero at the boundary.
    """
    noise = torch.randn(rest.inner.shape, generator=generator, dtype=torch.float64)
    distance = torch.cdist(rest.inner, rest.inner) / rest.spacing
    weight = torch.exp(-0.5 * (distance / SMOOTHNESS) ** 2)
    smooth = weight @ noise / weight.norm(dim=1, keepdim=True)
    free = torch.cdist(rest.inner, rest.boundary).amin(1, keepdim=True) / rest.spacing
    return rest.spacing / math.sqrt(2) * smooth * free.clamp(max=1)
