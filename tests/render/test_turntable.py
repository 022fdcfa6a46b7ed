"""A mesh that turns: which frames the file has, and what may be asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import taichisoft as ts
from taichisoft.render.turntable import _around

pytestmark = pytest.mark.cpu_only


def frames_of(path) -> tuple[list[np.ndarray], list[int]]:
    """Return the frames of an animation in [0, 1], (H, W, 3), and how long each is shown."""
    frames, durations = [], []
    with Image.open(path) as film:
        for index in range(film.n_frames):
            film.seek(index)
            frames.append(np.asarray(film.convert("RGB")) / 255)
            durations.append(film.info["duration"])
        assert film.info["loop"] == 0
    return frames, durations


def test_frames_are_what_the_cameras_see(tmp_path):
    red = torch.tensor([[1.0, 0, 0]]).expand(12, 3)
    cube = ts.shapes.cube().to(dtype=torch.float32)
    cube = cube.with_face_colors(red)
    path = tmp_path / "cube.gif"
    made = ts.turntable(cube, path, frames=3, duration=1.5, image_size=(20, 24), background=0.0)
    assert made is None
    frames, durations = frames_of(path)
    assert durations == [500] * 3
    renderer = ts.SoftRasterizer.hard(ssaa=2)
    for frame, camera in zip(frames, _around(cube, 3, (20, 24), 20.0, 40.0), strict=True):
        assert frame.shape == (20, 24, 3)
        expected = renderer(cube, camera).color[0].numpy()
        np.testing.assert_allclose(frame, expected, atol=1.1 / 255)
    assert abs(frames[0] - frames[1]).max() > 0.5


@pytest.mark.parametrize("size", [(20, 30), (30, 20)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_mesh_of_any_size_is_in_view_from_every_side(size, scale):
    mesh = ts.shapes.teapot()
    mesh = mesh.with_vertices(scale * (mesh.vertices * torch.tensor([2.0, 1, 0.5]) + 5))
    for camera in _around(mesh, 7, size, 35.0, 60.0):
        points, depth = camera.project(mesh.vertices).split((2, 1, 1), -1)[:2]
        inside = torch.tensor([size[1], size[0]], dtype=torch.float32)
        assert bool(((points > 0) & (points < inside)).all())
        assert float(depth.min()) > camera.near


def test_a_mesh_without_colours_is_lit_and_one_with_a_renderer_drawn_by_it(tmp_path):
    ball, path = ts.shapes.icosphere(1), tmp_path / "ball.GIF"
    ts.turntable(ball, str(path), frames=1, image_size=(16, 16))
    (lit,), _ = frames_of(path)
    assert lit[0, 0].tolist() == [1, 1, 1]
    assert len(np.unique(lit[6:10, 6:10])) > 1
    soft = ts.SoftRasterizer(ts.Gaussian(1.0), background=(0.0, 0.0, 1.0))
    vertices = ball.vertices.clone().requires_grad_()
    white = torch.ones(42, 3)
    ts.turntable(
        ball.with_vertices(vertices),
        path,
        renderer=soft,
        colors=white,
        frames=1,
        image_size=(16, 16),
    )
    (drawn,), _ = frames_of(path)
    assert drawn[0, 0].tolist() == pytest.approx([0, 0, 1], abs=0.02)
    assert drawn[8, 8].tolist() == pytest.approx([1, 1, 1], abs=0.02)


def test_a_mesh_with_materials_has_colours(tmp_path):
    paint = ts.Material(torch.tensor([0.2, 0.6, 1.0]))
    ball, path = ts.shapes.icosphere(1).with_materials([paint]), tmp_path / "ball.gif"
    ts.turntable(ball, path, frames=1, image_size=(16, 16))
    (drawn,), _ = frames_of(path)
    assert drawn[8, 8].tolist() == pytest.approx([0.2, 0.6, 1.0], abs=0.01)


def test_the_longest_turn_of_a_mesh_that_looks_the_same(tmp_path):
    ball, path = ts.shapes.icosphere(1), tmp_path / "x.gif"
    colors = torch.ones(42, 3)
    ts.turntable(ball, path, colors=colors, frames=10, duration=655.35, image_size=(4, 4))
    assert frames_of(path)[1] == [655300]


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"mesh": 3}, TypeError, "mesh must be a Mesh"),
        ({"mesh": "batch"}, ValueError, "mesh must be one mesh, got a batch of 2"),
        ({"mesh": "empty"}, ValueError, "mesh must have vertices to be shown, got none"),
        ({"path": "x.png"}, ValueError, r"path must end in .gif, got x.png"),
        ({"path": "missing/x.gif"}, FileNotFoundError, "path must be in an existing folder"),
        ({"frames": 0}, ValueError, "frames must be at least 1"),
        ({"duration": 0}, ValueError, "duration must be finite and greater than 0"),
        ({"duration": 656}, ValueError, "duration must be at most 655.35 seconds, got 656"),
        ({"image_size": 3}, TypeError, "image_size must be a pair"),
        ({"fov": 180}, ValueError, "fov must be between 0 and 180"),
        ({"renderer": 1}, TypeError, "renderer must be a SoftRasterizer"),
        (
            {"renderer": ts.SoftRasterizer(), "background": 0.0},
            ValueError,
            "background must not be given with a renderer",
        ),
    ],
)
def test_bad_arguments(change, error, match):
    mesh = ts.shapes.quad()
    meshes = {
        "batch": mesh.with_vertices(mesh.vertices.expand(2, -1, -1)),
        "empty": ts.Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)),
    }
    given = {"mesh": mesh, "path": "x.gif"} | change
    given["mesh"] = (
        meshes.get(given["mesh"], given["mesh"]) if type(given["mesh"]) is str else given["mesh"]
    )
    with pytest.raises(error, match=match):
        ts.turntable(**given)
