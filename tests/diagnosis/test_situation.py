"""What is known of a scene before the first step: numbers of squares that are counted by hand."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from tests.helpers import pixel_camera

SIZE = (24, 32)


def square(left: float, top: float, side: float, depth: float, dtype: torch.dtype) -> ts.Mesh:
    """Return two faces that cover a square of the image."""
    corners = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    places = side * torch.tensor(corners, dtype=dtype) + torch.tensor([left, top], dtype=dtype)
    places = torch.nn.functional.pad(places, (0, 1), value=depth)
    return ts.Mesh(places, torch.tensor([[0, 1, 2], [0, 2, 3]]))


def both(*meshes: ts.Mesh) -> ts.Mesh:
    """Return squares as one mesh."""
    faces = [mesh.faces + 4 * k for k, mesh in enumerate(meshes)]
    return ts.Mesh(torch.cat([mesh.vertices for mesh in meshes]), torch.cat(faces))


def test_squares_one_behind_the_other(dtype):
    # 8 x 8 pixels, of which 4 x 4 are covered twice. No centre is on the diagonal: the corner is off it.
    near, far = square(2.0, 2.25, 8.0, 1.0, dtype), square(4.0, 4.25, 4.0, 7.0, dtype)
    found = ts.situation_of(both(near, far), pixel_camera(*SIZE, dtype), colors=True)
    # Of four edges of 4, two diagonals of the smaller one, four edges of 8 and two diagonals.
    assert found.edge_length == pytest.approx(4 * 2**0.5)
    assert found.faces_per_pixel == pytest.approx((64 + 16) / 64)
    # A pixel is one unit high: the image shows 24 units.
    assert found.depth_extent == pytest.approx(6 / 24)
    assert (found.image_height, found.colors) == (24, True)


def test_only_what_is_in_the_image_and_in_front_counts(dtype):
    seen, aside = square(2.0, 2.25, 8.0, 1.0, dtype), square(200.0, 2.25, 3.0, 1.0, dtype)
    cut = square(28.0, 20.25, 8.0, 1.0, dtype)
    found = ts.situation_of(both(seen, aside, cut), pixel_camera(*SIZE, dtype), colors=False)
    assert found.edge_length == pytest.approx(8.0)
    # Of the one that is cut 4 x 4 pixels are in the image, each covered once.
    assert found.faces_per_pixel == pytest.approx(1.0)


def test_a_perspective_camera_shows_more_of_what_is_farther(dtype):
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), fov=90.0, image_size=SIZE, dtype=dtype)
    corners = [[-1.0, -1.0, 1.0], [1.0, -1.0, -1.0], [0.0, 1.0, 0.0]]
    mesh = ts.Mesh(torch.tensor(corners, dtype=dtype), torch.tensor([[0, 1, 2]]))
    # Depths of 3 to 5: at 4 a right angle shows 8 units.
    assert ts.situation_of(mesh, camera, colors=False).depth_extent == pytest.approx(2 / 8)


def test_of_several_images_it_is_the_median(dtype):
    meshes = [
        both(square(2.0, 2.25, 8.0, 0.0, dtype), square(2.0, 2.25, side, depth, dtype))
        for side, depth in ((8.0, 12.0), (4.0, 6.0), (2.0, 3.0))
    ]
    found = ts.situation_of(
        ts.MeshBatch.from_meshes(meshes), pixel_camera(*SIZE, dtype, batch=3), colors=False
    )
    # Of 2, 1.25 and 1.0625 faces, and of 1/2, 1/4 and 1/8.
    assert found.faces_per_pixel == pytest.approx(1.25)
    assert found.depth_extent == pytest.approx(0.25)


def test_an_image_without_a_face_in_front_does_not_count(dtype):
    camera = ts.Camera.look_at(
        torch.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, 3.0]]),
        at=torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 6.0]]),
        image_size=SIZE,
        dtype=dtype,
    )
    mesh = ts.shapes.cube()
    mesh = mesh.with_vertices(mesh.vertices.to(dtype))
    assert ts.situation_of(mesh, camera, colors=False) == ts.situation_of(
        mesh, camera[:1], colors=False
    )
    with pytest.raises(ValueError, match="mesh must have a face in front of the camera, got none"):
        ts.situation_of(mesh, camera[1:], colors=False)


@pytest.mark.parametrize("side", [0.5, 1.6, 20.0])
def test_the_suggested_scale_is_that_of_its_rule(side, dtype):
    mesh, camera = square(2.0, 2.25, side, 1.0, dtype), pixel_camera(*SIZE, dtype)
    rule = ts.scale_by_edge()
    rule.length.set_situation(ts.situation_of(mesh, camera, colors=False))
    wanted = ts.suggest_scale(mesh, camera).in_pixels(24)
    assert float(rule.in_pixels(24)) == pytest.approx(float(wanted), rel=1e-12)
