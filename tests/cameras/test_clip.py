"""Cameras from clip coordinates: pixels as nvdiffrast's formula gives them, for every kind of matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import jacfwd, jacrev, vmap

import taichisoft as ts
from taichisoft import Camera
from tests.cameras.test_camera import close
from tests.cameras.test_conventions import frustum, gl_view, ortho, points_before

# Of torch itself, which compiles some of its transforms.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

SIZE = (33, 48)
DOUBLE = {"dtype": torch.float64}
PERSPECTIVE = frustum(-0.2, 0.3, -0.1, 0.25, 0.2, 50.0)
ORTHOGRAPHIC = ortho(-2.0, 3.0, -1.0, 2.5, 1.5, 50.0)
SHEARED = PERSPECTIVE + np.eye(4)[:, [1, 0, 2, 3]] * [[0.3], [-0.2], [0], [0]]
SCALED = np.diag([3.0, 3, 3, 1])
OBLONG = np.diag([1.0, 2, 0.7, 1])


def clip_pixels(mvp, points):
    """Follow the clip coordinates of nvdiffrast, rows from the top."""
    clip = np.concatenate([points, np.ones((len(points), 1))], 1) @ mvp.T
    ndc = clip[:, :3] / clip[:, 3:]
    return np.stack([(1 + ndc[:, 0]) * SIZE[1] / 2, (1 - ndc[:, 1]) * SIZE[0] / 2], 1), ndc[:, 2]


@pytest.mark.parametrize("factor", [1.0, 7.0])
@pytest.mark.parametrize("model", [np.eye(4), SCALED, OBLONG], ids=["unit", "scaled", "oblong"])
@pytest.mark.parametrize("projection", [PERSPECTIVE, SHEARED, ORTHOGRAPHIC])
def test_pixels_are_those_of_the_clip_coordinates(projection, model, factor):
    points = points_before(1) @ np.linalg.inv(model[:3, :3])
    mvp = factor * projection @ gl_view(1) @ model
    if projection is ORTHOGRAPHIC and model is OBLONG:
        with pytest.raises(ValueError, match="mvp must not shear an orthographic scene"):
            Camera.from_clip(mvp, SIZE, **DOUBLE)
        return
    near = 0.1 if model is OBLONG else None
    camera = Camera.from_clip(mvp, SIZE, near, **DOUBLE)
    pixels, z = clip_pixels(mvp, points)
    seen = camera.project(torch.from_numpy(points))[0].numpy()
    np.testing.assert_allclose(seen[:, :2], pixels, rtol=0, atol=1e-9)
    rotation = camera.rotation[0].numpy()
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), rtol=0, atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    close(
        camera.intrinsics[0, 1:], np.array([[0, *camera.intrinsics[0, 1, 1:].numpy()], [0, 0, 1]])
    )
    # The same order in depth.
    assert (np.argsort(seen[:, 2]) == np.argsort(z)).all()


def test_the_camera_is_the_one_that_the_matrices_are_of():
    camera = Camera.look_at((1.0, 2, 3), fov=50, image_size=SIZE, near=0.3, **DOUBLE)
    matrices = camera.to_opengl(far=20.0)
    found = Camera.from_clip(matrices.projection @ matrices.view, SIZE)
    for name in ("rotation", "translation", "intrinsics"):
        close(getattr(found, name), getattr(camera, name))
    assert found.near == pytest.approx(0.3)
    mesh = ts.shapes.cube().to(dtype=torch.float64)
    renderer = ts.SoftRasterizer()
    torch.testing.assert_close(renderer.silhouette(mesh, found), renderer.silhouette(mesh, camera))


def test_scales_of_the_model_are_scene_units():
    view = gl_view(1)
    camera = Camera.from_clip(PERSPECTIVE @ view @ SCALED, SIZE, **DOUBLE)
    plain = Camera.from_clip(PERSPECTIVE @ view, SIZE, **DOUBLE)
    points = torch.from_numpy(points_before(1))
    close(3 * camera.project(points / 3)[..., 2], plain.project(points)[..., 2])
    assert 3 * camera.near == pytest.approx(plain.near)
    assert plain.near == pytest.approx(0.2)


def test_depths_of_an_orthographic_matrix_count_from_its_near_plane():
    camera = Camera.from_clip(ORTHOGRAPHIC @ gl_view(1), SIZE, **DOUBLE)
    points = points_before(1)
    inside = points @ gl_view(1)[:3, :3].T + gl_view(1)[:3, 3]
    close(camera.project(torch.from_numpy(points))[0, :, 2], -inside[:, 2] - 1.5)
    assert camera.near == 0.0
    assert not camera.perspective


@pytest.mark.parametrize("projection", [PERSPECTIVE, ORTHOGRAPHIC])
def test_derivatives(projection):
    points = torch.from_numpy(points_before(1)[:3])
    view = torch.from_numpy(projection @ gl_view(1))
    angle = torch.zeros(3).double().requires_grad_()

    def draw(angle):
        turn = torch.nn.functional.pad(ts.rotations.from_axis_angle(angle), (0, 1, 0, 1))
        last = torch.eye(4).double()[3].diag()
        return Camera.from_clip(view @ (turn + last), SIZE, 0.1).project(points)

    assert gradcheck(draw, angle)
    assert gradgradcheck(draw, angle)
    torch.testing.assert_close(jacfwd(draw)(angle), jacrev(draw)(angle))
    several = torch.stack([angle, angle + 0.1]).detach()
    torch.testing.assert_close(vmap(draw)(several)[1], draw(several[1]))


def test_batches():
    mvp = np.stack([PERSPECTIVE @ gl_view(1), PERSPECTIVE @ gl_view(2)])
    camera = Camera.from_clip(mvp, SIZE)
    assert len(camera) == 2
    assert camera.dtype == torch.float32
    assert camera.near == pytest.approx(0.2)


@pytest.mark.parametrize("near", [0.01, 0.3])
@pytest.mark.parametrize("far", [10.0, 100.0, 1000.0])
@pytest.mark.parametrize("distance", [3.0, 30.0])
def test_near_of_a_batch_in_float32(near, far, distance):
    angles = torch.arange(0.0, 360, 15)
    camera = Camera.orbit(distance, angles, 20.0, image_size=SIZE, near=near)
    view, projection = camera.to_opengl(far=far)
    found = Camera.from_clip(projection @ view, SIZE)
    # The numbers that the near depth is a difference of are as large as the distance.
    assert found.near == pytest.approx(near, abs=4e-6 * distance)


def test_rounding_in_the_last_row_of_an_orthographic_matrix():
    mvp = ORTHOGRAPHIC @ gl_view(1)
    expected = Camera.from_clip(mvp, SIZE, **DOUBLE)
    mvp[3, :3] = (1e-9, -1e-9, 2e-9)
    found = Camera.from_clip(mvp, SIZE, **DOUBLE)
    assert not found.perspective
    for name in ("rotation", "translation", "intrinsics"):
        close(getattr(found, name), getattr(expected, name))


MVP = PERSPECTIVE @ gl_view(1)
BAD = {
    "shape": (np.eye(3), r"mvp must.*\(4, 4\)"),
    "mirror": (MVP * [[-1], [1], [1], [1]], "mvp must not mirror"),
    "mirrored depth": (ORTHOGRAPHIC * [[1], [1], [-1], [1]], "mvp must not mirror"),
    "flat": (MVP * [[1], [0], [1], [1]], "mvp must not flatten"),
    "behind": (-ORTHOGRAPHIC, "positive w"),
    "flat orthographic": (ORTHOGRAPHIC * [[1], [0], [1], [1]], "mvp must not flatten"),
    "flat in depth": (ORTHOGRAPHIC * [[1], [1], [0], [1]], "mvp must not flatten.*x, y and z"),
    "flat to within rounding": (
        MVP * [[0], [1], [1], [1]] + 1e-9 * MVP[[1, 0, 2, 3]],
        "mvp must not flatten",
    ),
    "both": (np.stack([PERSPECTIVE, ORTHOGRAPHIC]), "for the whole batch, got both"),
    "near": (MVP * [[1], [1], [0], [1]], "near must be given"),
    "nears": (
        np.stack([MVP, frustum(-1, 1, -1, 1, 0.3, 9)]),
        "near must be given.*whole batch.*0.3",
    ),
    "nan": (MVP * math.nan, "mvp must be finite"),
}


@pytest.mark.parametrize(("mvp", "match"), BAD.values(), ids=BAD)
def test_bad_arguments(mvp, match):
    with pytest.raises(ValueError, match=match):
        Camera.from_clip(mvp, SIZE, **DOUBLE)
