"""One harness for every task family: what holds for all of them."""

from __future__ import annotations

import math
from dataclasses import astuple

import pytest
import torch

from meta.learning.inner import InnerSettings, solve
from meta.learning.method import Method
from taichisoft import Situation, SoftRasterizer, situation_of
from tasks import FAMILIES, OcclusionFamily, PoseFamily, Shaded, Shape3DFamily, Split, TaskFamily
from tests.zoo.tasks import CASES, SIZE, soft

every_family = pytest.mark.parametrize("family", CASES.values(), ids=CASES)


def leaves(task) -> dict[str, torch.Tensor]:
    return {name: value.requires_grad_() for name, value in task.init().items()}


def tensors(task) -> list[torch.Tensor]:
    pictures = [task.target(p) for p in range(task.count)]
    starts = [task.views(task.init(), p) for p in range(task.count)]
    return [*task.init().values(), *pictures, *starts, task.error(task.init())]


def same(first, second) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(first), tensors(second), strict=True))


def test_every_family_is_in_the_harness():
    assert {type(family) for family in CASES.values()} == set(FAMILIES.values())
    assert all(FAMILIES[name]().name == name for name in FAMILIES)


def test_a_family_without_one_of_its_constants_is_refused():
    with pytest.raises(TypeError, match="Nameless must have the class attributes name, error_cap"):

        class Nameless(TaskFamily):
            error_unit, learning_rate = "pixels", 0.1


@every_family
def test_a_seed_gives_the_same_problems_again(family):
    task = family.sample(3, 3, Split.TRAIN)
    torch.manual_seed(17)
    assert same(task, family.sample(3, 3, Split.TRAIN))
    assert not same(task, family.sample(4, 3, Split.TRAIN))
    assert not same(task, family.sample(3, 3, Split.HELD_OUT))


@every_family
def test_shapes_and_finiteness(family):
    task = family.sample(0, 3, Split.TRAIN)
    unknowns = task.init()
    assert task.count == 3
    assert all(len(value) == 3 for value in unknowns.values())
    loss, error = task.loss(unknowns, soft()), task.error(unknowns)
    success = task.success(error)
    assert loss.shape == error.shape == success.shape == (3,)
    assert loss.isfinite().all()
    assert error.isfinite().all()
    assert success.dtype == torch.bool
    assert not success.any(), "the start must not be a solution"
    assert family.error_cap > 0
    assert family.learning_rate > 0
    assert family.error_unit


class Watching(SoftRasterizer):
    """A renderer that measures what it is given to draw."""

    seen: Situation

    def silhouette(self, mesh, camera):
        """Measure and draw."""
        self.seen = situation_of(mesh, camera, colors=False)
        return super().silhouette(mesh, camera)

    def forward(self, mesh, camera):
        """Measure and draw."""
        self.seen = situation_of(mesh, camera, colors=True)
        return super().forward(mesh, camera)


@every_family
def test_the_situation_is_that_of_what_the_loss_draws_at_the_start(family):
    task, renderer = family.sample(0, 2, Split.TRAIN), Watching()
    task.loss(task.init(), renderer)
    told, seen = astuple(task.situation()), astuple(renderer.seen)
    # A sphere is measured from the views of one problem.
    assert told == pytest.approx(seen, rel=0.03 if isinstance(family, Shape3DFamily) else 1e-6)
    assert told[1] == SIZE[0]


@every_family
def test_starts_are_new_leaves(family):
    task = family.sample(0, 2, Split.TRAIN)
    first = task.init()
    for value in first.values():
        assert value.is_leaf
        assert not value.requires_grad
        value += 1
    assert all((task.init()[name] != first[name]).all() for name in first)


@every_family
def test_gradients_are_finite_and_reach_every_problem(family):
    task = family.sample(0, 3, Split.TRAIN)
    unknowns = leaves(task)
    task.loss(unknowns, soft()).sum().backward()
    for value in unknowns.values():
        assert value.grad.isfinite().all()
        assert (value.grad.reshape(3, -1) != 0).any(1).all()


@every_family
def test_problems_of_a_batch_do_not_influence_each_other(family):
    task = family.sample(0, 3, Split.TRAIN)
    moved = {name: value.clone() for name, value in task.init().items()}
    for value in moved.values():
        value[1] += 0.1 * torch.linspace(-1, 1, value[1].numel()).reshape(value[1].shape)
    before, after = task.loss(task.init(), soft()), task.loss(moved, soft())
    assert abs(before[1] - after[1]) > 1e-3
    torch.testing.assert_close(before[[0, 2]], after[[0, 2]], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(task.error(task.init())[[0, 2]], task.error(moved)[[0, 2]])

    unknowns = leaves(task)
    task.loss(unknowns, soft())[1].backward()
    for value in unknowns.values():
        assert not value.grad[[0, 2]].any()


@every_family
def test_the_solution_has_no_error_and_looks_like_the_target(family):
    task = family.sample(0, 3, Split.HELD_OUT)
    unknowns = task.solution()
    assert bool(task.success(torch.zeros(3)).all())
    assert not task.success(torch.full((3,), family.error_cap)).any()
    if unknowns is None:
        return
    assert task.error(unknowns).max() < 1e-3
    assert (task.loss(unknowns, soft()) < task.loss(task.init(), soft())).all()
    assert task.loss(unknowns, SoftRasterizer.hard()).max() < 1e-6
    for problem in range(3):
        assert torch.equal(task.views(unknowns, problem), task.target(problem))


@every_family
def test_pictures(family):
    task = family.sample(0, 2, Split.TRAIN)
    for problem in range(2):
        start, target = task.views(task.init(), problem), task.target(problem)
        assert start.shape == target.shape
        assert start.shape[0] == SIZE[0]
        assert not torch.equal(start, target)
        for picture in (start, target):
            if picture.ndim == 2:
                assert set(picture.unique().tolist()) == {0.0, 1.0}
            else:
                assert picture.shape == (*SIZE, 3)
                assert 0 <= picture.min() < picture.max() <= 1


@every_family
def test_adam_reduces_the_loss_and_the_error(family):
    task = family.sample(0, 2, Split.TRAIN)
    settings = InnerSettings(steps=12, learning_rate=family.learning_rate)
    trajectory = solve(task, Method(soft()), settings, measure_every=12)
    assert trajectory.losses[-1].mean() < 0.8 * trajectory.losses[0].mean()
    assert trajectory.errors[-1].mean() < trajectory.errors[0].mean()


@every_family
def test_wrong_unknowns_are_named(family):
    task = family.sample(0, 2, Split.TRAIN)
    name, value = next(iter(task.init().items()))
    for evaluate in (lambda u: task.loss(u, soft()), task.error, lambda u: task.views(u, 0)):
        with pytest.raises(ValueError, match=f"unknowns must have the keys.*{name}"):
            evaluate({"nothing": value})
        with pytest.raises(ValueError, match=f"{name}.*must have shape"):
            evaluate({**task.init(), name: value[:1]})
        with pytest.raises(TypeError, match=f"{name}.*must have the dtype"):
            evaluate({**task.init(), name: value.double()})
        with pytest.raises(TypeError, match="unknowns must be a dict"):
            evaluate(value)
    for show in (task.target, lambda p: task.views(task.init(), p)):
        with pytest.raises(ValueError, match="problem must be less than 2, got 2"):
            show(2)


@every_family
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": 0.5}, "seed must be an int"),
        ({"count": 0}, "count must be at least 1"),
        ({"split": "train"}, "split must be a Split"),
    ],
)
def test_wrong_arguments_of_sample_are_named(family, change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        family.sample(**{"seed": 0, "count": 1, "split": Split.TRAIN, **change})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoseFamily(image_size=64), "image_size must be a pair"),
        (lambda: PoseFamily(start_angle=(35.0, 15.0)), "start_angle must rise within"),
        (lambda: PoseFamily(start_angle=(0.0, 200.0)), "start_angle must rise within"),
        (lambda: PoseFamily(start_angle=20.0), "start_angle must be a pair"),
        (lambda: PoseFamily(unknown_fov=1), "unknown_fov must be a bool"),
        (lambda: PoseFamily(unknown_distance=None), "unknown_distance must be a bool"),
        (lambda: PoseFamily(meshes=[]), "meshes must be a MeshSplit"),
        (lambda: PoseFamily(dtype=torch.float16), "dtype must be"),
        (lambda: PoseFamily(image="shaded"), "image must be a PoseImage"),
        (lambda: Shaded(weight=-1.0), "weight must not be negative"),
        (lambda: OcclusionFamily(image_size=64), "image_size must be a pair"),
        (lambda: OcclusionFamily(planes=2), "planes must be at least 3, got 2"),
        (lambda: OcclusionFamily(planes=7), "planes must be at most 6, got 7"),
        (lambda: OcclusionFamily(displacement=0.1), "displacement must be a pair"),
        (lambda: OcclusionFamily(displacement=(0.2, 0.1)), "displacement must rise within"),
        (lambda: OcclusionFamily(dtype=torch.int64), "dtype must be"),
        (lambda: Shape3DFamily(views=0), "views must be at least 1"),
        (lambda: Shape3DFamily(subdivisions=-1), "subdivisions must be at least 0"),
        (lambda: Shape3DFamily(laplacian=-1.0), "laplacian must not be negative"),
        (lambda: Shape3DFamily(flatten=math.nan), "flatten must be finite"),
        (lambda: Shape3DFamily(image_size=(0, 3)), "image_size.* must be at least 1"),
        (lambda: Shape3DFamily(meshes=None), "meshes must be a MeshSplit"),
        (lambda: Shape3DFamily(dtype=torch.int64), "dtype must be"),
    ],
)
def test_wrong_settings_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
