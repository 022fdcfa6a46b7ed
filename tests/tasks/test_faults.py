"""Faults of images: what they change, and that they change nothing else of a problem."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tasks import Bar, FlippedPixels, Holes, PoseFamily, Split
from tests.zoo.tasks import CASES, soft


def spoiled(fault, images, seed=0):
    return fault.spoil(images, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [(), (3,)], ids=["silhouettes", "pictures"])
def test_a_hole_is_a_disc_about_a_pixel_that_is_seen(channels):
    images = torch.zeros(40, 20, 30, *channels)
    images[:, 8:12, 14:18] = 1.0
    seen = spoiled(Holes(count=1, radius=0.1), images)
    # Four pixels are at a distance below 2 of a corner's centre within the square, nine of an inner one's.
    gone = (images - seen).reshape(40, 20, 30, -1)
    assert ((gone == 0) | (gone == 1)).all()
    assert set(gone[..., 0].sum((1, 2)).tolist()) == {4.0, 6.0, 9.0}
    assert torch.equal(gone[..., 0], gone[..., -1])
    everywhere = spoiled(Holes(count=1, radius=0.1), torch.ones(40, 20, 30, *channels))
    assert (1 - everywhere).reshape(40, 20, 30, -1)[..., 0].sum((1, 2)).max() == 9


def test_a_bar_through_what_is_seen_has_its_width_in_every_direction():
    images = torch.full((30, 41, 41), -1.0)
    images[:, 20, 20] = 1.0
    hidden = spoiled(Bar(width=0.2), images) == 0
    # How much of the middle row and column it takes: the width over the cosine and the sine of its direction.
    row, column = hidden[:, 20].sum(1).double(), hidden[:, :, 20].sum(1).double()
    width = (row**-2 + column**-2).rsqrt()
    assert ((width - 0.2 * 41).abs() < 1).all()
    for length in (row, column):
        assert length.min() <= 9
        assert length.max() == 41


def test_flipped_pixels_are_as_many_as_said_and_are_the_negative():
    images = torch.rand(3, 20, 10, 3, generator=torch.Generator().manual_seed(1))
    seen = spoiled(FlippedPixels(0.05), images)
    wrong = (seen != images).any(-1)
    assert wrong.sum((1, 2)).tolist() == [10, 10, 10]
    assert torch.equal(seen[wrong], 1 - images[wrong])
    assert not torch.equal(wrong[0], wrong[1])


@pytest.mark.parametrize("name", ["pose", "shape3d", "shape2d", "occlusion"])
def test_a_fault_changes_the_loss_and_nothing_else_of_a_problem(name):
    family = CASES[name]
    sound, faulty = (f.sample(0, 2, Split.TRAIN) for f in (family, replace(family, fault=Holes())))
    start = sound.init()
    assert all(torch.equal(value, faulty.init()[key]) for key, value in start.items())
    assert torch.equal(sound.targets, faulty.targets)
    assert torch.equal(sound.error(start), faulty.error(start))
    assert (sound.loss(start, soft()) != faulty.loss(start, soft())).all()
    if (solution := faulty.solution()) is not None:
        assert faulty.error(solution).max() < 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Holes(count=0), "count must be at least 1"),
        (lambda: Holes(radius=0.0), "radius must be"),
        (lambda: Bar(width=-1.0), "width must be"),
        (lambda: FlippedPixels(share=1.0), "share must be"),
        (lambda: PoseFamily(fault=Holes), "fault must be a Fault, got the class Holes"),
    ],
)
def test_wrong_faults_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
