"""Examples: what was told from single images of objects to test on, drawn beside what is there."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft import Mesh
from tasks.hard import hard_renderer
from tasks.single_view.alignment import turned_back
from tasks.single_view.evaluation import alignment, single
from tasks.single_view.photographs import Photographs
from tasks.single_view.supervision import Model

COUNT, MAGNIFIED = 8, 4


@torch.no_grad()
def examples(
    model: Model, shown: Photographs, judged: Photographs, learned_from: Photographs
) -> Tensor:
    """Return a picture on white, (H, W, 3) in [0, 1], with a row for each of some objects.

    From left to right: the image, its shape from there, its shape from a view to judge by, and that view.
    """
    rows = []
    for index, mesh in _told(model, shown, learned_from):
        row, other = shown.rows_of(index)[:1], judged.rows_of(index)[-1:]
        drawn = [_drawn(mesh, shown, row), _drawn(mesh, judged, other)]
        images = [_as_picture(shown, row), *drawn, _as_picture(judged, other)]
        rows.append(torch.cat(images, 1))
    picture = torch.cat(rows)
    return picture.repeat_interleave(MAGNIFIED, 0).repeat_interleave(MAGNIFIED, 1)


@torch.no_grad()
def example_meshes(
    model: Model, shown: Photographs, learned_from: Photographs
) -> list[tuple[str, Mesh]]:
    """Return the same shapes with the names of their objects, in which a slash is a minus."""
    told = _told(model, shown, learned_from)
    return [(shown.subjects[i].name.replace("/", "-"), mesh) for i, mesh in told]


def _told(model: Model, shown: Photographs, learned_from: Photographs) -> list[tuple[int, Mesh]]:
    """Return objects spread over the list, and the shape from the first image of each."""
    total = len(shown.subjects)
    chosen = torch.linspace(0, total - 1, min(COUNT, total)).round().long().tolist()
    rows = torch.cat([shown.rows_of(index)[:1] for index in chosen])
    _, turns = alignment(model, shown, learned_from)
    meshes = model.shapes(shown.pictures(rows))
    return [
        (index, turned_back(single(meshes, number), turns[shown.subjects[index].category]))
        for number, index in enumerate(chosen)
    ]


def _drawn(mesh: Mesh, photographs: Photographs, row: Tensor) -> Tensor:
    image = hard_renderer()(mesh, photographs.camera[row])
    return (image.color + 1 - image.alpha[..., None])[0]


def _as_picture(photographs: Photographs, row: Tensor) -> Tensor:
    image = photographs.pictures(row)[0]
    return (image[:3] + 1 - image[3:]).permute(1, 2, 0)
