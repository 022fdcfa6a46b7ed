"""Cameras of other programs: known points land on the pixels that each program's own formula gives."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from taichisoft import Camera, SensorFit
from tests.cameras.test_camera import close, random_rotation

DOUBLE = {"dtype": torch.float64}
SIZES = [(48, 64), (64, 48), (33, 33)]
BATCH = 2


def points_before(seed: int) -> np.ndarray:
    """Points of the world before a camera of `pose` with that seed, (7, 3)."""
    rng = np.random.default_rng(seed + 100)
    rotation, offset = pose(seed)
    return (rng.uniform(-1, 1, (7, 3)) + (0, 0, 4) - offset) @ rotation


def pose(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation, world to a camera with x right, y down, z forward."""
    return random_rotation(seed), np.random.default_rng(seed).normal(size=3)


def assert_projects(camera: Camera, points: np.ndarray, pixels: np.ndarray) -> None:
    close(camera.project(torch.from_numpy(points))[0, :, :2], pixels)


def skewless(seed: int, size: tuple[int, int], perspective: bool = True, batch: int = 1) -> Camera:
    """Return cameras with oblong pixels and a principal point off centre."""
    rng = np.random.default_rng(seed)
    poses = [pose(seed + b) for b in range(batch)]
    k = np.tile(np.eye(3), (batch, 1, 1))
    k[:, [0, 1], [0, 1]] = rng.uniform(20, 60, (batch, 2))
    k[:, :2, 2] = np.array(size[::-1]) * rng.uniform(0.3, 0.7, (batch, 2))
    parts = ([r for r, _ in poses], [t for _, t in poses], k)
    rotation, translation, intrinsics = (torch.from_numpy(np.array(part)) for part in parts)
    return Camera(rotation, translation, intrinsics, size, perspective, near=0.3)


def opencv_pixels(camera, points, index=0):
    k, r, t = (value[index].numpy() for value in camera.to_opencv())
    image = (points @ r.T + t) @ k.T
    return image[:, :2] / image[:, 2:]


def opengl_pixels(matrices, points, size, index=0):
    """Transform vertices as OpenGL does: clip coordinates, NDC, window, rows from the top."""
    view, projection = (np.asarray(m)[index] for m in matrices)
    clip = np.concatenate([points, np.ones((len(points), 1))], 1) @ view.T @ projection.T
    ndc = clip[:, :3] / clip[:, 3:]
    return np.stack([(ndc[:, 0] + 1) * size[1] / 2, (1 - ndc[:, 1]) * size[0] / 2], 1)


def pytorch3d_pixels(parameters, points, size, in_ndc, perspective, index=0):
    """Follow the notes on cameras of PyTorch3D: view, projection, NDC to screen."""
    rotation, translation, focal, center = (np.asarray(value)[index] for value in parameters)
    view = points @ rotation + translation
    s, whole = min(size), np.array([size[1], size[0]])
    if not in_ndc:
        focal, center = focal * 2 / s, -(center - whole / 2) * 2 / s
    plane = view[:, :2] / view[:, 2:] if perspective else view[:, :2]
    return whole / 2 - s / 2 * (focal * plane + center)


def blender_pixels(x: dict, points, size):
    """Follow BKE_camera_params_compute_viewplane and the window matrix, for unbatched settings."""
    (height, width), fit = size, x["sensor_fit"]
    ycor = x["pixel_aspect_y"] / x["pixel_aspect_x"]
    clip_start = 0.1
    if x.get("ortho_scale") is not None:
        pixsize = x["ortho_scale"]
    else:
        sensor = x["sensor_height"] if fit is SensorFit.VERTICAL else x["sensor_width"]
        pixsize = sensor * clip_start / x["lens"]
    if fit is SensorFit.AUTO:
        wide = x["pixel_aspect_x"] * width >= x["pixel_aspect_y"] * height
        fit = SensorFit.HORIZONTAL if wide else SensorFit.VERTICAL
    viewfac = width if fit is SensorFit.HORIZONTAL else ycor * height
    pixsize = pixsize / viewfac
    left, right = -0.5 * width + x["shift_x"] * viewfac, 0.5 * width + x["shift_x"] * viewfac
    bottom = -0.5 * ycor * height + x["shift_y"] * viewfac
    top = 0.5 * ycor * height + x["shift_y"] * viewfac
    left, right, bottom, top = (side * pixsize for side in (left, right, bottom, top))
    pose = np.array(x["matrix_world"])
    pose[:3, :3] /= np.linalg.norm(pose[:3, :3], axis=0)
    inside = (points - pose[:3, 3]) @ pose[:3, :3]
    plane = inside[:, :2]
    if x.get("ortho_scale") is None:
        plane = plane * clip_start / -inside[:, 2:]
    u = (plane[:, 0] - left) / (right - left) * width
    v = (top - plane[:, 1]) / (top - bottom) * height
    return np.stack([u, v], 1)


def gl_view(seed: int) -> np.ndarray:
    rotation, offset = pose(seed)
    view = np.eye(4)
    view[:3, :3], view[:3, 3] = rotation, offset
    return np.diag([1.0, -1.0, -1.0, 1.0]) @ view


def frustum(left, right, bottom, top, near, far) -> np.ndarray:
    """Return the matrix of glFrustum, from its manual page."""
    a, b = (right + left) / (right - left), (top + bottom) / (top - bottom)
    c, d = -(far + near) / (far - near), -2 * far * near / (far - near)
    x, y = 2 * near / (right - left), 2 * near / (top - bottom)
    return np.array([[x, 0, a, 0], [0, y, b, 0], [0, 0, c, d], [0, 0, -1, 0]])


def ortho(left, right, bottom, top, near, far) -> np.ndarray:
    """Return the matrix of glOrtho, from its manual page."""
    a, b = -(right + left) / (right - left), -(top + bottom) / (top - bottom)
    c = -(far + near) / (far - near)
    x, y, z = 2 / (right - left), 2 / (top - bottom), -2 / (far - near)
    return np.array([[x, 0, 0, a], [0, y, 0, b], [0, 0, z, c], [0, 0, 0, 1]])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("projection", "near"),
    [
        (frustum(-0.2, 0.3, -0.1, 0.25, 0.2, 50.0), 0.2),  # asymmetric
        (frustum(-0.2, 0.2, -0.2, 0.2, 0.7, 9.0), 0.7),
        (ortho(-2.0, 3.0, -1.0, 2.5, -1.5, 50.0), -1.5),
    ],
)
def test_from_opengl_agrees_with_the_formula_of_opengl(projection, near, seed, size):
    points, view = points_before(seed), gl_view(seed)
    camera = Camera.from_opengl(view, projection, size, **DOUBLE)
    assert_projects(camera, points, opengl_pixels((view[None], projection[None]), points, size))
    assert camera.near == pytest.approx(near, rel=1e-12)
    assert Camera.from_opengl(view, projection, size, near=0.125).near == 0.125
    depth = camera.project(torch.from_numpy(points))[0, :, 2]
    close(depth, -(points @ view[:3, :3].T + view[:3, 3])[:, 2])


def test_sheared_pixels_of_opengl():
    points, view, size = points_before(3), gl_view(3), SIZES[0]
    projection = frustum(-0.2, 0.3, -0.1, 0.25, 0.2, 50.0)
    projection[0, 1], projection[1, 0] = 0.3, -0.2
    camera = Camera.from_opengl(view, projection, size, **DOUBLE)
    assert_projects(camera, points, opengl_pixels((view[None], projection[None]), points, size))
    close(camera.to_opengl(far=50.0).projection, projection[None])


@pytest.mark.parametrize("near", [0.2, 0.01, 3.0])
def test_near_of_an_infinite_frustum(near):
    projection = frustum(-0.2, 0.2, -0.2, 0.2, near, 1e30)
    assert Camera.from_opengl(np.eye(4), projection, (9, 9)).near == pytest.approx(near, rel=1e-6)


@pytest.mark.parametrize("perspective", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_to_opengl(size, perspective):
    camera = skewless(5, size, perspective, BATCH)
    matrices = camera.to_opengl(far=80.0)
    for index in range(BATCH):
        points = points_before(5 + index)
        pixels = opengl_pixels(matrices, points, size, index)
        assert_projects(camera[index], points, pixels)
    for depth, wanted in ((camera.near, -1), (80.0, 1)):
        clip = matrices.projection[0].numpy() @ (0.1, 0.2, -depth, 1)
        assert clip[2] / clip[3] == pytest.approx(wanted)
    assert_same(Camera.from_opengl(*matrices, size), camera)


def test_to_opengl_without_a_far_plane():
    camera = skewless(5, SIZES[0])
    assert_same(Camera.from_opengl(*camera.to_opengl(), SIZES[0]), camera)
    clip = camera.to_opengl().projection[0].numpy() @ (0, 0, -1e12, 1)
    assert clip[2] / clip[3] == pytest.approx(1)


def assert_same(actual: Camera, expected: Camera) -> None:
    for name in ("rotation", "translation", "intrinsics"):
        close(getattr(actual, name), getattr(expected, name))
    assert actual.near == pytest.approx(expected.near, rel=1e-12)
    assert actual.image_size == expected.image_size
    assert actual.perspective == expected.perspective


@pytest.mark.parametrize("perspective", [True, False])
@pytest.mark.parametrize("in_ndc", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_pytorch3d_both_ways(size, in_ndc, perspective):
    camera = skewless(7, size, perspective, BATCH)
    parameters = camera.to_pytorch3d(in_ndc=in_ndc)
    for index in range(BATCH):
        points = points_before(7 + index)
        pixels = pytorch3d_pixels(parameters, points, size, in_ndc, perspective, index)
        assert_projects(camera[index], points, pixels)
    options = {"image_size": size, "in_ndc": in_ndc, "perspective": perspective, "near": 0.3}
    assert_same(Camera.from_pytorch3d(*parameters, **options), camera)
    assert_same(Camera.from_pytorch3d(**parameters._asdict(), **options), camera)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("focal", "both"),
    [(1.3, (1.3, 1.3)), ([1.3], (1.3, 1.3)), ([[1.3]], (1.3, 1.3)), ([[1.3, 2]], (1.3, 2))],
)
def test_from_pytorch3d_agrees_with_its_notes(focal, both, size):
    rotation, translation = random_rotation(1), np.array([0.1, -0.2, 5.0])
    points = np.random.default_rng(0).uniform(-1, 1, (7, 3))
    camera = Camera.from_pytorch3d(
        rotation, translation, focal, (0.2, 0.5), image_size=size, **DOUBLE
    )
    parameters = [np.array(v)[None] for v in (rotation, translation, both, (0.2, 0.5))]
    assert_projects(camera, points, pytorch3d_pixels(parameters, points, size, True, True))
    # What grows to the left and upwards there.
    near, far = camera.project(
        torch.tensor([[0.0, 0, 0], [1, 1, 0]]).double() @ torch.tensor(rotation).T
    )[0]
    assert far[0] < near[0]
    assert far[1] < near[1]


def test_the_example_in_the_notes_of_pytorch3d():
    # The two cameras that its notes call the same.
    rotation, offset = np.eye(3), (0.0, 0.0, 4.0)
    size = (128, 256)
    ndc = Camera.from_pytorch3d(rotation, offset, 1.2, (0.2, 0.5), image_size=size)
    screen = Camera.from_pytorch3d(
        rotation, offset, 76.8, (115.2, 32), image_size=size, in_ndc=False
    )
    torch.testing.assert_close(ndc.intrinsics, screen.intrinsics)


FITS = list(SensorFit)
LENSES = {
    "lens": {"lens": 35.0},
    "narrow sensor": {"lens": 20.0, "sensor_width": 8.8, "sensor_height": 20.0},
    "ortho": {"ortho_scale": 5.0},
}


@pytest.mark.parametrize("aspect", [(1.0, 1.0), (1.0, 1.7), (2.0, 1.0)])
@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", SIZES)
def test_from_blender_agrees_with_the_formula_of_blender(size, fit, lens, aspect):
    matrix = np.linalg.inv(gl_view(11))
    matrix[:3, :3] *= 1.5  # the scale of a camera object does nothing
    settings = {
        "matrix_world": matrix,
        "sensor_fit": fit,
        "sensor_width": 36.0,
        "sensor_height": 24.0,
        "shift_x": 0.1,
        "shift_y": -0.2,
        "pixel_aspect_x": aspect[0],
        "pixel_aspect_y": aspect[1],
        **LENSES[lens],
    }
    points = points_before(11)
    camera = Camera.from_blender(**settings, image_size=size, **DOUBLE)
    assert_projects(camera, points, blender_pixels(settings, points, size))
    back = Camera.from_blender(**camera.to_blender()._asdict(), image_size=size)
    assert_same(back, camera)


@pytest.mark.parametrize("perspective", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_to_blender(size, perspective):
    camera = skewless(13, size, perspective, BATCH)
    settings = camera.to_blender(sensor_width=30.0)._asdict()
    for index in range(BATCH):
        points = points_before(13 + index)
        own = {
            k: v[index].numpy() if isinstance(v, torch.Tensor) else v for k, v in settings.items()
        }
        assert min(own["pixel_aspect_x"], own["pixel_aspect_y"]) == 1
        assert_projects(camera[index], points, blender_pixels(own, points, size))
    assert_same(Camera.from_blender(**settings, image_size=size, near=0.3), camera)


def test_default_camera_of_blender():
    # 50 mm on 36 mm: a point one unit aside at a depth of 50 / 36 is at the edge of a wide image.
    camera = Camera.from_blender(np.eye(4), 50.0, image_size=(1080, 1920), **DOUBLE)
    point = torch.tensor([[0.5, 0.0, -50 / 36], [0.0, 0.1, -1.0]], **DOUBLE)
    pixels = camera.project(point)[0, :, :2]
    close(pixels[0], (1920, 540))
    assert pixels[1, 1] < 540  # up


@pytest.mark.parametrize("pixel_center", [0.5, 0.0])
def test_to_opencv(pixel_center):
    camera = skewless(17, SIZES[0], batch=BATCH)
    skew = torch.tensor([[0.0, 2.0, 0.0], [0, 0, 0], [0, 0, 7]]).double()
    camera = Camera(
        camera.rotation, camera.translation, camera.intrinsics + skew, SIZES[0], near=0.3
    )
    k, r, t = camera.to_opencv(pixel_center=pixel_center)
    for index in range(BATCH):
        points = points_before(17 + index)
        pixels = opencv_pixels(camera, points, index)
        assert_projects(camera[index], points, pixels)
    back = Camera.from_opencv(k, r, t, SIZES[0], 0.3, pixel_center=pixel_center)
    close(back.intrinsics[:, :2], camera.intrinsics[:, :2])
    close(back.intrinsics[:, 2], (0, 0, 1))
    close(k[:, :2, 2] - camera.intrinsics[:, :2, 2], pixel_center - 0.5)


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3, 1)])
def test_rotation_of_opencv_as_a_vector(shape):
    axis, angle = np.array([2.0, -1, 2]) / 3, 0.7
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    # The formula in the documentation of cv2.Rodrigues.
    matrix = math.cos(angle) * np.eye(3) + (1 - math.cos(angle)) * np.outer(axis, axis)
    matrix = matrix + math.sin(angle) * cross
    k = np.array([[30.0, 0, 5], [0, 40, 4], [0, 0, 1]])
    vector = (angle * axis).reshape(shape)
    camera = Camera.from_opencv(k, vector, np.ones((3, 1)), SIZES[0], **DOUBLE)
    close(camera.rotation, matrix[None])
    several = Camera.from_opencv(k, np.stack([vector.reshape(3, 1)] * 3), np.ones(3), SIZES[0])
    assert len(several) == 3


@pytest.mark.parametrize(
    ("azimuth", "elevation", "eye", "right", "up"),
    [
        (0, 0, (0, 0, 1), (1, 0, 0), (0, 1, 0)),
        (90, 0, (1, 0, 0), (0, 0, -1), (0, 1, 0)),
        (180, 0, (0, 0, -1), (-1, 0, 0), (0, 1, 0)),
        (0, 90, (0, 1, 0), (1, 0, 0), (0, 0, -1)),
        (0, -90, (0, -1, 0), (1, 0, 0), (0, 0, 1)),
        (0, 180, (0, 0, -1), (1, 0, 0), (0, -1, 0)),
    ],
)
def test_orbit(azimuth, elevation, eye, right, up):
    at = np.array([0.3, -0.2, 0.5])
    camera = Camera.orbit(3.0, azimuth, elevation, at, fov=50, image_size=SIZES[0], **DOUBLE)
    close(camera.position[0], at + 3 * np.array(eye))
    close(camera.rotation[0, 0], right)
    close(camera.rotation[0, 1], -np.array(up))
    close(camera.project(torch.from_numpy(at)[None])[0, 0], (32, 24, 3, 1 / 3))


def test_orbit_is_look_at_with_y_up():
    azimuth, elevation = torch.tensor([20.0, -130.0, 250.0]).double(), torch.tensor(-35.0).double()
    camera = Camera.orbit(2.0, azimuth, elevation, fov=50, image_size=SIZES[0], near=0.2)
    assert_same(Camera.look_at(camera.position, fov=50, image_size=SIZES[0], near=0.2), camera)


# From a camera's parameters through another program's description and back to pixels.
THROUGH: dict[str, Callable] = {
    "opencv": lambda c: Camera.from_opencv(
        *c.to_opencv(pixel_center=0.0), (5, 7), pixel_center=0.0
    ),
    "opengl": lambda c: Camera.from_opengl(*c.to_opengl(far=9.0), (5, 7)),
    "pytorch3d": lambda c: Camera.from_pytorch3d(*c.to_pytorch3d(), image_size=(5, 7)),
    "blender": lambda c: Camera.from_blender(**c.to_blender()._asdict(), image_size=(5, 7)),
}


@pytest.mark.parametrize("program", THROUGH)
def test_gradients_go_through_and_back(program):
    base = skewless(19, (5, 7))
    points = torch.from_numpy(points_before(19)[:2])
    diagonal = torch.tensor([[1.0, 0, 1], [0, 1, 1], [0, 0, 0]]).double()

    def project(angle, translation, change):
        # Rotations about an axis, so that every one of them is a rotation.
        cross = torch.linalg.cross(torch.eye(3).double(), angle[None].expand(3, 3))
        rotation = torch.linalg.matrix_exp(cross) @ base.rotation
        camera = Camera(
            rotation, translation, base.intrinsics + change * diagonal, (5, 7), near=0.3
        )
        through = THROUGH[program](camera)
        return through.project(points)[..., :2]

    inputs = (torch.zeros(3).double(), base.translation.clone(), torch.zeros(1, 3, 3).double())
    inputs = tuple(value.requires_grad_() for value in inputs)
    assert gradcheck(project, inputs)
    assert gradgradcheck(project, inputs)
    assert all((g != 0).any() for g in torch.autograd.grad(project(*inputs).sum(), inputs))


def test_gradients_of_settings():
    # A lens, a shift, a focal length in NDC, an azimuth: what one would optimise.
    points = torch.tensor([[0.1, 0.2, 0.3]]).double()

    def project(lens, shift, focal, center, distance, azimuth, elevation):
        pose = torch.eye(4).double()
        pose[2, 3] = 4
        blender = Camera.from_blender(pose, lens, shift_x=shift, image_size=(5, 7))
        offset = (0.1, 0.2, 5.0)
        pytorch3d = Camera.from_pytorch3d(np.eye(3), offset, focal, center, image_size=(5, 7))
        orbit = Camera.orbit(distance, azimuth, elevation, image_size=(5, 7))
        return torch.cat([camera.project(points) for camera in (blender, pytorch3d, orbit)])

    values = (35.0, 0.1, [[1.1, 1.2]], [0.1, -0.2], 3.0, [20.0, 50.0], 90.0)
    inputs = tuple(torch.tensor(value).double().requires_grad_() for value in values)
    assert gradcheck(project, inputs)
    assert gradgradcheck(project, inputs)


def test_batches():
    eye, views = torch.eye(4), torch.eye(4).repeat(3, 1, 1)
    p = torch.from_numpy(frustum(-1, 1, -1, 1, 0.5, 9)).float()
    r, t = torch.eye(3), torch.zeros(3)
    for camera in (
        Camera.from_opengl(views, p, SIZES[0]),
        Camera.from_opengl(eye, p.repeat(3, 1, 1), SIZES[0]),
        Camera.from_pytorch3d(r, torch.zeros(3, 3), image_size=SIZES[0]),
        Camera.from_pytorch3d(r, t, torch.ones(3), image_size=SIZES[0]),
        Camera.from_pytorch3d(r, t, 1.0, torch.zeros(3, 2), image_size=SIZES[0]),
        Camera.from_blender(views, 50.0, image_size=SIZES[0]),
        Camera.from_blender(eye, 50.0, shift_y=[0.1, 0.2, 0.3], image_size=SIZES[0]),
        Camera.orbit(3.0, torch.arange(3.0), image_size=SIZES[0]),
        Camera.orbit([3.0, 4.0, 5.0], 10.0, image_size=SIZES[0]),
        Camera.orbit(3.0, 10.0, at=torch.rand(3, 3), image_size=SIZES[0]),
        Camera.orbit(3.0, 10.0, fov=[10, 20, 30], image_size=SIZES[0]),
    ):
        assert len(camera) == 3
        assert camera.dtype == torch.float32


def changed(matrix: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    matrix = np.array(matrix)
    matrix[row, column] = value
    return matrix


def opengl(view=None, projection=None, size=(9, 9), **options):
    view = np.eye(4) if view is None else view
    return Camera.from_opengl(view, P if projection is None else projection, size, **options)


def pytorch3d(**changes):
    return Camera.from_pytorch3d(
        **{"R": np.eye(3), "T": np.zeros(3), "image_size": (9, 9), **changes}
    )


def blender(**changes):
    return Camera.from_blender(
        **{"matrix_world": np.eye(4), "lens": 50, "image_size": (9, 9), **changes}
    )


def orbit(**changes):
    return Camera.orbit(**{"distance": 1.0, "azimuth": 0.0, "image_size": (9, 9), **changes})


P = frustum(-1, 1, -1, 1, 0.5, 9)
MIRROR = np.diag([-1.0, 1, 1, 1])
SKEWED = Camera(
    torch.eye(3)[None],
    torch.zeros(1, 3),
    torch.tensor([[[9.0, 1, 4], [0, 9, 4], [0, 0, 1]]]),
    (9, 9),
)
FLAT = Camera.orthographic((0, 0, 3), image_size=(9, 9))
STRETCHED = Camera(2 * torch.eye(3)[None], torch.zeros(1, 3), torch.eye(3)[None], (9, 9))
BAD: dict[str, tuple] = {
    "view scales": (lambda: opengl(2 * np.eye(4)), ValueError, "last row of view"),
    "view scales axes": (lambda: opengl(np.diag([2.0, 2, 2, 1])), ValueError, "view.*rotation"),
    "view mirrors": (lambda: opengl(MIRROR), ValueError, "view.*mirrors"),
    "view shape": (lambda: opengl(np.eye(3)), ValueError, r"view.*\(4, 4\)"),
    "neither": (
        lambda: opengl(projection=changed(P, 3, 3, 1)),
        ValueError,
        "last row of projection",
    ),
    "both": (
        lambda: opengl(projection=np.stack([P, ortho(-1, 1, -1, 1, 0.5, 9)])),
        ValueError,
        "last row of projection",
    ),
    "shift": (lambda: opengl(projection=changed(P, 0, 3, 0.1)), ValueError, r"projection\[:2, 3\]"),
    "oblique": (
        lambda: opengl(projection=changed(ortho(-1, 1, -1, 1, 1, 9), 0, 2, 0.1)),
        ValueError,
        r"projection\[:2, 2\]",
    ),
    "upside down": (lambda: opengl(projection=P * [[1], [-1], [1], [1]]), ValueError, "mirror"),
    "two nears": (
        lambda: opengl(projection=np.stack([P, frustum(-1, 1, -1, 1, 0.6, 9)])),
        ValueError,
        "near must be given.*0.5.*0.6",
    ),
    "reversed depth": (
        lambda: opengl(projection=changed(changed(P, 2, 2, 0), 2, 3, 0.1)),
        ValueError,
        "near must be given",
    ),
    "opengl batch": (
        lambda: opengl(np.stack([np.eye(4)] * 2), np.stack([P] * 3)),
        ValueError,
        "batch",
    ),
    "opengl size": (lambda: opengl(size=9), TypeError, "image_size"),
    "R": (lambda: pytorch3d(R=2 * np.eye(3)), ValueError, "R must be a rotation"),
    "T": (lambda: pytorch3d(T=(1, 2)), ValueError, r"T must.*\(3,\)"),
    "focal shape": (
        lambda: pytorch3d(focal_length=torch.ones(1, 3)),
        ValueError,
        "focal_length.*shape",
    ),
    "focal sign": (lambda: pytorch3d(focal_length=-1), ValueError, "focal_length.*positive"),
    "centre": (lambda: pytorch3d(principal_point=3.0), ValueError, "principal_point.*shape"),
    "in_ndc": (lambda: pytorch3d(in_ndc=1), TypeError, "in_ndc.*bool"),
    "pytorch3d batch": (
        lambda: pytorch3d(focal_length=[1, 2], principal_point=np.zeros((3, 2))),
        ValueError,
        "focal length has 2, principal point has 3",
    ),
    "no lens": (lambda: blender(lens=None), ValueError, "lens or ortho_scale"),
    "two lenses": (lambda: blender(ortho_scale=1), ValueError, "lens or ortho_scale"),
    "lens": (lambda: blender(lens=0), ValueError, "lens must be positive"),
    "sensor": (lambda: blender(sensor_width=-1), ValueError, "sensor_width must be positive"),
    "fit": (
        lambda: blender(sensor_fit="AUTO"),
        TypeError,
        "sensor_fit must be a SensorFit, got str",
    ),
    "shape": (lambda: blender(shift_x=[[1.0]]), ValueError, "shift_x.*shape"),
    "shear": (
        lambda: blender(matrix_world=changed(np.eye(4), 0, 1, 1)),
        ValueError,
        "matrix_world.*rot",
    ),
    "mirror": (lambda: blender(matrix_world=MIRROR), ValueError, "matrix_world.*mirrors"),
    "flat": (
        lambda: blender(matrix_world=np.diag([0.0, 1, 1, 1])),
        ValueError,
        "matrix_world.*zero",
    ),
    "last row": (
        lambda: blender(matrix_world=np.ones((4, 4))),
        ValueError,
        "last row of matrix_world",
    ),
    "blender batch": (lambda: blender(lens=[1, 2], shift_x=[1, 2, 3]), ValueError, "lens has 2"),
    "distance": (lambda: orbit(distance=0), ValueError, "distance.*greater than 0"),
    "azimuth": (lambda: orbit(azimuth=[[1.0]]), ValueError, "azimuth.*shape"),
    "orbit batch": (
        lambda: orbit(distance=[1, 2], azimuth=[1, 2, 3]),
        ValueError,
        "distance has 2, azimuth and elevation has 3",
    ),
    "elevation": (lambda: orbit(elevation=math.nan), ValueError, "elevation.*finite"),
    "opencv ortho": (FLAT.to_opencv, ValueError, "OpenCV has no orthographic"),
    "opengl far": (lambda: FLAT.to_opengl(), ValueError, "far must be"),
    "opengl near far": (lambda: SKEWED.to_opengl(far=0.01), ValueError, "far must be"),
    "pytorch3d skew": (SKEWED.to_pytorch3d, ValueError, "no skew for PyTorch3D"),
    "blender skew": (SKEWED.to_blender, ValueError, "no skew for Blender"),
    "blender sensor": (lambda: FLAT.to_blender(sensor_width=0), ValueError, "sensor_width"),
    **{
        f"{name} of no rotation": (
            getattr(STRETCHED, name),
            ValueError,
            "rotation must be a rotation",
        )
        for name in ("to_opencv", "to_opengl", "to_pytorch3d", "to_blender")
    },
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD)
def test_bad_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("program", THROUGH)
def test_a_render_is_the_same_through_every_program(program, dtype):
    ball = ts.shapes.icosphere(1).to(dtype=dtype)
    camera = ts.Camera.look_at((1.0, 0.8, 2.0), fov=60, image_size=(5, 7), dtype=dtype)
    image = ts.SoftRasterizer().silhouette(ball, camera)
    again = ts.SoftRasterizer().silhouette(ball, THROUGH[program](camera))
    torch.testing.assert_close(again, image, rtol=0, atol=1e-10 if dtype == torch.float64 else 1e-4)
