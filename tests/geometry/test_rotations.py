"""Rotations: against SciPy, and their derivatives at and near the identity."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from taichisoft.geometry.rotations import (
    angle_between,
    from_axis_angle,
    random_directions,
    random_rotations,
)


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
    assert torch.autograd.gradcheck(from_axis_angle, vector.requires_grad_())
    assert torch.autograd.gradgradcheck(from_axis_angle, vector)


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


def test_random_rotations_are_rotations_and_uniform():
    turns = random_rotations(4000, torch.Generator().manual_seed(0))
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(turns @ turns.mT, eye.expand_as(turns), rtol=0, atol=1e-14)
    torch.testing.assert_close(turns.det(), torch.ones(4000, dtype=torch.float64))
    assert turns.mean(0).abs().max() < 0.04
    # The mean of the squares is 1/3 for every entry, the mean angle pi/2 + 2/pi.
    assert (turns.square().mean(0) - 1 / 3).abs().max() < 0.02
    assert angle_between(turns, eye).mean() == pytest.approx(math.pi / 2 + 2 / math.pi, abs=0.04)
