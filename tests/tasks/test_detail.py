"""More and fewer faces: what they leave as it was; and objects of other kinds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from taichisoft import Mesh, shapes
from taichisoft.geometry.topology import half_edges
from tasks import OcclusionFamily, Split, default_meshes
from tasks.decimation import coarser
from tasks.detail import finer
from tasks.other_meshes import other_meshes
from tasks.outlines import HELD_OUT_OUTLINES, area, recolored, tessellate, tessellated_faces
from tests.zoo.tasks import CASES


def volume(mesh: Mesh) -> float:
    a, b, c = mesh.vertices.double()[mesh.faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def surface(mesh: Mesh) -> float:
    a, b, c = mesh.vertices.double()[mesh.faces].unbind(1)
    return float(torch.linalg.cross(b - a, c - a).norm(dim=1).sum() / 2)


def is_closed(mesh: Mesh) -> bool:
    """Return whether every edge is run along once in each direction."""
    edges = half_edges(mesh.faces)
    there, back = (torch.unique(e, dim=0) for e in (edges, edges.flip(1)))
    return len(there) == len(edges) and torch.equal(there, back)


# Of a side of 2 / sqrt(3).
SIDE = 2 / 3**0.5


@pytest.mark.parametrize(("change", "faces"), [(finer, 768), (coarser, 48)])
def test_a_cube_stays_a_cube_with_more_and_with_fewer_faces(change, faces):
    cube = shapes.cube(2)
    mesh = change(cube)
    assert mesh.num_faces == faces
    assert is_closed(mesh)
    assert volume(mesh) == pytest.approx(SIDE**3, rel=1e-5)
    assert surface(mesh) == pytest.approx(6 * SIDE**2, rel=1e-5)
    again = change(cube)
    assert torch.equal(mesh.vertices, again.vertices)
    assert torch.equal(mesh.faces, again.faces)


def test_coarser_objects_have_about_a_quarter_of_the_faces_and_fit_the_image():
    usual, coarse = default_meshes(), default_meshes().changed(coarser)
    assert coarse.held_out.keys() == usual.held_out.keys()
    for name, mesh in coarse.held_out.items():
        before = usual.held_out[name]
        assert 0.24 * before.num_faces < mesh.num_faces <= 0.25 * before.num_faces
        assert volume(mesh) == pytest.approx(volume(before), rel=0.1)
        assert mesh.vertices.norm(dim=1).max() <= 1 + 1e-6


@pytest.mark.parametrize("faces", [12, 144])
def test_faces_of_an_outline_fill_it_however_many_they_are(faces):
    for outline in HELD_OUT_OUTLINES.values():
        areas = area(tessellate(outline, faces)[tessellated_faces(faces)])
        assert areas.shape == (faces,)
        assert areas.min() > 1e-4
        torch.testing.assert_close(areas.sum(), area(outline))


def test_finer_planes_look_alike_and_coarser_ones_have_mean_colours():
    few, usual, many = (
        replace(CASES["occlusion"], faces=faces).sample(0, 2, Split.HELD_OUT)
        for faces in (12, 36, 144)
    )
    for other in (few, many):
        assert all(torch.equal(value, other.init()[key]) for key, value in usual.init().items())
        assert torch.equal(usual.pairs, other.pairs)
    assert ((usual.targets - many.targets).abs() < 1e-5).float().mean() > 0.99
    assert few.targets.sub(usual.targets).abs().max() < 0.1
    # Of the three faces between the origin and the first edge of the outline.
    colors = torch.arange(36.0)[:, None]
    assert recolored(colors, 12)[0] == (0 + 12 + 24) / 3
    assert recolored(colors, 144)[:5, 0].tolist() == [0, 0, 0, 0, 1]
    with pytest.raises(ValueError, match="faces must be 12, 36 or 144, got 35"):
        OcclusionFamily(faces=35)


@pytest.mark.parametrize("name", other_meshes())
def test_other_objects_are_closed_and_no_rotation_maps_them_to_themselves(name):
    mesh = other_meshes()[name]
    assert is_closed(mesh)
    assert volume(mesh) > 0
    assert mesh.vertices.norm(dim=1).max() == pytest.approx(1.0)
    # A rotation of finite order keeps the main axes of inertia, unless two moments are equal.
    points = mesh.vertices.double()
    points = points - points.mean(0)
    moments, axes = torch.linalg.eigh(points.T @ points / len(points))
    assert (moments.diff() > 0.01 * moments[-1]).all()
    for axis in axes.T:
        turned = 2 * (points @ axis)[:, None] * axis - points
        assert torch.cdist(turned, points).amin(1).max() > 0.1
