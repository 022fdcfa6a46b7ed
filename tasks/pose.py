"""Pose: the orientation, distance and field of view of a known mesh, from one image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from taichisoft import Camera, MeshBatch, Situation, SoftRasterizer, situation_of
from taichisoft.base.checks import check_dtype, check_image_size, check_type
from taichisoft.geometry.rotations import (
    angle_between,
    from_axis_angle,
    random_directions,
    random_rotations,
)
from tasks.arguments import Unknowns, check_problem, check_span, check_unknowns
from tasks.base import Split, Task, TaskFamily
from tasks.faults import Fault, check_fault, spoiled
from tasks.hard import hard_renderer
from tasks.look_at import camera_in_front
from tasks.meshes import MeshSplit, default_meshes
from tasks.pose_image import PoseImage, Silhouette

NEAR_START = (15.0, 35.0)
MIDDLE_START = (35.0, 55.0)
FAR_START = (55.0, 75.0)

# The middle of the range of cameras. At any target camera the unit sphere just fits the image.
DISTANCE = 4.0
FIELD_OF_VIEW = 40.0
# Logarithms of distance and of field of view relative to the middle: targets, starts, and a
# bound that no step crosses, so that the camera never gets into the mesh.
TARGET_SPREAD = 0.15
START_SPREAD = 0.3
BOUND = 0.7

SOLVED_DEGREES = 5.0


@dataclass(frozen=True, eq=False)
class PoseTask(Task):
    """Poses to find. Made by `PoseFamily.sample`.

    The unknown "rotation" (P, 3) is an axis times an angle in radians that turns the start into
    the estimate, about the axes of the camera's image. "distance" and "fov" (P,) are logarithms
    relative to the middle of the range, squashed smoothly into a bound. All that the inner
    optimisation sees is the loss of a soft image and the hard target.

    Parameters
    ----------
    meshes : MeshBatch
        One mesh for each of the P problems.
    image_size : (int, int)
        Height and width in pixels.
    start_rotation : Tensor, (P, 3, 3)
        Mesh to world, at the start.
    start : dict of Tensor
        The unknowns at the start.
    truth : dict of Tensor
        "rotation", "distance" and "fov" of the solution. Those that are not in ``start`` are known.
    targets : Tensor, (P, H, W) or (P, H, W, 3)
        Hard images of the solution.
    image : PoseImage
        What is seen of the meshes.
    seen : Tensor, (P, H, W) or (P, H, W, 3)
        What the loss compares with: the targets, or such with a fault.
    """

    meshes: MeshBatch
    image_size: tuple[int, int]
    start_rotation: Tensor
    start: Unknowns
    truth: Unknowns
    targets: Tensor
    image: PoseImage
    seen: Tensor
    solved_below = SOLVED_DEGREES

    def solution(self) -> Unknowns:
        """Return the unknowns of the targets."""
        return {name: self.truth[name].clone() for name in self.start}

    def loss(self, unknowns: Unknowns, renderer: SoftRasterizer) -> Tensor:
        """Return the loss of soft image and target of each problem, (P,), see `PoseImage`."""
        check_unknowns(unknowns, self.start)
        return self.image.loss(*self._scene(unknowns), renderer, self.seen)

    def error(self, unknowns: Unknowns) -> Tensor:
        """Return the angle in degrees between estimated and true orientation, (P,). Differentiable.

        Distance and field of view do not count.
        """
        check_unknowns(unknowns, self.start)
        estimate = self._rotation(unknowns["rotation"])
        return torch.rad2deg(angle_between(estimate, self._true_rotation))

    def situation(self) -> Situation:
        """Return what is known of the meshes where they start."""
        return situation_of(*self._scene(self.init()), colors=self.image.sees_light)

    @torch.no_grad()
    def views(self, unknowns: Unknowns, problem: int) -> Tensor:
        """Return the hard image of one problem, (H, W) or (H, W, 3)."""
        check_unknowns(unknowns, self.start)
        check_problem(problem, self.count)
        mesh, camera = self._scene(unknowns)
        alone = MeshBatch.from_meshes([mesh.split()[problem]])
        return self.image.draw(alone, camera[problem], hard_renderer())[0]

    @cached_property
    def _true_rotation(self) -> Tensor:
        # Made in inference mode it could not be used outside of it.
        with torch.inference_mode(False), torch.no_grad():
            return self._rotation(self.truth["rotation"])

    def _rotation(self, vector: Tensor) -> Tensor:
        return from_axis_angle(vector) @ self.start_rotation

    def _scene(self, unknowns: Unknowns) -> tuple[MeshBatch, Camera]:
        values = {**self.truth, **unknowns}
        rotation = self._rotation(values["rotation"])
        return _place(self.meshes, rotation, values, self.image, image_size=self.image_size)


@dataclass(frozen=True)
class PoseFamily(TaskFamily):
    """Known meshes in random orientations, started a given angle away.

    Parameters
    ----------
    image_size : (int, int)
        Height and width in pixels.
    start_angle : (float, float)
        Smallest and largest angle between start and solution in degrees, in [0, 180]: the
        difficulty, for which `NEAR_START`, `MIDDLE_START` and `FAR_START` are usual values.
    unknown_distance, unknown_fov : bool
        Whether distance and field of view are to be found too. If not, they are known.
    image : PoseImage
        What is seen of the meshes: `Silhouette`, or `Shaded`.
    meshes : MeshSplit
        The objects; by default `default_meshes`.
    fault : Fault, optional
        What is wrong with the images that the loss compares with. The problems are those without it, and so
        are targets and errors. None: nothing is.
    dtype : torch.dtype
        Of the problems, float32 or float64.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of an argument.

    Notes
    -----
    After the pose experiments of Soft Rasterizer (Liu et al., ICCV 2019), GenDR (Petersen et al.,
    CVPR 2022) and "Learning to Rasterize Differentiably" (Wu et al., EGSR 2024), with uniform
    orientations instead of azimuth and elevation.
    """

    name = "pose"
    error_unit = "degrees"
    error_cap = 60.0
    # In radians, and in units of the logarithms.
    learning_rate = 0.08

    image_size: tuple[int, int] = (64, 64)
    start_angle: tuple[float, float] = NEAR_START
    unknown_distance: bool = True
    unknown_fov: bool = True
    image: PoseImage = field(default_factory=Silhouette)
    meshes: MeshSplit = field(default_factory=default_meshes, repr=False)
    fault: Fault | None = None
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", check_image_size(self.image_size))
        angles = check_span(self.start_angle, "start_angle", 0.0, 180.0)
        object.__setattr__(self, "start_angle", angles)
        check_type(self.unknown_distance, "unknown_distance", bool)
        check_type(self.unknown_fov, "unknown_fov", bool)
        check_type(self.image, "image", PoseImage)
        check_type(self.meshes, "meshes", MeshSplit)
        check_fault(self.fault)
        check_dtype(self.dtype)

    def draw(self, count: int, split: Split, generator: torch.Generator) -> PoseTask:
        """Return ``count`` random problems of a split."""
        meshes = MeshBatch.from_meshes(self.meshes.draw(count, split, generator, self.dtype))
        start_rotation = random_rotations(count, generator).to(self.dtype)
        turn = random_directions(count, generator) * self._angles(count, generator)[:, None]
        truth = {"rotation": turn.to(self.dtype)}
        start = {"rotation": torch.zeros(count, 3, dtype=self.dtype)}
        unknown = {"distance": self.unknown_distance, "fov": self.unknown_fov}
        for name, is_unknown in unknown.items():
            # Both are drawn in any case, so that known and unknown cameras are the same ones.
            true = _logarithms(count, TARGET_SPREAD, generator).to(self.dtype)
            estimate = _logarithms(count, START_SPREAD, generator).to(self.dtype)
            truth[name] = true
            if is_unknown:
                start[name] = estimate
        rotation = from_axis_angle(truth["rotation"]) @ start_rotation
        mesh, camera = _place(meshes, rotation, truth, self.image, image_size=self.image_size)
        targets = self.image.draw(mesh, camera, hard_renderer())
        # Drawn last, so that all else is drawn as without a fault.
        seen = spoiled(targets, self.fault, generator)
        return PoseTask(
            meshes, self.image_size, start_rotation, start, truth, targets, self.image, seen
        )

    def _angles(self, count: int, generator: torch.Generator) -> Tensor:
        low, high = (math.radians(angle) for angle in self.start_angle)
        return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)


def _place(
    meshes: MeshBatch,
    rotation: Tensor,
    values: Unknowns,
    image: PoseImage,
    *,
    image_size: tuple[int, int],
) -> tuple[MeshBatch, Camera]:
    """Return the turned meshes and a camera on the z axis for each, or what looks the same in the image."""
    distance = DISTANCE * _bounded(values["distance"]).exp()
    fov = FIELD_OF_VIEW * _bounded(values["fov"]).exp()
    if not image.sees_light:
        return meshes, camera_in_front(distance, fov, image_size, rotation)
    turned = meshes.with_vertices(meshes.vertices @ rotation.mT)
    return turned, camera_in_front(distance, fov, image_size)


def _bounded(logarithm: Tensor) -> Tensor:
    return BOUND * torch.tanh(logarithm / BOUND)


def _logarithms(count: int, spread: float, generator: torch.Generator) -> Tensor:
    """Return unknowns whose logarithms, after `_bounded`, are uniform within the spread."""
    uniform = 2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1
    return BOUND * torch.atanh(spread * uniform / BOUND)
