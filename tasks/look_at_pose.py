"""The pose protocol that the authors of "Learning to Rasterize Differentiably" published.

A camera looks at the origin from a distance, an elevation and an azimuth, and these raw numbers, with its
field of view, are what Adam changes. `PoseFamily` is the better posed variant; this one is for comparison
with published rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from taichisoft import Camera, Mesh, Situation, SoftRasterizer, situation_of
from taichisoft.base.checks import check_image_size, check_type
from taichisoft.geometry.losses import iou
from tasks.arguments import Unknowns, check_problem, check_span, check_unknowns
from tasks.base import Split, Task, TaskFamily
from tasks.hard import hard_renderer
from tasks.look_at import orbit, place, radius_of

START_ANGLE = (15.0, 35.0)
SOLVED_DEGREES = 5.0

# Ranges of the uniform distributions; distances in units of the mesh, half fields of view in degrees.
TARGET_DISTANCE = (2.5, 4.0)
TARGET_HALF_FOV = 20.0
TARGET_ANGLE_SPREAD = 60.0
START_DISTANCE = (2.0, 10.0)
START_HALF_FOV = (10.0, 30.0)

# For the largest meshes the bound moves the nearest start by 1.4e-3 units.
LARGEST_RADIUS = 1.5


@dataclass(frozen=True, eq=False)
class LookAtPoseTask(Task):
    """Cameras to find, of P silhouettes of one mesh. Made by `LookAtPoseFamily.sample`.

    The unknowns, each (P,), are raw numbers under one learning rate: "distance" in units of the mesh,
    "elevation" and "azimuth" in degrees, and "fov", half the vertical field of view in degrees. The mesh is
    turned by the target's own rotation beforehand, so the right elevation and azimuth are 0. Distances below
    1.05 radii of the mesh, and half fields of view outside of 1 to 80 degrees, are bent back smoothly.

    Parameters
    ----------
    mesh : Mesh
        The mesh, without batch axes.
    image_size : (int, int)
        Height and width in pixels.
    turn : Tensor, (P, 3, 3)
        Rotation of the mesh in front of the target's camera.
    start : dict of Tensor
        The unknowns at the start.
    fixed : dict of Tensor
        Those of the four numbers that stay where they start.
    truth : dict of Tensor
        All four numbers of the targets.
    targets : Tensor, (P, H, W)
        Hard silhouettes.
    """

    mesh: Mesh
    image_size: tuple[int, int]
    turn: Tensor
    start: Unknowns
    fixed: Unknowns
    truth: Unknowns
    targets: Tensor
    solved_below = SOLVED_DEGREES

    def solution(self) -> Unknowns | None:
        """Return the unknowns of the targets; None if a wrong number is fixed."""
        if self.fixed:
            return None
        return {name: self.truth[name].clone() for name in self.start}

    def loss(self, unknowns: Unknowns, renderer: SoftRasterizer) -> Tensor:
        """Return ``1 - IoU`` of soft silhouette and target of each problem, (P,)."""
        check_unknowns(unknowns, self.start)
        values = {**self.fixed, **unknowns}
        scene = self._scene(self.turn, values)
        return 1 - iou(renderer.silhouette(*scene), self.targets)

    def error(self, unknowns: Unknowns) -> Tensor:
        """Return ``sqrt(elevation^2 + azimuth^2)`` in degrees, (P,). Differentiable.

        The number by which the protocol judges: it is not the angle of a rotation, though close to it when
        small, and a full turn counts as 360 degrees. Distance and field of view do not count.
        """
        check_unknowns(unknowns, self.start)
        angles = torch.stack([unknowns["elevation"], unknowns["azimuth"]], -1)
        return torch.linalg.vector_norm(angles, dim=-1)

    def situation(self) -> Situation:
        """Return what is known of the mesh as the cameras of the start see it."""
        scene = self._scene(self.turn, {**self.fixed, **self.init()})
        return situation_of(*scene, colors=False)

    @torch.no_grad()
    def views(self, unknowns: Unknowns, problem: int) -> Tensor:
        """Return the hard silhouette of one problem, (H, W)."""
        check_unknowns(unknowns, self.start)
        check_problem(problem, self.count)
        one = {name: value[[problem]] for name, value in {**self.fixed, **unknowns}.items()}
        return hard_renderer().silhouette(*self._scene(self.turn[[problem]], one))[0]

    def _scene(self, turn: Tensor, values: Unknowns) -> tuple[Mesh, Camera]:
        return place(self.mesh, turn, values, image_size=self.image_size, radius=self._radius)

    @cached_property
    def _radius(self) -> float:
        return radius_of(self.mesh)


@dataclass(frozen=True, eq=False)
class LookAtPoseFamily(TaskFamily):
    """Cameras around one mesh, started a given angle away.

    Targets have the distance 2.5 + 1.5 U (U uniform in [0, 1]), elevation and azimuth normally distributed
    with 60 degrees, and half a field of view of 20 degrees. Starts have the distance 2 + 8 U, an angle in
    `start_angle` in a random direction of the plane of elevation and azimuth, and half a field of view of
    10 + 20 U degrees. The two splits differ in their random numbers only.

    Parameters
    ----------
    mesh : Mesh
        One mesh of a radius about the origin of at most 1.5, float32 or float64, without batch axes.
        Its colours are ignored. It is used as it is: Spot, the published one, has a radius of 1.15.
    image_size : (int, int)
        Height and width in pixels.
    start_angle : (float, float)
        Smallest and largest start angle in degrees.
    fit_fov : bool
        Whether the field of view is optimised. The published program names it an unknown, but detaches it
        from the graph, so that there it stays where it starts: False does the same.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of an argument.

    Notes
    -----
    After the pose notebook of Wu et al., "Learning to Rasterize Differentiably" (EGSR 2024). There the
    target's rotation is that of a camera whose up vector flips beyond an elevation of 90 degrees; here it
    goes on turning. The two differ by half a turn of the whole image, so the problems are equally
    distributed.
    """

    name = "look-at pose"
    error_unit = "degrees"
    error_cap = 60.0
    # That of the protocol: 0.3 degrees, or units of distance, per step.
    learning_rate = 0.3

    mesh: Mesh
    image_size: tuple[int, int] = (64, 64)
    start_angle: tuple[float, float] = START_ANGLE
    fit_fov: bool = True

    def __post_init__(self) -> None:
        check_type(self.mesh, "mesh", Mesh)
        if self.mesh.vertices.ndim != 2 or self.mesh.num_faces == 0:
            raise ValueError(
                f"mesh must be one mesh with faces, got vertices of shape "
                f"{tuple(self.mesh.vertices.shape)} and {self.mesh.num_faces} faces"
            )
        radius = radius_of(self.mesh)
        if not 0 < radius <= LARGEST_RADIUS:
            raise ValueError(
                f"mesh must have a radius about the origin greater than 0 and at most "
                f"{LARGEST_RADIUS}, since cameras start at distances from {START_DISTANCE[0]:g}, "
                f"got {radius:.3g}"
            )
        object.__setattr__(self, "mesh", Mesh(self.mesh.vertices, self.mesh.faces))
        object.__setattr__(self, "image_size", check_image_size(self.image_size))
        angles = check_span(self.start_angle, "start_angle", 0.0, 180.0)
        object.__setattr__(self, "start_angle", angles)
        check_type(self.fit_fov, "fit_fov", bool)

    def draw(self, count: int, split: Split, generator: torch.Generator) -> LookAtPoseTask:
        """Return ``count`` random problems; the splits differ in their random numbers only."""
        dtype = self.mesh.dtype
        turn, truth = _targets(count, generator)
        start = _starts(count, self.start_angle, generator)
        turn = turn.to(dtype)
        truth = {name: value.to(dtype) for name, value in truth.items()}
        start = {name: value.to(dtype) for name, value in start.items()}
        fixed = {} if self.fit_fov else {"fov": start.pop("fov")}
        scene = place(self.mesh, turn, truth, image_size=self.image_size)
        targets = hard_renderer().silhouette(*scene)
        return LookAtPoseTask(self.mesh, self.image_size, turn, start, fixed, truth, targets)


def _targets(count: int, generator: torch.Generator) -> tuple[Tensor, Unknowns]:
    """Return rotations and true numbers."""
    distance = _uniform(TARGET_DISTANCE, count, generator)
    angles = TARGET_ANGLE_SPREAD * torch.randn(2, count, generator=generator, dtype=torch.float64)
    zero = torch.zeros(count, dtype=torch.float64)
    truth = {
        "distance": distance,
        "elevation": zero,
        "azimuth": zero,
        "fov": zero + TARGET_HALF_FOV,
    }
    return orbit(*angles), truth


def _starts(count: int, span: tuple[float, float], generator: torch.Generator) -> Unknowns:
    distance = _uniform(START_DISTANCE, count, generator)
    direction = torch.randn(2, count, generator=generator, dtype=torch.float64)
    angles = direction / direction.norm(dim=0) * _uniform(span, count, generator)
    fov = _uniform(START_HALF_FOV, count, generator)
    return {"distance": distance, "elevation": angles[0], "azimuth": angles[1], "fov": fov}


def _uniform(span: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    low, high = span
    return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)
