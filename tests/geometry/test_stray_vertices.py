"""Vertices that no face uses do not count for the size and the place of a mesh."""

from __future__ import annotations

import torch

import taichisoft as ts
from taichisoft.geometry.stray_vertices import without_stray_vertices


def test_vertices_that_no_face_uses_are_gathered():
    cube = ts.shapes.cube()
    stray = torch.tensor([[20.0, 0.0, 0.0]])
    mesh = ts.Mesh(torch.cat([stray, cube.vertices, -stray]), cube.faces + 1)
    found = without_stray_vertices(mesh)
    torch.testing.assert_close(found.vertices[1:-1], cube.vertices, rtol=0, atol=0)
    torch.testing.assert_close(found.faces, mesh.faces)
    assert found.vertices.amax() == cube.vertices.amax()
    assert found.vertices.amin() == cube.vertices.amin()


def test_a_mesh_without_such_vertices_and_a_cloud_of_points_stay():
    cube = ts.shapes.cube()
    torch.testing.assert_close(without_stray_vertices(cube).vertices, cube.vertices)
    cloud = ts.Mesh(torch.rand(5, 3), torch.zeros(0, 3, dtype=torch.int64))
    assert without_stray_vertices(cloud) is cloud
