"""Shape2D: rest is the unit of its error, its loss term by term, and its derivatives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from taichisoft import Gaussian, MeshBatch, Probabilistic, SoftRasterizer
from taichisoft.geometry.losses import mse
from tasks import Shape2DFamily, Split
from tests.zoo.tasks import SIZE, soft


def problems(displacement: float = 0.9, **settings):
    family = Shape2DFamily(image_size=SIZE, triangles=40, displacement=displacement, **settings)
    return family.sample(2, 3, Split.TRAIN)


def back_to_rest() -> dict[str, torch.Tensor]:
    rest, start = problems(0.0).meshes.vertices, problems().meshes.vertices
    return {"vertices": (rest - start)[:, : problems().start["vertices"].shape[1], :2]}


def test_rest_has_an_error_of_one_and_is_like_the_target():
    task = problems(0.0)
    error = task.error(task.init())
    torch.testing.assert_close(error, torch.ones(3), rtol=1e-6, atol=0)
    torch.testing.assert_close(
        task.loss(task.init(), SoftRasterizer.hard()), torch.ones(3), rtol=1e-6, atol=0
    )
    for problem in range(3):
        picture, target = task.views(task.init(), problem), task.target(problem)
        assert picture.shape == target.shape == (*SIZE, 3)
        rmse = (picture - target).square().mean().sqrt()
        torch.testing.assert_close(rmse, task.rest_mse[problem].sqrt(), rtol=1e-4, atol=0)
        for flipped in (target.flip(0), target.flip(1)):
            assert (picture - flipped).square().mean() > 2 * rmse**2


def test_moving_the_vertices_back_gives_the_error_of_rest():
    task = problems()
    assert (task.error(task.init()) > 1.2).all()
    torch.testing.assert_close(task.error(back_to_rest()), torch.ones(3), rtol=1e-6, atol=0)


def test_displacement_is_in_spacings_and_the_frame_stays():
    moves = [problems(d).meshes.vertices - problems(0.0).meshes.vertices for d in (0.0, 0.3, 0.6)]
    inner = problems().start["vertices"].shape[1]
    assert not any(move[:, inner:].any() for move in moves)
    assert not any(move[..., 2].any() for move in moves)
    torch.testing.assert_close(2 * moves[1], moves[2], rtol=1e-3, atol=1e-6)
    large = Shape2DFamily(image_size=(16, 16), triangles=300, displacement=0.5)
    rest = Shape2DFamily(image_size=(16, 16), triangles=300, displacement=0.0)
    moved = [f.sample(0, 6, Split.TRAIN).meshes.vertices for f in (large, rest)]
    spacing = (1.1**2 / 300 * 4 / 3**0.5) ** 0.5
    inner = large.sample(0, 1, Split.TRAIN).start["vertices"].shape[1]
    lengths = (moved[0] - moved[1])[:, :inner].norm(dim=-1)
    rms = float(lengths.square().mean().sqrt()) / spacing
    # Less than 0.5, as vertices near the frame move less.
    assert 0.35 < rms < 0.5


def test_larger_displacements_are_harder():
    errors = [problems(d).error(problems(d).init()).mean() for d in (0.0, 0.2, 0.5, 1.0)]
    assert errors == sorted(errors)


def test_problems_of_a_batch_have_different_pictures_and_topologies():
    task = problems()
    assert task.meshes.face_counts == (40, 40, 40)
    faces = task.meshes.faces.reshape(3, 40, 3) % task.meshes.vertices.shape[1]
    assert not torch.equal(faces[0], faces[1])
    assert not torch.equal(task.target(0), task.target(1))


def test_loss_is_the_mse_of_the_soft_picture_over_that_at_rest():
    task, renderer = problems(), SoftRasterizer(Gaussian(0.7), Probabilistic(), background=0.2)
    unknowns = {"vertices": 0.5 * back_to_rest()["vertices"]}
    losses = task.loss(unknowns, renderer)
    for problem, mesh in enumerate(task.meshes.split()):
        vertices = mesh.vertices.clone()
        vertices[: task.start["vertices"].shape[1], :2] += unknowns["vertices"][problem]
        color = renderer(mesh.with_vertices(vertices), task.camera).color
        expected = mse(color, task.target(problem)[None])[0] / task.rest_mse[problem]
        torch.testing.assert_close(losses[problem], expected)


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    "value",
    [lambda task, u: task.loss(u, soft()), lambda task, u: task.differentiable_error(u)],
    ids=["loss", "differentiable error"],
)
def test_derivatives_agree_with_central_differences(value):
    family = Shape2DFamily(image_size=(10, 12), triangles=12, dtype=torch.float64)
    task = family.sample(1, 2, Split.TRAIN)
    start = task.init()["vertices"].requires_grad_()
    (gradient,) = torch.autograd.grad(value(task, {"vertices": start}).sum(), start)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        direction = torch.randn(start.shape, generator=generator, dtype=torch.float64)
        ahead, behind = (
            value(task, {"vertices": start.detach() + h * direction}).sum() for h in (1e-6, -1e-6)
        )
        torch.testing.assert_close(
            (gradient * direction).sum(), (ahead - behind) / 2e-6, rtol=1e-8, atol=5e-9
        )


def test_the_smooth_error_is_near_the_error_and_ranks_alike():
    task = problems()
    rest = back_to_rest()
    for share in (0.0, 0.5, 1.0):
        unknowns = {"vertices": share * rest["vertices"]}
        smooth, error = task.differentiable_error(unknowns), task.error(unknowns)
        torch.testing.assert_close(smooth, error, rtol=0.1, atol=0)
    halfway = {"vertices": 0.7 * rest["vertices"]}
    assert (task.differentiable_error(halfway) < task.differentiable_error(task.init())).all()


def test_which_of_the_faces_that_fold_over_each_other_comes_first_does_not_count():
    task = problems()
    generator = torch.Generator().manual_seed(0)
    still = task.init()["vertices"]
    folded = {"vertices": still + 0.2 * torch.randn(still.shape, generator=generator)}
    reversed_meshes = [
        replace(mesh, faces=mesh.faces.flip(0), face_colors=mesh.face_colors.flip(0))
        for mesh in task.meshes.split()
    ]
    other = replace(task, meshes=MeshBatch.from_meshes(reversed_meshes))
    torch.testing.assert_close(other.error(folded), task.error(folded), rtol=1e-5, atol=0)


def test_no_gradient_comes_from_the_hard_error():
    task = problems()
    unknowns = {"vertices": task.init()["vertices"].requires_grad_()}
    assert not task.error(unknowns).requires_grad
    assert not task.views(unknowns, 0).requires_grad


def test_solved_means_nearer_than_rest():
    assert problems().success(torch.tensor([0.9, 1.0, 1.1])).tolist() == [True, False, False]


@pytest.mark.cpu_only
def test_both_float_types():
    for dtype in (torch.float32, torch.float64):
        task = problems(dtype=dtype)
        assert task.target(0).dtype == task.loss(task.init(), soft()).dtype == dtype
        assert task.differentiable_error(task.init()).dtype == dtype


def test_a_single_pixel():
    task = Shape2DFamily(image_size=(1, 1), triangles=4).sample(0, 2, Split.HELD_OUT)
    assert task.loss(task.init(), soft()).isfinite().all()
    assert task.error(task.init()).isfinite().all()
    assert task.differentiable_error(task.init()).isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 64}, "image_size must be a pair"),
        ({"triangles": 3}, "triangles must be at least 4, got 3"),
        ({"triangles": 50.0}, "triangles must be an int"),
        ({"displacement": -0.1}, "displacement must not be negative"),
        ({"displacement": "far"}, "displacement must be a number"),
        ({"dtype": torch.float16}, "dtype must be"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Shape2DFamily(**settings)
