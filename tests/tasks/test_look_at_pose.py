"""The published pose protocol: its numbers, its bounds, and what its targets show."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from meta.learning.inner import InnerSettings, solve
from meta.learning.method import Method
from taichisoft import Camera, Gaussian, Mesh, SoftRasterizer, shapes, situation_of
from tasks import Split
from tasks.look_at import bounded_distance, bounded_half_fov, camera_in_front, orbit, place
from tasks.look_at_pose import LookAtPoseFamily
from tests.zoo.tasks import soft

SIZE = (24, 32)
HAMMER = shapes.hammer()
FAMILY = LookAtPoseFamily(HAMMER, SIZE)
NAMES = {"distance", "elevation", "azimuth", "fov"}


def test_problems_have_the_published_distributions():
    task = FAMILY.sample(0, 400, Split.TRAIN)
    start, truth = task.init(), task.truth
    spans = [
        (truth["distance"], 2.5, 4),
        (start["distance"], 2, 10),
        (start["fov"], 10, 30),
        (task.error(start), 15, 35),
    ]
    for values, low, high in spans:
        assert low - 1e-5 <= values.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < values.max() <= high + 1e-5
        assert abs(values.mean() - (low + high) / 2) < 0.05 * (high - low)
    assert (truth["fov"] == 20).all()
    assert not truth["elevation"].any()
    assert not truth["azimuth"].any()
    direction = torch.atan2(start["elevation"], start["azimuth"])
    assert abs(direction.cos().mean()) < 0.1
    assert abs(direction.sin().mean()) < 0.1
    up, back = task.turn[:, 1], task.turn[:, 2]
    elevation = torch.rad2deg(torch.atan2(back[:, 1], up[:, 1]))
    normal = 60 * torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    wrapped = (normal + 180) % 360 - 180
    assert abs(elevation.std() / wrapped.std() - 1) < 0.1


def test_a_seed_gives_the_same_problems_again():
    task = FAMILY.sample(3, 3, Split.TRAIN)
    torch.manual_seed(17)
    again = FAMILY.sample(3, 3, Split.TRAIN)
    assert torch.equal(task.targets, again.targets)
    assert all(torch.equal(task.init()[name], again.init()[name]) for name in NAMES)
    for other in (FAMILY.sample(4, 3, Split.TRAIN), FAMILY.sample(3, 3, Split.HELD_OUT)):
        assert not torch.equal(task.start["distance"], other.start["distance"])


def test_the_solution_is_what_the_target_shows():
    task = FAMILY.sample(0, 4, Split.HELD_OUT)
    solution = task.solution()
    assert task.error(solution).max() == 0
    assert task.success(task.error(solution)).all()
    assert not task.success(task.error(task.init())).any()
    assert task.loss(solution, SoftRasterizer.hard()).max() < 1e-6
    assert (task.loss(solution, soft()) < task.loss(task.init(), soft())).all()
    for problem in range(4):
        assert torch.equal(task.views(solution, problem), task.target(problem))
        assert not torch.equal(task.views(task.init(), problem), task.target(problem))


@pytest.mark.cpu_only
def test_views_are_those_of_a_camera_in_orbit():
    """Elevation and azimuth move an eye around the turned mesh, as the published program does."""
    mesh = HAMMER.to(dtype=torch.float64)
    task = LookAtPoseFamily(mesh, SIZE).sample(5, 6, Split.TRAIN)
    values = task.init()
    e, a = torch.deg2rad(values["elevation"]), torch.deg2rad(values["azimuth"])
    direction = torch.stack([e.cos() * a.sin(), e.sin(), e.cos() * a.cos()], -1)
    camera = Camera.look_at(
        eye=values["distance"][:, None] * direction, fov=2 * values["fov"], image_size=SIZE
    )
    turned = mesh.with_vertices(mesh.vertices @ task.turn.mT)
    images = SoftRasterizer.hard().silhouette(turned, camera)
    for problem in range(6):
        assert (images[problem] != task.views(values, problem)).sum() <= 1


def test_orbits_go_on_beyond_the_pole():
    angles = torch.linspace(-200, 200, 81, dtype=torch.float64)
    rotations = orbit(angles, 0.3 * angles)
    identity = torch.eye(3, dtype=torch.float64).expand(81, 3, 3)
    torch.testing.assert_close(rotations @ rotations.mT, identity)
    assert (torch.linalg.det(rotations) > 0).all()
    assert rotations.diff(dim=0).abs().max() < 0.1
    torch.testing.assert_close(orbit(*torch.zeros(2, 1, dtype=torch.float64))[0], identity[0])


def test_bounds_hold_and_do_not_touch_the_usual_range():
    radius = 1.15
    wild = torch.tensor([-1e6, -3.0, 0.0, 1.0, 1.2, 89.0, 1e6], dtype=torch.float64)
    assert (bounded_distance(wild, radius) >= 1.05 * radius).all()
    assert (bounded_half_fov(wild) > 0.99).all()
    assert (bounded_half_fov(wild) <= 80).all()
    distance = torch.linspace(2, 10, 9, dtype=torch.float64)
    fov = torch.linspace(10, 30, 9, dtype=torch.float64)
    assert (bounded_distance(distance, radius) - distance).abs().max() < 4e-5
    assert (bounded_half_fov(fov) - fov).abs().max() < 2e-4
    for bounded, value in ((lambda x: bounded_distance(x, radius), 0.5), (bounded_half_fov, -3.0)):
        unknown = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(bounded(unknown), unknown)
        assert slope > 0, "an unknown beyond a bound must find back"


@pytest.mark.cpu_only
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("turned", [False, True])
def test_a_camera_in_front_is_that_which_looks_at_the_origin(dtype, turned):
    """To the last bit, gradients too, also with the turn of the points made its own."""
    random = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=random, dtype=dtype)

    points, seed = uniform(20, 7, 3) - 0.5, uniform(20, 7, 4)
    distance, fov = (2 + uniform(20)).requires_grad_(), (20 + 60 * uniform(20)).requires_grad_()
    angles = (360 * uniform(2, 20)).requires_grad_()
    turn = orbit(*angles) if turned else torch.eye(3, dtype=dtype).expand(20, 3, 3)
    zero = torch.zeros_like(distance)
    camera = Camera.look_at(torch.stack([zero, zero, distance], -1), fov=fov, image_size=SIZE)
    expected = camera.project(points @ turn.mT if turned else points)
    found = camera_in_front(distance, fov, SIZE, turn if turned else None).project(points)
    assert torch.equal(found, expected)
    unknowns = (distance, fov, *([angles] if turned else []))
    gradients = (
        torch.autograd.grad(x, unknowns, seed, retain_graph=True) for x in (found, expected)
    )
    for first, second in zip(*gradients, strict=True):
        assert torch.equal(first, second)


def test_any_unknowns_can_be_rendered():
    task = FAMILY.sample(0, 2, Split.TRAIN)
    for value in (-1e4, 1e4):
        unknowns = {name: torch.full((2,), value) for name in NAMES}
        assert task.loss(unknowns, soft()).isfinite().all()
        mesh, camera = place(task.mesh, task.turn, unknowns, image_size=SIZE)
        assert camera.project(mesh.vertices)[..., 2].min() > camera.near


def test_gradients_reach_every_unknown():
    task = FAMILY.sample(0, 3, Split.TRAIN)
    unknowns = {name: value.requires_grad_() for name, value in task.init().items()}
    assert unknowns.keys() == NAMES
    task.loss(unknowns, soft()).sum().backward()
    for value in unknowns.values():
        assert value.grad.isfinite().all()
        assert (value.grad != 0).all()


def test_a_fixed_field_of_view_stays_at_its_start():
    task = LookAtPoseFamily(HAMMER, SIZE, fit_fov=False).sample(0, 3, Split.TRAIN)
    free = FAMILY.sample(0, 3, Split.TRAIN)
    assert task.init().keys() == NAMES - {"fov"}
    assert task.solution() is None
    assert torch.equal(task.targets, free.targets)
    assert torch.equal(task.loss(task.init(), soft()), free.loss(free.init(), soft()))
    assert torch.equal(task.views(task.init(), 1), free.views(free.init(), 1))


def test_the_protocol_makes_progress():
    task = FAMILY.sample(1, 4, Split.TRAIN)
    settings = InnerSettings(steps=40, learning_rate=FAMILY.learning_rate)
    trajectory = solve(task, Method(SoftRasterizer(Gaussian(0.2))), settings)
    # Measured: 0.47 and 0.55.
    assert trajectory.losses[-1].sum() < 0.7 * trajectory.losses[0].sum()
    assert trajectory.errors[-1].mean() < 0.75 * trajectory.errors[0].mean()


def test_error_is_that_of_the_protocol():
    task = FAMILY.sample(0, 3, Split.TRAIN)
    unknowns = task.init()
    unknowns |= {
        "elevation": torch.tensor([3.0, 0.0, 360.0]),
        "azimuth": torch.tensor([-4.0, 4.99, 0.0]),
    }
    assert task.error(unknowns).tolist() == pytest.approx([5.0, 4.99, 360.0])
    assert task.success(task.error(unknowns)).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LookAtPoseFamily("spot.obj"), "mesh must be a Mesh"),
        (lambda: LookAtPoseFamily(HAMMER.with_vertices(HAMMER.vertices[None])), "must be one mesh"),
        (lambda: LookAtPoseFamily(Mesh(HAMMER.vertices, HAMMER.faces[:0])), "must be one mesh"),
        (lambda: LookAtPoseFamily(HAMMER.with_vertices(2 * HAMMER.vertices)), "at most 1.5"),
        (lambda: LookAtPoseFamily(HAMMER.with_vertices(0 * HAMMER.vertices)), "greater than 0"),
        (lambda: LookAtPoseFamily(HAMMER, 64), "image_size must be a pair"),
        (lambda: LookAtPoseFamily(HAMMER, start_angle=(35.0, 15.0)), "start_angle must rise"),
        (lambda: LookAtPoseFamily(HAMMER, fit_fov=1), "fit_fov must be a bool"),
        (lambda: FAMILY.sample(-1, 1, Split.TRAIN), "seed must be at least 0"),
        (lambda: FAMILY.sample(0, 0, Split.TRAIN), "count must be at least 1"),
        (lambda: FAMILY.sample(0, 1, Split.TRAIN).loss({}, soft()), "unknowns must have the keys"),
        (lambda: FAMILY.sample(0, 1, Split.TRAIN).target(1), "problem must be less than 1"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize("fit_fov", [True, False])
def test_the_situation_is_that_of_the_start(fit_fov):
    task = LookAtPoseFamily(HAMMER, SIZE, fit_fov=fit_fov).sample(0, 1, Split.TRAIN)
    # As far away and with the angles and the field of view of the start: the camera of the problem itself.
    values = {**task.fixed, **task.start}
    mesh, camera = place(HAMMER, task.turn, values, image_size=SIZE)
    assert task.situation() == situation_of(mesh, camera, colors=False)
    nearer = replace(task, start=task.start | {"distance": task.start["distance"] / 2})
    assert nearer.situation().edge_length > 1.5 * task.situation().edge_length
