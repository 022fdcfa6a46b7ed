"""Rotations: against SciPy, and their derivatives at and near the identity and half a turn."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck, gradgradcheck
from torch.func import hessian, jacfwd, jacrev, vmap

import taichisoft as ts
from taichisoft.geometry.rotations import (
    angle_between,
    from_6d,
    from_axis_angle,
    from_quaternion,
    look_at,
    random_directions,
    random_rotations,
    to_6d,
    to_axis_angle,
    to_quaternion,
)

# Of torch itself, which compiles some of its transforms.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 0.0316, 0.0317, 0.5, 3.0, math.pi, 7.0])
def test_exponential_map_agrees_with_scipy(angle):
    vectors = angle * random_directions(5, torch.Generator().manual_seed(0))
    expected = torch.from_numpy(Rotation.from_rotvec(vectors.numpy()).as_matrix())
    torch.testing.assert_close(from_axis_angle(vectors), expected, rtol=0, atol=1e-15 * 8)


def test_exponential_map_turns_the_right_way():
    quarter = from_axis_angle(torch.tensor([0.0, 0.0, math.pi / 2]))
    torch.testing.assert_close(quarter @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


@pytest.mark.parametrize("angle", [0.0, 1e-5, 0.0316, 0.0317, 1.0, 4.0])
def test_exponential_map_is_differentiable_twice(angle):
    vector = angle * random_directions(2, torch.Generator().manual_seed(1))
    assert gradcheck(from_axis_angle, vector.requires_grad_())
    assert gradgradcheck(from_axis_angle, vector)


@pytest.mark.parametrize("angle", [0.0, 1e-8, 1e-3, 1.0, 3.0, math.pi])
def test_angle_between_is_the_angle_of_the_turn(angle):
    generator = torch.Generator().manual_seed(2)
    start = random_rotations(4, generator)
    vector = (angle * random_directions(4, generator)).requires_grad_()
    measured = angle_between(from_axis_angle(vector) @ start, start)
    torch.testing.assert_close(
        measured, torch.full((4,), angle, dtype=torch.float64), rtol=1e-6, atol=1e-14
    )
    measured.sum().backward()
    assert vector.grad.isfinite().all()
    if 0 < angle < math.pi:
        torch.testing.assert_close(vector.grad.norm(dim=1), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("angle", [0.0, math.pi])
def test_derivatives_of_an_angle_at_its_corners_are_zero(angle):
    turn = torch.diag(torch.tensor([1.0, math.cos(angle), math.cos(angle)]).double())

    def measured(vector):
        return angle_between(from_axis_angle(vector) @ turn, torch.eye(3).double())

    zero = torch.zeros(3).double()
    assert measured(zero) == angle
    for derivative in (
        jacrev(measured),
        jacfwd(measured),
        hessian(measured),
        jacrev(jacrev(measured)),
    ):
        assert not derivative(zero).any()


def test_the_square_of_an_angle_has_all_derivatives_at_zero():
    start = random_rotations(1, torch.Generator().manual_seed(7))[0]

    def square(vector):
        return to_axis_angle(from_axis_angle(vector) @ start @ start.mT).square().sum(-1)

    assert square(torch.zeros(3).double()) == pytest.approx(0, abs=1e-28)
    is_close(hessian(square)(torch.zeros(3).double()), 2 * torch.eye(3).double())


def test_random_rotations_are_rotations_and_uniform():
    turns = random_rotations(4000, torch.Generator().manual_seed(0))
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(turns @ turns.mT, eye.expand_as(turns), rtol=0, atol=1e-14)
    torch.testing.assert_close(turns.det(), torch.ones(4000, dtype=torch.float64))
    assert turns.mean(0).abs().max() < 0.04
    # The mean of the squares is 1/3 for every entry, the mean angle pi/2 + 2/pi.
    assert (turns.square().mean(0) - 1 / 3).abs().max() < 0.02
    assert angle_between(turns, eye).mean() == pytest.approx(math.pi / 2 + 2 / math.pi, abs=0.04)


ANGLES = [0.0, 1e-9, 1e-4, 0.0316, 0.0317, 0.5, 2.0, math.pi - 1e-3, math.pi - 1e-7]


def vectors_of(angle: float, count: int = 5) -> torch.Tensor:
    return angle * random_directions(count, torch.Generator().manual_seed(3))


def is_close(actual: torch.Tensor, expected: torch.Tensor, atol: float = 1e-14) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("angle", ANGLES)
def test_logarithm_is_the_way_back(angle):
    vectors = vectors_of(angle)
    is_close(to_axis_angle(from_axis_angle(vectors)), vectors)
    assert to_axis_angle(from_axis_angle(vectors.float())).dtype == torch.float32


def test_logarithm_of_half_a_turn_is_one_of_two():
    vectors = vectors_of(math.pi)
    turns = from_axis_angle(vectors)
    found = to_axis_angle(turns)
    is_close(found.norm(dim=-1), torch.full((5,), math.pi, dtype=torch.float64), 1e-13)
    is_close(from_axis_angle(found), turns)
    axes = torch.eye(3).double()
    is_close(to_axis_angle(2 * axes[:, :, None] * axes[:, None] - axes).abs(), math.pi * axes)


def third(function, x, along):
    """Return the first three derivatives along a direction, by reverse mode."""
    time = torch.zeros((), dtype=x.dtype, requires_grad=True)
    value = function(x + time * along)
    found = []
    flat = list(value.reshape(-1))
    for _ in range(3):
        flat = [
            torch.autograd.grad(v, time, create_graph=True)[0] if v.requires_grad else 0 * v
            for v in flat
        ]
        found.append(torch.stack(flat).detach().view_as(value))
    return found


def test_derivatives_of_the_exponential_map_at_zero_are_powers_of_the_generator():
    along = vectors_of(1.0, 1)[0]
    x, y, z = along.tolist()
    generator = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    found = third(from_axis_angle, torch.zeros(3).double(), along)
    for power, derivative in enumerate(found, 1):
        is_close(derivative, torch.linalg.matrix_power(generator, power))


@pytest.mark.parametrize("angle", ANGLES)
def test_derivatives_of_there_and_back_are_those_of_the_identity(angle):
    vector, along = vectors_of(angle, 2)[0], vectors_of(1.0, 2)[1]
    for way in (
        lambda x: to_axis_angle(from_axis_angle(x)),
        lambda x: to_axis_angle(from_quaternion(to_quaternion(from_axis_angle(x)))),
        lambda x: to_axis_angle(from_6d(to_6d(from_axis_angle(x)))),
    ):
        first, second, last = third(way, vector, along)
        is_close(first, along, 1e-11)
        is_close(second, torch.zeros(3).double(), 1e-10)
        is_close(last, torch.zeros(3).double(), 1e-7)


@pytest.mark.parametrize("angle", [0.0, 1e-3, 1.0, math.pi - 1e-3])
def test_all_maps_are_differentiable_twice(angle):
    vector = vectors_of(angle, 2).requires_grad_()
    rotation = from_axis_angle(vector.detach())
    cases = [
        (lambda x: to_axis_angle(from_axis_angle(x)), vector),
        # As functions of all nine numbers.
        (to_quaternion, rotation),
        (to_axis_angle, rotation),
        (to_6d, rotation),
        (from_6d, 3 * to_6d(rotation)),
        (from_quaternion, 3 * to_quaternion(rotation)),
    ]
    for function, x in cases:
        x = x.detach().requires_grad_()
        assert gradcheck(function, x)
        assert gradgradcheck(function, x)


def test_quaternions_agree_with_scipy():
    generator = torch.Generator().manual_seed(4)
    # Each of the four is the largest in some.
    turns = torch.cat([random_rotations(50, generator), from_axis_angle(vectors_of(math.pi))])
    xyzw = Rotation.from_matrix(turns.numpy()).as_quat(canonical=True)
    found = to_quaternion(turns)
    assert (found[:, 0] >= 0).all()
    is_close(found[:50], torch.from_numpy(xyzw[:50, [3, 0, 1, 2]]))
    is_close(from_quaternion(found), turns)
    scaled = found * torch.logspace(-200, 200, len(found), dtype=torch.float64)[:, None]
    is_close(from_quaternion(-scaled), turns)
    quarter = from_quaternion(torch.tensor([1.0, 0, 0, 1.0]))
    torch.testing.assert_close(quarter @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


def test_six_numbers_are_two_columns():
    numbers = torch.tensor([0.0, 2.0, 0.0, -3.0, 5.0, 0.0])
    expected = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    torch.testing.assert_close(from_6d(numbers), expected)
    torch.testing.assert_close(to_6d(expected), torch.tensor([0.0, 1, 0, -1, 0, 0]))
    turns = random_rotations(20, torch.Generator().manual_seed(5)).view(4, 5, 3, 3)
    is_close(from_6d(to_6d(turns)), turns)


def test_look_at_is_the_rotation_of_the_camera():
    generator = torch.Generator().manual_seed(6)
    eye, at, up = torch.randn(3, 4, 3, generator=generator, dtype=torch.float64)
    found = look_at(eye, at, up)
    is_close(found, ts.Camera.look_at(eye, at, up, image_size=(4, 5)).rotation)
    distance = (at - eye).norm(dim=-1, keepdim=True)
    is_close(
        (found @ (at - eye)[..., None])[..., 0] / distance, torch.eye(3).double()[2].expand(4, 3)
    )
    assert ((found @ up[..., None])[:, 1] < 0).all()
    assert look_at(eye[0], at, up[:, None]).shape == (4, 4, 3, 3)


MAPS = {
    "from_axis_angle": (from_axis_angle, torch.zeros(3).double()),
    "to_axis_angle": (to_axis_angle, torch.eye(3).double()),
    "to_quaternion": (to_quaternion, from_axis_angle(torch.tensor([3.0, 0, 0.5]).double())),
    "from_quaternion": (from_quaternion, torch.tensor([1.0, 2, 3, 4]).double()),
    "from_6d": (from_6d, torch.tensor([1.0, 2, 3, 4, 5, 7]).double()),
    "to_6d": (to_6d, torch.eye(3).double()),
}


@pytest.mark.parametrize("name", MAPS)
def test_transforms(name):
    function, x = MAPS[name]
    several = x.expand(3, *x.shape).contiguous()
    is_close(vmap(function)(several), function(several))
    is_close(jacfwd(function)(x), jacrev(function)(x))
    assert hessian(function)(x).isfinite().all()


def test_no_rotations_at_all():
    assert to_axis_angle(from_axis_angle(torch.zeros(0, 3))).shape == (0, 3)


BAD = {
    "integers": (lambda: from_axis_angle(torch.zeros(3).long()), TypeError, "vector.*float32"),
    "list": (lambda: from_axis_angle([0.0, 0, 0]), TypeError, "vector must be a Tensor"),
    "shape": (
        lambda: from_axis_angle(torch.zeros(4)),
        ValueError,
        r"vector.*\(\.\.\., 3\), got \(4,\)",
    ),
    "number": (lambda: from_axis_angle(torch.zeros(())), ValueError, r"vector.*\(\.\.\., 3\)"),
    "quaternion": (lambda: from_quaternion(torch.zeros(2, 4)), ValueError, "quaternion.*zero"),
    "six": (lambda: from_6d(torch.zeros(5)), ValueError, r"numbers.*\(\.\.\., 6\)"),
    "six zeros": (lambda: from_6d(torch.eye(6)[5]), ValueError, "numbers.*zero"),
    "parallel": (lambda: from_6d(torch.ones(6)), ValueError, r"3:\] must not be parallel"),
    "scaled": (lambda: to_quaternion(2 * torch.eye(3)), ValueError, "rotation must be a rotation"),
    "mirrored": (lambda: to_axis_angle(-torch.eye(3)), ValueError, "rotation.*mirrors"),
    "nan": (lambda: to_6d(torch.full((3, 3), math.nan)), ValueError, "rotation must be a rotation"),
    "nowhere": (lambda: look_at(*torch.zeros(3, 3)), ValueError, "eye must differ from at"),
    "no up": (lambda: look_at(*torch.eye(3)[:2], torch.zeros(3)), ValueError, "up must not"),
    "angle": (lambda: angle_between(torch.zeros(3), torch.eye(3)), ValueError, "first.*3, 3"),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD)
def test_bad_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call()
