"""Lens distortion: against OpenCV's numbers, a formula in NumPy, sampled radii, and finite differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, jacfwd, jacrev, vmap

from taichisoft import Camera
from taichisoft.cameras.model import joined

# Of torch itself, which compiles some of its transforms.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

SIZE = (40, 60)
DOUBLE = {"dtype": torch.float64}
K = [[70.0, 0.0, 33.0], [0.0, 90.0, 20.0], [0.0, 0.0, 1.0]]
RVEC, T = (0.1, 0.2, 0.3), (0.1, 0.2, 5.0)
POINTS = torch.tensor(
    [[-1.0, -1.0, -1.0], [1.5, -0.5, 0.25], [0.3, 1.2, -0.8], [2.0, 1.5, 1.0]], **DOUBLE
)

# cv2 5.0.0: cv2.projectPoints(POINTS, RVEC, T, K, np.array(coefficients))[0][:, 0]
OPENCV = {
    (-0.3, 0.1, 0.001, -0.002): [
        [20.2452507414266, -1.1566551073768245],
        [56.31762040201326, 22.875381229669017],
        [30.99022567719148, 49.941334685048815],
        [52.790940621500624, 51.40820926148037],
    ],
    (-0.3, 0.1, 0.001, -0.002, 0.02): [
        [20.245037444765458, -1.1570094121884793],
        [56.31847139393459, 22.8754856965079],
        [30.990155682365845, 49.942385817991514],
        [52.79613070539733, 51.41642707996647],
    ],
    (0.4, 0.1, 0.001, -0.002, 0.02, 0.35, -0.05, 0.01): [
        [19.81390094617339, -1.8731656572739332],
        [57.3502343042138, 23.00214378457317],
        [30.903288634830446, 51.24689389370418],
        [54.52896318128091, 54.160140483641385],
    ],
}
LENSES = list(OPENCV)


def bent(plane: np.ndarray, lens: Sequence[float]) -> np.ndarray:
    """Points of the plane at depth 1, (N, 2), as the formula in OpenCV's documentation moves them."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*lens, *(8 - len(lens)) * (0.0,))
    x, y = plane.T
    r = np.hypot(x, y)
    factor = (1 + k1 * r**2 + k2 * r**4 + k3 * r**6) / (1 + k4 * r**2 + k5 * r**4 + k6 * r**6)
    return np.stack(
        [
            x * factor + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2),
            y * factor + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y,
        ],
        1,
    )


def lens_camera(lens: Sequence[float] | torch.Tensor, size=SIZE, **options) -> Camera:
    """Return a camera at the origin, 60 pixels wide where x / z goes from -1 to 1."""
    k = [[30.0, 0.0, size[1] / 2], [0.0, 30.0, size[0] / 2], [0.0, 0.0, 1.0]]
    options = {**DOUBLE, **options}
    return Camera.from_opencv(k, np.eye(3), np.zeros(3), size, distortion=lens, **options)


@pytest.mark.parametrize("lens", LENSES)
def test_pixels_are_those_of_opencv(lens):
    camera = Camera.from_opencv(K, RVEC, T, SIZE, distortion=lens, **DOUBLE)
    seen = camera.project(POINTS)[0]
    np.testing.assert_allclose(seen[:, :2], OPENCV[lens], rtol=0, atol=1e-9)
    straight = Camera.from_opencv(K, RVEC, T, SIZE, **DOUBLE).project(POINTS)[0]
    assert torch.equal(seen[:, 2:], straight[:, 2:])
    single = camera.to(dtype=torch.float32).project(POINTS.float())[0, :, :2]
    np.testing.assert_allclose(single, OPENCV[lens], rtol=0, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_pixels_are_those_of_the_formula(seed):
    rng = np.random.default_rng(seed)
    count = (4, 5, 8)[seed % 3]
    lens = rng.normal(size=count) * 0.03
    plane = rng.uniform(-0.7, 0.7, size=(50, 2))
    points = torch.from_numpy(np.concatenate([plane, np.ones((50, 1))], 1)) * 3
    seen = lens_camera(lens).project(points)[0, :, :2].numpy()
    np.testing.assert_allclose(seen, bent(plane, lens) * 30 + (30, 20), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", [(5,), (5, 1), (1, 5)])
def test_coefficients_in_the_shapes_of_opencv(shape):
    given = np.reshape([0.1, 0.2, 0.3, 0.4, 0.5], shape)
    assert lens_camera(given).distortion.tolist() == [[0.1, 0.2, 0.3, 0.4, 0.5]]


def test_batches_of_lenses():
    camera = Camera.from_opencv(K, RVEC, T, SIZE, distortion=[[0.1, 0, 0, 0], [-0.1, 0, 0, 0]])
    assert len(camera) == 2
    assert camera.rotation.shape == (2, 3, 3)
    assert len(camera.valid_radius) == 2
    points = POINTS.float()
    together = camera.project(points)
    for index, one in enumerate(camera):
        torch.testing.assert_close(one.project(points)[0], together[index])
    both = joined(
        [
            camera[1],
            replace(camera[0], distortion=None),
            lens_camera((0.1, 0, 0, 0, 0.2), dtype=torch.float32),
        ]
    )
    assert both.distortion.shape == (3, 5)
    torch.testing.assert_close(both.project(points)[0], together[1])
    straight = replace(camera[0], distortion=None).project(points)
    torch.testing.assert_close(both.project(points)[1], straight[0])


def sampled_radius(lens: np.ndarray) -> float:
    """Return the least sampled radius at which the image moves outwards no more; infinity if none."""
    r = np.concatenate([np.linspace(0, 3, 30001)[1:], np.geomspace(3, 1e3, 10001)[1:]])
    k1, k2, _, _, k3, k4, k5, k6 = lens
    s = r * r
    below = 1 + s * (k4 + s * (k5 + s * k6))
    image = r * (1 + s * (k1 + s * (k2 + s * k3))) / below
    stops = (np.diff(image) <= 0) | (below[1:] <= 0)
    return float(r[1:][stops.argmax()]) if stops.any() else math.inf


def test_valid_radius_is_where_the_image_stops_growing():
    rng = np.random.default_rng(0)
    finite = 0
    for index in range(150):
        lens = rng.normal(size=8) * 10.0 ** rng.uniform(-4, 1)
        lens[(4, 5, 8)[index % 3] :] = 0
        lens[2:4] = 0
        lens[rng.integers(8)] = 0
        found = float(lens_camera(lens).valid_radius)
        expected = sampled_radius(lens)
        finite += expected < math.inf
        assert found == pytest.approx(expected, rel=2e-3, abs=2e-3) or (found > 990 < expected)
    assert 30 < finite < 120


KNOWN_RADII = {
    "none": (4 * [0.0], math.inf),
    "pincushion": ((0.1, 0, 0, 0), math.inf),
    "barrel": ((-1 / 3, 0, 0, 0), 1.0),
    "pole": ((0, 0, 0, 0, 0, -1, 0, 0), 1.0),
    "an inflection, r (1 - s + 3/5 s^2)' = (1 - 3/2 s)^2 + 3/4 s^2": ((-1, 0.6, 0, 0), math.inf),
    "tiny": ((1e-9, -1e-9, 0, 0, -1e-12), math.sqrt(5000)),
}


@pytest.mark.parametrize(("lens", "radius"), KNOWN_RADII.values(), ids=KNOWN_RADII)
def test_known_radii(lens, radius):
    assert float(lens_camera(lens).valid_radius) == pytest.approx(
        radius, rel=1e-2 if 9 < radius < 99 else 1e-12
    )
    assert float(Camera.look_at((0, 0, 3), image_size=SIZE).valid_radius) == math.inf


def test_points_without_an_image_are_told_and_finite():
    camera = lens_camera((-1 / 3, 0.0, 0.0, 0.0))
    radii = torch.tensor([0.0, 0.5, 0.999, 1.001, 1e3, 1e300], **DOUBLE)
    points = torch.stack([radii, torch.zeros_like(radii), torch.ones_like(radii)], 1)
    points = torch.cat([points, torch.tensor([[0.0, 0, 0], [0, 0, -1], [1, 1, -1]], **DOUBLE)])
    points.requires_grad_()
    lens = camera.distortion.clone().requires_grad_()
    seen = replace(camera, distortion=lens).project(points)
    assert (seen[0, :6, 3] > 0).tolist() == [True] * 3 + [False] * 3
    assert (seen[0, 6:, 2] < camera.near).all()
    first = torch.autograd.grad(
        seen[0, [0, 1, 2, 3, 4, 6, 7, 8]].sum(), (points, lens), create_graph=True
    )
    second = torch.autograd.grad(sum(x.square().sum() for x in first), (points, lens))
    assert all(bool(x.isfinite().all()) for x in (seen, *first, *second))
    # Those that have none are where they are without a lens.
    straight = replace(camera, distortion=None).project(points)
    assert torch.equal(seen[0, 3:6, :3], straight[0, 3:6, :3])


def test_points_where_tangential_terms_turn_the_image_over_have_no_image():
    # On the axis of y: x' = x (1 + 2 p1 y), turned over from y = -1 / (2 p1) on.
    camera = lens_camera((0.0, 0.0, 1.0, 0.0))
    points = torch.tensor([[0.0, -0.1, 1], [0, -0.16, 1], [0, -0.17, 1], [0, 3.0, 1]], **DOUBLE)
    assert (camera.project(points)[0, :, 3] > 0).tolist() == [True, True, False, True]


def test_points_at_a_right_angle_have_no_image():
    camera = lens_camera((0.1, 0.01, 0.0, 0.0, 0.001))
    assert float(camera.valid_radius) == math.inf
    points = torch.tensor([[10.0, 0, 1], [1e4, 0, 1]], **DOUBLE)
    assert (camera.project(points)[0, :, 3] > 0).tolist() == [True, False]


def test_derivatives_of_project():
    lens = torch.tensor([LENSES[2]], **DOUBLE).requires_grad_()

    def project(lens, points, intrinsics):
        camera = Camera.from_opencv(K, RVEC, T, SIZE, **DOUBLE)
        return replace(camera, intrinsics=intrinsics, distortion=lens).project(points)

    inputs = (lens, POINTS.clone().requires_grad_(), torch.tensor([K], **DOUBLE).requires_grad_())
    assert gradcheck(project, inputs)
    assert gradgradcheck(project, inputs)


@pytest.mark.parametrize("lens", [*LENSES, (-0.3, 0, 0, 0), (0.5, 0.2, 0.01, 0.02, 0.3)])
def test_unproject_is_the_inverse_of_project(lens):
    camera = Camera.from_opencv(K, RVEC, T, SIZE, distortion=lens, **DOUBLE)
    depth = torch.rand(2, *SIZE, generator=torch.Generator().manual_seed(0), **DOUBLE) + 2
    points = camera.unproject(depth)
    seen = camera.project(points.flatten(1, 2)).unflatten(1, SIZE)
    x, y = np.meshgrid(np.arange(SIZE[1]) + 0.5, np.arange(SIZE[0]) + 0.5)
    np.testing.assert_allclose(seen[0, ..., 0], x, rtol=0, atol=1e-9)
    np.testing.assert_allclose(seen[1, ..., 1], y, rtol=0, atol=1e-9)
    torch.testing.assert_close(seen[..., 2], depth, rtol=0, atol=1e-9)
    again = camera.project(POINTS)
    torch.testing.assert_close(
        camera.unproject(again[..., 2], again[..., :2])[0], POINTS, rtol=0, atol=1e-9
    )
    single = camera.to(dtype=torch.float32)
    torch.testing.assert_close(
        single.unproject(depth.float()), points.float(), rtol=1e-5, atol=1e-5
    )


def test_derivatives_of_unproject():
    lens = torch.tensor([LENSES[2]], **DOUBLE)
    depth, pixels = (
        2 + torch.rand(1, 2, **DOUBLE),
        torch.tensor([[1.0, 2], [50, 30]], **DOUBLE),
    )

    def world(lens, depth, pixels):
        return lens_camera(lens).unproject(depth, pixels)

    inputs = tuple(x.requires_grad_() for x in (lens, depth, pixels))
    assert gradcheck(world, inputs)
    assert gradgradcheck(world, inputs)


def test_pixels_beyond_the_image_of_a_lens():
    # The image ends 2/3 focal lengths from the middle: 20 pixels.
    camera = lens_camera((-1 / 3, 0.0, 0.0, 0.0))
    pixels = torch.tensor([[30.0, 20], [49.9, 20], [50.1, 20]], **DOUBLE)
    depth = torch.tensor([1.0, 1, 0], **DOUBLE).requires_grad_()
    points = camera.unproject(depth, pixels)
    assert points[0, 2].tolist() == [0, 0, 0]
    assert 0.9 < points[0, 1, 0].item() < 1
    assert torch.autograd.grad(points.sum(), depth)[0].isfinite().all()
    with pytest.raises(ValueError, match=r"pixels must be where the lens shows.*got 1 of 3 beyond"):
        camera.unproject(torch.ones(3, **DOUBLE), pixels)


def test_crops_and_sizes_of_a_distorted_image():
    camera = Camera.from_opencv(K, RVEC, T, SIZE, distortion=LENSES[0], **DOUBLE)
    seen = camera.project(POINTS)[..., :2]
    part = camera.crop((10, 5, 50, 35)).resize((60, 80))
    torch.testing.assert_close(part.project(POINTS)[..., :2], 2 * (seen - torch.tensor([10.0, 5])))
    boxes = camera.crop([(0, 0, 8, 8), (1, 2, 9, 10)])
    assert boxes.distortion.shape == (2, 4)
    assert torch.equal(boxes[1].distortion, camera.distortion)


def test_parts_that_stay():
    camera = Camera.from_opencv(K, RVEC, T, SIZE, distortion=LENSES[0], **DOUBLE)
    assert camera.to(dtype=torch.float32).distortion.dtype == torch.float32
    assert "distortion: (1, 4) float64, -0.3 to 0.1" in repr(camera)
    assert "distortion" not in repr(replace(camera, distortion=None))
    given = camera.to_opencv(pixel_center=0.0)
    assert given._fields == ("K", "R", "t", "distortion")
    again = Camera.from_opencv(**given._asdict(), image_size=SIZE, pixel_center=0.0)
    torch.testing.assert_close(again.project(POINTS), camera.project(POINTS))
    assert replace(camera, distortion=None).to_opencv()._fields == ("K", "R", "t")


BAD = {
    "three": (lambda: lens_camera([0.1, 0, 0]), ValueError, r"distortion must.*\(4,\).*\(3,\)"),
    "twelve": (lambda: lens_camera(12 * [0.0]), ValueError, "distortion must"),
    "nan": (lambda: lens_camera([math.nan, 0, 0, 0]), ValueError, "distortion must be finite"),
    "text": (lambda: lens_camera("x"), TypeError, "distortion must be a tensor or numbers"),
    "batches": (
        lambda: lens_camera(torch.zeros(2, 4))[:1].crop(torch.zeros(3, 4)),
        ValueError,
        "box",
    ),
    "fields": (
        lambda: replace(Camera.look_at((0, 0, 3), image_size=SIZE), distortion=torch.zeros(4)),
        ValueError,
        r"distortion must.*\(1, 4\)",
    ),
    "dtype": (
        lambda: replace(
            Camera.look_at((0, 0, 3), image_size=SIZE), distortion=torch.zeros(1, 4).double()
        ),
        TypeError,
        "distortion must.*float32",
    ),
    "orthographic": (
        lambda: replace(
            Camera.orthographic((0, 0, 3), image_size=SIZE), distortion=torch.zeros(1, 4)
        ),
        ValueError,
        "distortion needs a perspective camera, got perspective=False",
    ),
    "opengl": (lambda: lens_camera([0.1, 0, 0, 0]).to_opengl(), ValueError, "None for OpenGL"),
    "blender": (lambda: lens_camera([0.1, 0, 0, 0]).to_blender(), ValueError, "None for Blender"),
    "pytorch3d": (
        lambda: lens_camera([0.1, 0, 0, 0]).to_pytorch3d(),
        ValueError,
        "distortion must be None for PyTorch3D",
    ),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD)
def test_bad_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("kind", ["project", "unproject"])
def test_lenses_have_transforms(kind):
    lens = torch.tensor(LENSES[1], **DOUBLE)
    depth, pixels = (
        torch.tensor([2.0, 3.0], **DOUBLE),
        torch.tensor([[3.0, 9.0], [40, 30]], **DOUBLE),
    )

    def run(lens):
        camera = lens_camera(lens)
        return camera.project(POINTS + 3) if kind == "project" else camera.unproject(depth, pixels)

    several = torch.stack([lens, 1.1 * lens, 0.9 * lens])
    loop = torch.stack([run(one) for one in several])
    torch.testing.assert_close(vmap(run)(several), loop, rtol=1e-12, atol=1e-12)
    leaf = lens.clone().requires_grad_()
    (exact,) = torch.autograd.grad(run(leaf).square().sum(), leaf)
    torch.testing.assert_close(grad(lambda x: run(x).square().sum())(lens), exact)
    torch.testing.assert_close(jacfwd(run)(lens), jacrev(run)(lens))


def test_a_calibration_finds_the_lens():
    """Landmarks whose pixels are known lead to the coefficients."""
    true = lens_camera((-0.2, 0.05, 0.002, -0.001))
    points = torch.rand(40, 3, generator=torch.Generator().manual_seed(0), **DOUBLE) * 2 - 1
    points = points + torch.tensor([0, 0, 2.0])
    wanted = true.project(points)
    assert (wanted[..., 3] > 0).all()
    lens = torch.zeros(1, 4, **DOUBLE)

    def residual(k):
        return (replace(true, distortion=k).project(points) - wanted)[..., :2].flatten()

    for _ in range(6):  # Gauss-Newton
        slope = jacrev(residual)(lens).flatten(1)
        lens = lens - torch.linalg.lstsq(slope, residual(lens)[:, None]).solution.T
    torch.testing.assert_close(lens, true.distortion, rtol=0, atol=1e-10)
