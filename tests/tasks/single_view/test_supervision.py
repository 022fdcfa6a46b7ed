"""The loss with and without poses, and the turn that is free without."""

from __future__ import annotations

import pytest
import torch

from taichisoft import Camera, Mesh, shapes
from tasks.single_view import evaluation
from tasks.single_view.alignment import azimuths_of, best_turn, turned_back, turned_by
from tasks.single_view.network import Poses
from tasks.single_view.settings import quick
from tasks.single_view.supervision import best_hypotheses, model_of
from tests.tasks.single_view.cases import Dots, data, settings


def colored(mesh: Mesh) -> Mesh:
    return mesh.with_vertex_colors((mesh.vertices + 1) / 2)


def test_the_right_hypothesis_wins():
    """Of three azimuths for each of two views of a car."""
    wanted = quick(known_poses=False)
    views = wanted.data.views
    car, renderer = colored(shapes.car()), Dots()
    true = torch.tensor([40.0, 250.0])
    camera = Camera.orbit(
        views.distance, true, 20.0, fov=views.fov, image_size=(16, 16), dtype=torch.float32
    )
    colors = renderer.color(car, camera)
    targets = torch.cat([colors, renderer.silhouette(car, camera)[..., None]], -1)
    azimuth = torch.tensor([[100.0, 200.0, 40.0], [250.0, 70.0, 130.0]])
    poses = Poses(azimuth, torch.full((2, 3), 20.0), torch.zeros(2, 3))
    shape = Mesh(car.vertices[None], car.faces, vertex_colors=car.vertex_colors[None])
    best = best_hypotheses(shape, poses, targets.permute(0, 3, 1, 2), renderer, wanted, True)
    assert best.tolist() == [2, 0]


def test_scores_learn_which_hypothesis_wins():
    """Steps down the loss make the winner's score the largest, and a gradient reaches both networks."""
    wanted = quick(known_poses=False)
    model = model_of(wanted, 0)
    photographs = data().train
    rows = photographs.pairs(2, torch.Generator().manual_seed(0))
    loss = model.loss(photographs, rows, Dots(), colored=True)
    loss.total.backward()
    for part in (model.shapes.offsets, model.shapes.colors.mixing, model.poses.head):
        assert part.weight.grad.isfinite().all()
        assert part.weight.grad.abs().sum() > 0
    slope = model.poses.head.bias.grad[-wanted.network.hypotheses :]
    # Of a cross entropy: the winners' scores are to rise, the others to fall.
    assert slope.min() < 0 < slope.max()
    assert float(slope.sum()) == pytest.approx(0, abs=1e-6)


def test_colours_are_a_part_of_the_loss():
    model = model_of(settings(), 0)
    photographs, renderer = data().train, Dots()
    rows = photographs.pairs(2, torch.Generator().manual_seed(0))
    plain = model.loss(photographs, rows, renderer, colored=False)
    both = model.loss(photographs, rows, renderer, colored=True)
    assert both.total > plain.total
    assert both.iou == plain.iou
    (plain.total - 1 + plain.iou).backward()
    assert model.shapes.offsets.weight.grad.abs().sum() > 0
    assert model.shapes.colors.mixing.weight.grad is None


def test_a_turn_is_found_and_undone():
    true = torch.arange(0.0, 360, 30)
    # A third of the images is told wrongly.
    told = true + 70 + torch.tensor([0.0, 0.0, 180.0]).repeat(4)
    turn = best_turn(told, true)
    assert turn == pytest.approx(70, abs=1)
    assert turned_by(torch.tensor([10.0]), torch.tensor([350.0])).tolist() == [20.0]


def test_each_category_has_its_own_turn(monkeypatch):
    """What was told of all images is right, but for a turn that all images of a category share."""
    given = {name: 50.0 * index for index, name in enumerate(data().train.rows_by_category())}
    assert len(given) > 1

    def told(poses, photographs):
        azimuths = azimuths_of(photographs.camera)
        for category, rows in photographs.rows_by_category().items():
            azimuths[rows] += given[category]
        return azimuths

    monkeypatch.setattr(evaluation, "believed_azimuths", told)
    model = model_of(settings(known_poses=False), 0)
    found, turns = evaluation.alignment(model, data().shown, data().train)
    assert turns == pytest.approx(given)
    assert found["turns"] == turns
    assert found["azimuth_right"] == 1
    assert found["azimuth_error"] == pytest.approx(0, abs=1e-3)


def test_what_is_turned_back_looks_the_same_from_the_true_camera():
    views = settings().data.views
    car = shapes.car()
    told, true = (
        Camera.orbit(views.distance, a, 20.0, image_size=(16, 16), dtype=torch.float32)
        for a in (110.0, 40.0)
    )
    assert azimuths_of(told).tolist() == pytest.approx([110.0])
    back = turned_back(car, 70.0)
    assert torch.allclose(told.project(car.vertices), true.project(back.vertices), atol=1e-4)
