"""Pose: where it starts, what it measures, and what its targets show."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from taichisoft import Camera, Mesh, MeshBatch, SoftRasterizer, shapes
from taichisoft.geometry.rotations import from_axis_angle
from tasks import MeshSplit, PoseFamily, Shaded, Split
from tasks.shading import lit
from tests.zoo.tasks import CASES, SIZE, SOME_MESHES, soft


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


def one_face(*normal_and_side):
    """Return a triangle about the origin with that normal."""
    first, second = (torch.tensor(v, dtype=torch.float64) for v in normal_and_side)
    vertices = torch.stack([torch.zeros(3, dtype=torch.float64), first, second])
    return MeshBatch.from_meshes([Mesh(vertices, torch.tensor([[0, 1, 2]]))])


@pytest.mark.parametrize(
    ("sides", "light"),
    [
        # Towards the camera, the lamp is 46 degrees away; a face turned away is dark.
        (((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), 0.3 + 0.7 * 0.7 / math.sqrt(1.01)),
        (((0.0, 1.0, 0.0), (1.0, 0.0, 0.0)), 0.3),
        # Towards the lamp, whatever the size.
        (((3e-4, 2e-4, 0.0), (-4.2e-4, 6.3e-4, -7.8e-4)), 1.0),
        (((1.0, 2.0, 3.0), (2.0, 4.0, 6.0)), 0.3),
        (((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), 0.3),
    ],
)
def test_light_is_that_of_lambert(sides, light):
    colors = lit(one_face(*sides)).face_colors
    torch.testing.assert_close(colors, torch.tensor([[light]], dtype=torch.float64))


def test_light_has_finite_derivatives_for_faces_without_area():
    for side in (0.0, 1e-200, 1e-90, 1.0):
        face = one_face((side, 0.0, 0.0), (0.0, side, 0.0))
        vertices = face.vertices.clone().requires_grad_()
        light = lit(face.with_vertices(vertices)).face_colors.sum()
        (first,) = torch.autograd.grad(light, vertices, create_graph=True)
        (second,) = torch.autograd.grad((first * torch.arange(3)).sum(), vertices)
        assert first.isfinite().all()
        assert second.isfinite().all()


def test_shaded_problems_are_those_of_silhouettes_in_another_light():
    plain, shaded = (CASES[name].sample(2, 4, Split.TRAIN) for name in ("pose", "pose, shaded"))
    for name, value in plain.init().items():
        assert torch.equal(value, shaded.init()[name])
    assert torch.equal(shaded.targets[..., 0] > 0, plain.targets > 0)
    # Faces turned to and away from the lamp are seen.
    lights = [target[target > 0] for target in shaded.targets]
    assert all(light.min() >= 0.3 - 1e-6 and light.max() <= 1 + 1e-6 for light in lights)
    assert all(light.max() - light.min() > 0.2 for light in lights)


def test_shaded_loss_does_not_depend_on_the_background_of_the_renderer():
    task = CASES["pose, shaded"].sample(0, 2, Split.TRAIN)
    on_white = soft()
    on_white.background = 1.0
    torch.testing.assert_close(
        task.loss(task.init(), soft()), task.loss(task.init(), on_white), rtol=1e-5, atol=1e-7
    )


def test_weight_of_shading():
    """The loss is linear in it, and without it that of silhouettes."""
    losses = {}
    for weight in (0.0, 1.0, 3.0):
        family = PoseFamily(image_size=SIZE, meshes=SOME_MESHES, image=Shaded(weight))
        task = family.sample(0, 2, Split.TRAIN)
        losses[weight] = task.loss(task.init(), soft())
    plain = CASES["pose"].sample(0, 2, Split.TRAIN)
    torch.testing.assert_close(losses[0.0], plain.loss(plain.init(), soft()), rtol=1e-5, atol=0)
    shares = (losses[3.0] - losses[0.0], 3 * (losses[1.0] - losses[0.0]))
    torch.testing.assert_close(*shares, rtol=1e-4, atol=1e-6)
    assert (shares[0] > 1e-3).all()


@pytest.mark.cpu_only
def test_gradient_of_the_shaded_loss_is_that_of_central_differences():
    meshes = MeshSplit(train={"box": shapes.cube()}, held_out={"ball": shapes.icosphere(0)})
    family = PoseFamily(image_size=(10, 12), meshes=meshes, image=Shaded(), dtype=torch.float64)
    task = family.sample(0, 1, Split.TRAIN)
    unknowns = {name: value.requires_grad_() for name, value in task.init().items()}
    gradients = torch.autograd.grad(task.loss(unknowns, soft()).sum(), list(unknowns.values()))
    for name, gradient in zip(unknowns, gradients, strict=True):
        differences = [central_difference(task, name, index) for index in range(gradient.numel())]
        expected = torch.tensor(differences, dtype=torch.float64).reshape(gradient.shape)
        assert (gradient - expected).abs().max() < 5e-9 * expected.abs().max()


def central_difference(task, name: str, index: int, step: float = 1e-6) -> float:
    """Return the derivative of the summed loss in one number of an unknown, at the start."""
    losses = []
    for sign in (1, -1):
        unknowns = task.init()
        unknowns[name].view(-1)[index] += sign * step
        losses.append(task.loss(unknowns, soft()).sum().item())
    return (losses[0] - losses[1]) / (2 * step)
