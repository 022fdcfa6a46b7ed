"""Pose: where it starts, what it measures, and what its targets show."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from taichisoft import Camera, SoftRasterizer
from tasks import PoseFamily, Split
from tasks.rotations import from_axis_angle
from tests.task_cases import CASES, SIZE, SOME_MESHES, soft


@pytest.mark.parametrize("span", [(0.0, 0.0), (15.0, 35.0), (55.0, 75.0), (180.0, 180.0)])
def test_pose_starts_within_the_span_of_angles(span):
    task = PoseFamily(image_size=SIZE, meshes=SOME_MESHES, start_angle=span).sample(
        0, 40, Split.TRAIN
    )
    error = task.error(task.init())
    low, high = span
    assert error.min() >= low - 0.02
    assert error.max() <= high + 0.02
    assert error.max() - error.min() >= 0.7 * (high - low)


def test_pose_error_is_the_angle_however_the_estimate_got_there():
    task = CASES["pose"].sample(0, 3, Split.TRAIN)
    unknowns = task.solution()
    true = from_axis_angle(unknowns["rotation"])
    turned = from_axis_angle(torch.tensor([[0.0, math.radians(20), 0.0]])) @ true
    vectors = Rotation.from_matrix(turned.numpy()).as_rotvec()
    unknowns["rotation"] = torch.from_numpy(vectors).float()
    unknowns["distance"] += 0.3
    torch.testing.assert_close(task.error(unknowns), torch.full((3,), 20.0), rtol=0, atol=1e-3)
    assert not task.success(torch.tensor([5.0]))
    assert task.success(torch.tensor([4.99]))


def test_pose_targets_fit_the_image_and_do_not_depend_on_what_is_unknown():
    known = CASES["pose, known camera"].sample(0, 12, Split.TRAIN)
    task = CASES["pose"].sample(0, 12, Split.TRAIN)
    assert torch.equal(known.targets, task.targets)
    assert task.init().keys() == {"rotation", "distance", "fov"}
    assert known.init().keys() == {"rotation"}
    margin = (task.targets[:, 0].sum(), task.targets[:, -1].sum())
    assert margin == (0, 0)
    assert (task.targets.sum((1, 2)) > 20).all()


def test_pose_camera_stays_outside_the_mesh_for_any_unknowns():
    task = CASES["pose"].sample(0, 2, Split.TRAIN)
    for value in (-1e6, 1e6):
        unknowns = {name: torch.full_like(v, value) for name, v in task.init().items()}
        loss = task.loss(unknowns, soft())
        assert loss.isfinite().all()
        assert task.views(unknowns, 0).sum() > 0


@pytest.mark.cpu_only
def test_pose_views_agree_with_a_camera_that_moves_instead():
    """Turning the mesh by R and looking along -z is looking along the rows of R."""
    family = PoseFamily(image_size=SIZE, meshes=SOME_MESHES, dtype=torch.float64)
    task = family.sample(5, 2, Split.TRAIN)
    unknowns = task.solution()
    rotation = from_axis_angle(unknowns["rotation"]) @ task.start_rotation
    ratio = {n: torch.exp(0.7 * torch.tanh(unknowns[n] / 0.7)) for n in ("distance", "fov")}
    for problem, mesh in enumerate(task.meshes.split()):
        camera = Camera.look_at(
            eye=4 * ratio["distance"][problem] * rotation[problem, 2],
            up=rotation[problem, 1],
            fov=40 * ratio["fov"][problem],
            image_size=SIZE,
        )
        image = SoftRasterizer.hard().silhouette(mesh, camera)[0]
        assert (image != task.target(problem)).sum() <= 1
