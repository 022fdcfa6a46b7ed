"""Evaluation on objects that were never seen: volume, silhouettes and colours, without any softness."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from taichisoft import Mesh, iou
from tasks.hard import hard_renderer
from tasks.single_view.alignment import (
    azimuths_of,
    believed_azimuths,
    best_turn,
    turned_back,
    turned_by,
    turns_of_categories,
)
from tasks.single_view.photographs import Photographs, Subject
from tasks.single_view.supervision import Model, UnknownPoses
from tasks.single_view.volume import occupancy, volume_iou

CELLS = 24
# Images of each object that a shape is told from, evenly chosen among its views.
INPUTS = 2
# An azimuth that is nearer counts as right, as in the literature.
RIGHT = 30.0
# True shapes that are kept, of some 14 kB each.
TRUTHS = 1024


@torch.no_grad()
def evaluate(
    model: Model,
    shown: Photographs,
    judged: Photographs,
    learned_from: Photographs,
    *,
    cells: int = CELLS,
    inputs: int = INPUTS,
) -> dict[str, Any]:
    """Return how well shapes are told from single images of objects.

    Parameters
    ----------
    model : Model
        The networks.
    shown : Photographs
        Of the objects; shapes are told from them.
    judged : Photographs
        Of the same objects in the same order, to compare silhouettes and colours with. A view that is the
        very image that the shape was told from is left out.
    learned_from : Photographs
        What was learned from. Without poses the turns about the vertical axis are found on them.
    cells : int
        Of the grid for volumes, along each axis of a cube from -1 to 1.
    inputs : int
        Images of each object.

    Returns
    -------
    dict
        ``volume_iou`` (None without true shapes), ``silhouette_iou`` and ``color_error`` (mean absolute
        difference over black), means over the images; ``volume_iou_of_another``, with the next object of the
        category, which tells how much is gained by looking at the image; ``categories`` with the
        means of each; without known poses ``azimuth_error`` (median, degrees) and ``azimuth_right`` (share
        within 30 degrees), and ``turns``, one for each category.
    """
    if judged is shown:
        shown.check_several()
    found, turns = alignment(model, shown, learned_from)
    truths = [_truth(subject, cells) for subject in shown.subjects]
    rows: list[dict[str, float]] = []
    for index, subject in enumerate(shown.subjects):
        every = shown.rows_of(index)
        chosen = every[torch.linspace(0, len(every) - 1, inputs + 1)[:-1].round().long()]
        meshes = turned_back(model.shapes(shown.pictures(chosen)), turns[subject.category])
        for number, row in enumerate(chosen.tolist()):
            mesh = single(meshes, number)
            measured = _in_views(mesh, shown, row, judged, index)
            another = truths[_another(shown, index)]
            rows.append(measured | _in_volume(mesh, truths[index], another, cells))
    return _mean(rows) | {"categories": _by_category(rows, shown, inputs)} | found


def alignment(
    model: Model, shown: Photographs, learned_from: Photographs
) -> tuple[dict[str, Any], dict[str, float]]:
    """Return what is measured of poses, and the turns of the shapes of each category that is shown.

    Where poses are known, the turns are 0. A category that was not learned from has the one of all images.
    """
    rows = shown.rows_by_category()
    if not isinstance(model, UnknownPoses):
        return {}, dict.fromkeys(rows, 0.0)
    seen = believed_azimuths(model.poses, learned_from)
    of_all = best_turn(seen, azimuths_of(learned_from.camera))
    turns = dict.fromkeys(rows, of_all) | turns_of_categories(seen, learned_from)
    told, true = believed_azimuths(model.poses, shown), azimuths_of(shown.camera)
    errors = torch.cat(
        [turned_by(told[some] - turns[category], true[some]) for category, some in rows.items()]
    )
    return {
        "turns": turns,
        "azimuth_error": float(errors.median()),
        "azimuth_right": float((errors < RIGHT).float().mean()),
    }, turns


@lru_cache(maxsize=TRUTHS)
def _truth(subject: Subject, cells: int) -> Tensor | None:
    """Return which cells a true shape fills; kept, as every training is held against the same ones."""
    return None if subject.mesh is None else occupancy(subject.mesh, cells)


def _in_views(
    mesh: Mesh, shown: Photographs, row: int, judged: Photographs, index: int
) -> dict[str, float]:
    others = judged.rows_of(index)
    if judged is shown:
        others = others[others != row]
    targets = judged.pictures(others)
    image = hard_renderer()(mesh, judged.camera[others])
    difference = (image.color.permute(0, 3, 1, 2) - targets[:, :3]).abs()
    return {
        "silhouette_iou": float(iou(image.alpha, targets[:, 3] >= 0.5).mean()),
        "color_error": float(difference.mean()),
    }


def _another(shown: Photographs, index: int) -> int:
    """Return the next object of the category after one, the next of all if it is the only one."""
    category = shown.subjects[index].category
    later = [(index + ahead) % len(shown.subjects) for ahead in range(1, len(shown.subjects))]
    own = [other for other in later if shown.subjects[other].category == category]
    return [*own, *later, index][0]


def _in_volume(
    mesh: Mesh, truth: Tensor | None, another: Tensor | None, cells: int
) -> dict[str, float]:
    if truth is None or another is None:
        return {}
    own = occupancy(mesh, cells)
    return {
        "volume_iou": float(volume_iou(own, truth)),
        "volume_iou_of_another": float(volume_iou(own, another)),
    }


def single(meshes: Mesh, index: int) -> Mesh:
    """Return one mesh of a batch with colours of vertices."""
    return Mesh(meshes.vertices[index], meshes.faces, vertex_colors=meshes.vertex_colors[index])


def _mean(rows: list[dict[str, float]]) -> dict[str, float | None]:
    """Return the mean of each number over the rows that have it, None if none has."""
    names = ("volume_iou", "volume_iou_of_another", "silhouette_iou", "color_error")
    found: dict[str, float | None] = {}
    for name in names:
        values = [row[name] for row in rows if name in row]
        found[name] = sum(values) / len(values) if values else None
    return found


def _by_category(
    rows: list[dict[str, float]], shown: Photographs, inputs: int
) -> Mapping[str, dict[str, float | None]]:
    groups = defaultdict(list)
    for index, row in enumerate(rows):
        groups[shown.subjects[index // inputs].category].append(row)
    return {category: _mean(some) for category, some in groups.items()}
