"""Volumes by winding numbers."""

from __future__ import annotations

import pytest
import torch

from taichisoft import Mesh, shapes
from taichisoft.shapes.parts import Part
from taichisoft.shapes.solids import box
from tasks.single_view.volume import grid_points, occupancy, volume_iou, winding_numbers


def as_mesh(part: Part) -> Mesh:
    return Mesh(torch.from_numpy(part.vertices).float(), torch.from_numpy(part.faces.copy()))


def test_shifted_cubes_share_a_third():
    """Two cubes, one half a side ahead of the other, have 1/3 of their union in common."""
    cells = 16
    first = occupancy(as_mesh(box((-0.25, 0, 0), (1, 1, 1), (1, 1, 1))), cells)
    second = occupancy(as_mesh(box((0.25, 0, 0), (1, 1, 1), (2, 2, 2))), cells)
    assert first.sum() == second.sum() == cells**3 // 8
    assert float(volume_iou(first, second)) == pytest.approx(1 / 3)
    assert volume_iou(torch.stack([first, first]), torch.stack([first, ~first])).tolist() == [1, 0]


def test_empty_volumes_agree():
    empty = torch.zeros(8, dtype=torch.bool)
    assert float(volume_iou(empty, empty)) == 1


def test_winding_numbers_count_parts():
    inside, overlap, outside = (0.1, 0.0, 0.0), (0.6, 0.0, 0.0), (3.0, 0.2, 0.1)
    spheres = [shapes.icosphere(1).vertices + torch.tensor([x, 0, 0]) for x in (0.0, 1.2)]
    faces = shapes.icosphere(1).faces
    both = torch.cat([faces, faces + len(spheres[0])])
    points = torch.tensor([inside, overlap, outside])
    found = winding_numbers(points, torch.cat(spheres), both)
    assert torch.allclose(found, torch.tensor([1.0, 2.0, 0.0]), atol=1e-5)
    turned = winding_numbers(points, torch.cat(spheres), both.flip(1))
    assert torch.allclose(turned, -found, atol=1e-5)


def test_an_open_surface_encloses_nearly_the_same():
    sphere = shapes.icosphere(2)
    whole = occupancy(sphere, 12)
    open_one = occupancy(Mesh(sphere.vertices, sphere.faces[4:]), 12)
    assert volume_iou(whole, open_one) > 0.97


def test_chunks_do_not_matter(monkeypatch):
    points, sphere = grid_points(6), shapes.icosphere(1)
    whole = winding_numbers(points, sphere.vertices, sphere.faces)
    monkeypatch.setattr("tasks.single_view.volume.PAIRS", 500)
    assert torch.equal(winding_numbers(points, sphere.vertices, sphere.faces), whole)


def test_nothing_encloses_nothing():
    mesh = Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64))
    assert not occupancy(mesh, 3).any()
