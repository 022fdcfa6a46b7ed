"""Procedural objects and their photographs."""

from __future__ import annotations

import pytest
import torch

from tasks.base import Split
from tasks.single_view.categories import CATEGORIES
from tasks.single_view.objects import draw_object
from tasks.single_view.photographs import Photographs, Subject
from tasks.single_view.procedural import ring_cameras, unseen_cameras
from tasks.single_view.settings import ViewSettings
from tasks.single_view.volume import winding_numbers
from tests.tasks.single_view.cases import DATA, data


@pytest.mark.parametrize("category", CATEGORIES)
def test_objects_are_those_of_their_seed(category):
    first, again = (draw_object(category, 3, Split.TRAIN) for _ in range(2))
    assert torch.equal(first.vertices, again.vertices)
    assert torch.equal(first.face_colors, again.face_colors)
    others = [
        draw_object(category, 4, Split.TRAIN),
        draw_object(category, 3, Split.HELD_OUT),
        draw_object(category, 3, Split.TRAIN, seed=1),
    ]
    for other in others:
        assert not torch.equal(other.face_colors, first.face_colors)


@pytest.mark.parametrize("category", CATEGORIES)
def test_parts_are_closed_and_face_outwards(category):
    """Far outside the surface winds around nothing, and no point is inside out."""
    mesh = draw_object(category, 0, Split.TRAIN)
    assert mesh.vertices.norm(dim=1).max() == pytest.approx(1.0, abs=1e-5)
    assert ((mesh.face_colors >= 0) & (mesh.face_colors <= 1)).all()
    points = torch.rand(300, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    around = winding_numbers(points.double(), mesh.vertices.double(), mesh.faces)
    assert (around - around.round()).abs().max() < 1e-4
    assert around.min() > -0.5
    assert (around > 0.5).any()


def test_unknown_categories_are_named():
    with pytest.raises(ValueError, match=r"category must be one of car, .*got 'boat'"):
        draw_object("boat", 0, Split.TRAIN)


def test_judged_views_were_never_shown():
    views = ViewSettings()
    shown, judged = ring_cameras(views, 8), unseen_cameras(views, 8)
    assert len(shown) == 16
    distances = torch.cdist(shown.position, judged.position)
    assert distances.min() > 0.5


def test_pairs_are_two_views_of_one_object():
    photographs = data().train
    rows = photographs.pairs(200, torch.Generator().manual_seed(0))
    assert (rows[:, 0] != rows[:, 1]).all()
    each = len(photographs) // len(photographs.subjects)
    assert torch.equal(rows[:, 0] // each, rows[:, 1] // each)
    assert rows.unique().numel() == len(photographs)


def test_photographs_are_a_data_set():
    photographs = data().train
    assert len(photographs) == 8 * 6
    image, row = photographs[7]
    assert row == 7
    assert image.shape == (4, DATA.image_size, DATA.image_size)
    assert (image[:3] <= image[3] + 1e-6).all()
    assert image[3].max() == 1
    assert sum(1 for _ in photographs) == len(photographs)


def test_an_object_with_one_view_is_named():
    subject = data().train.subjects[0]
    alone = Subject("cup", "all", subject.images[:1], subject.camera[:1])
    with pytest.raises(ValueError, match="two views or more, cup has one"):
        Photographs([subject, alone]).check_several()


def test_images_need_a_camera_each():
    subject = data().train.subjects[0]
    with pytest.raises(ValueError, match="cup must have a camera each, got 6 images and 2 cameras"):
        Subject("cup", "all", subject.images, subject.camera[:2])
