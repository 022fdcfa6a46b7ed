"""Cameras: known points land on known pixels, in any convention, with gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from taichisoft.cameras.camera import Camera

SIZE = (64, 48)
DOUBLE = {"dtype": torch.float64}
K = [[100.0, 3.0, 20.0], [0.0, 120.0, 30.0], [0.0, 0.0, 1.0]]


def random_rotation(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else q[:, ::-1]


def close(actual: torch.Tensor, expected) -> None:
    expected = torch.as_tensor(expected, dtype=actual.dtype).expand_as(actual)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((0, 0, 0), (50, 50, 5, 1 / 5)),
        ((1, 0, 0), (60, 50, 5, 1 / 5)),  # world right is image right
        ((0, 1, 0), (50, 40, 5, 1 / 5)),  # world up is towards row 0
        ((0, 0, 4), (50, 50, 1, 1)),  # nearer to the eye
        ((1, -1, -5), (55, 55, 10, 1 / 10)),
        ((5, 5, 0), (100, 0, 5, 1 / 5)),  # the corner of the image
    ],
)
def test_look_at_puts_known_points_at_known_pixels(point, expected):
    camera = Camera.look_at((0, 0, 5), fov=90, image_size=(100, 100), **DOUBLE)
    close(camera.project(torch.tensor([point]).double())[0, 0], expected)


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((0, 0, 0), (30, 20, 5, 1)),
        ((1, 0, 0), (40, 20, 5, 1)),
        ((0, 2, 0), (30, 0, 5, 1)),
        ((-3, -2, 9), (0, 40, -4, 1)),  # no foreshortening, not even behind the eye
    ],
)
def test_orthographic_puts_known_points_at_known_pixels(point, expected):
    camera = Camera.orthographic((0, 0, 5), height=4, image_size=(40, 60), **DOUBLE)
    close(camera.project(torch.tensor([point]).double())[0, 0], expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pixel_center", [0.5, 0.0, -1.0])
def test_from_opencv_agrees_with_the_formula_of_opencv(seed, pixel_center):
    rng = np.random.default_rng(seed)
    rotation, offset = random_rotation(seed), rng.normal(size=3) + (0, 0, 8)
    points = rng.normal(size=(7, 3))
    inside = points @ rotation.T + offset
    image = inside @ np.array(K).T
    pixels = image[:, :2] / image[:, 2:] + 0.5 - pixel_center
    expected = np.concatenate([pixels, inside[:, 2:], 1 / inside[:, 2:]], 1)
    camera = Camera.from_opencv(K, rotation, offset, SIZE, pixel_center=pixel_center, **DOUBLE)
    close(camera.project(torch.from_numpy(points))[0], expected)


def test_centre_of_the_first_pixel():
    # on the optical axis of a K whose principal point is the first pixel of OpenCV
    k = [[10.0, 0, 0], [0, 10.0, 0], [0, 0, 1]]
    point = torch.tensor([[0.0, 0.0, 1.0]])
    opencv = Camera.from_opencv(k, np.eye(3), np.zeros(3), SIZE, pixel_center=0.0)
    assert opencv.project(point)[0, 0, :2].tolist() == [0.5, 0.5]
    ours = Camera.from_opencv(k, np.eye(3), np.zeros(3), SIZE)
    assert ours.project(point)[0, 0, :2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3), (1, 3, 1)])
def test_translation_in_the_shapes_of_opencv(shape):
    offset = np.array([1.0, 2.0, 3.0]).reshape(shape)
    camera = Camera.from_opencv(K, np.eye(3), offset, SIZE)
    assert camera.translation.tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize("make", [Camera.look_at, Camera.orthographic])
def test_view_is_a_rotation_that_looks_at_the_target(make):
    rng = np.random.default_rng(0)
    eye, at, up = (torch.from_numpy(rng.normal(size=(9, 3))) for _ in range(3))
    camera = make(eye, at, up, image_size=SIZE)
    close(camera.rotation @ camera.rotation.mT, torch.eye(3))
    close(torch.linalg.det(camera.rotation), 1.0)
    close(camera.position, eye)
    seen = camera.project(at[:, None])[:, 0]
    close(seen[:, :2], (SIZE[1] / 2, SIZE[0] / 2))
    close(seen[:, 2], (at - eye).norm(dim=-1))
    above = camera.project((at + 1e-3 * up)[:, None])[:, 0]
    close(above[:, 0], SIZE[1] / 2)
    assert (above[:, 1] < SIZE[0] / 2).all()


@pytest.mark.parametrize("size", [(37, 53), (53, 37), (1, 9), (9, 1)])
def test_field_of_view_spans_the_height_of_any_image(size):
    camera = Camera.look_at((0, 0, 2), fov=60, image_size=size, **DOUBLE)
    half = 2 * math.tan(math.radians(30))
    points = torch.tensor([[0, half, 0], [0, -half, 0], [half, 0, 0]], dtype=torch.float64)
    edges = camera.project(points)[0]
    close(edges[:, 1], [0, size[0], size[0] / 2])
    close(edges[2, 0], (size[1] + size[0]) / 2)  # square pixels


def test_length_of_up_and_distance_of_at_do_not_matter():
    def rotation(at, up):
        return Camera.look_at((0.0, 0.0, 0.0), at, up, image_size=SIZE).rotation

    expected = rotation((1.0, 2.0, 3.0), (0.0, 1.0, 0.0))
    for at, up in (((1e25, 2e25, 3e25), (0, 1e-30, 0)), ((1e-25, 2e-25, 3e-25), (0, 1e30, 0))):
        torch.testing.assert_close(rotation(at, up), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("cameras", "meshes"), [(1, 1), (3, 1), (1, 3), (3, 3)])
def test_batches_are_equal_or_one(cameras, meshes):
    eye = torch.tensor([[0.0, 0.0, 3.0 + i] for i in range(cameras)]).double()
    points = torch.rand(meshes, 5, 3).double()
    camera = Camera.look_at(eye, image_size=SIZE)
    out = camera.project(points)
    assert out.shape == (3 if 3 in (cameras, meshes) else 1, 5, 4)
    for b in range(len(out)):
        single = Camera.look_at(eye[b % cameras], image_size=SIZE).project(points[b % meshes])
        close(out[b], single[0])


def test_unbatched_points_are_seen_by_every_camera():
    camera = Camera.look_at((0, 0, 3), fov=torch.tensor([20.0, 40.0]), image_size=SIZE)
    assert camera.project(torch.rand(5, 3)).shape == (2, 5, 4)
    assert camera.project(torch.rand(0, 3)).shape == (2, 0, 4)


def test_every_argument_broadcasts():
    eye = torch.rand(4, 3) + 2
    for camera in (
        Camera.look_at(eye, fov=30, image_size=SIZE),
        Camera.look_at((2, 2, 2), at=torch.rand(4, 3), image_size=SIZE),
        Camera.look_at((2, 2, 2), up=torch.rand(4, 3), image_size=SIZE),
        Camera.look_at((2, 2, 2), fov=[10, 20, 30, 40], image_size=SIZE),
        Camera.orthographic(eye[:1], height=torch.rand(4) + 1, image_size=SIZE),
        Camera.from_opencv(K, np.eye(3), eye, SIZE),
        Camera.from_opencv(K, np.tile(np.eye(3), (4, 1, 1)), (0, 0, 1), SIZE),
        Camera.from_opencv([K] * 4, np.eye(3), [(0, 0, 1)], SIZE),
    ):
        assert camera.batch_size == len(camera) == 4
        assert camera.rotation.shape == camera.intrinsics.shape == (4, 3, 3)
        assert camera.translation.shape == (4, 3)


@pytest.mark.parametrize("make", [Camera.look_at, Camera.orthographic])
def test_gradients_of_views(make):
    generator = torch.Generator().manual_seed(0)
    # deterministic, clear of every degenerate view
    eye = torch.tensor([[1.0, 2.0, 4.0], [-2.0, 0.5, 3.0]]).double().requires_grad_()
    at = torch.tensor([0.1, -0.2, 0.3]).double().requires_grad_()
    up = torch.tensor([0.2, 1.5, -0.1]).double().requires_grad_()
    extent = torch.tensor([35.0, 50.0]).double().requires_grad_()
    points = torch.randn(3, 3, generator=generator).double().requires_grad_()
    name = "fov" if make == Camera.look_at else "height"

    def project(eye, at, up, extent, points):
        return make(eye, at, up, **{name: extent}, image_size=(7, 5)).project(points)

    inputs = (eye, at, up, extent, points)
    assert torch.autograd.gradcheck(project, inputs)
    assert torch.autograd.gradgradcheck(project, inputs)


def test_gradients_of_the_matrices():
    k = torch.tensor(K).double().requires_grad_()
    r = torch.from_numpy(random_rotation(1).copy()).requires_grad_()
    t = torch.tensor([0.1, 0.2, 5.0]).double().requires_grad_()
    points = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    points.requires_grad_()

    def project(points, *matrices):
        return Camera.from_opencv(*matrices, SIZE).project(points)

    assert torch.autograd.gradcheck(project, (points, k, r, t))
    assert torch.autograd.gradgradcheck(project, (points, k, r, t))
    project(points, k, r, t).sum().backward()
    assert all((value.grad != 0).any() for value in (points, k, r, t))


@pytest.mark.parametrize("depth", [1e-30, 0.0, -1e-30, -1.0, -1e6, 0.0999999])
def test_points_before_the_near_plane_stay_finite(depth):
    camera = Camera.look_at((0, 0, 0), (0, 0, 1), image_size=SIZE, near=0.1)
    point = torch.tensor([[3.0, -2.0, depth]], requires_grad=True)
    out = camera.project(point)
    assert torch.isfinite(out).all()
    assert out[0, 0, 2].item() == pytest.approx(depth, rel=1e-6)  # unclamped
    assert out[0, 0, 3].item() == pytest.approx(10.0)  # clamped
    (gradient,) = torch.autograd.grad(out.square().sum() * 1e-6, point, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), point)
    assert torch.isfinite(gradient).all()
    assert torch.isfinite(second).all()


def test_points_beyond_the_near_plane_are_not_clamped():
    camera = Camera.look_at((0, 0, 0), (0, 0, 1), image_size=SIZE, near=0.1, **DOUBLE)
    out = camera.project(torch.tensor([[0.0, 0.0, 0.1], [0.0, 0.0, 0.11]], **DOUBLE))
    close(out[0, :, 3], [10.0, 1 / 0.11])


def test_selection_keeps_the_batch_axis():
    eye = torch.rand(4, 3) + 2
    camera = Camera.look_at(eye, image_size=SIZE, near=0.3)
    torch.testing.assert_close(camera[1].position, eye[1:2])
    torch.testing.assert_close(camera[-1].position, eye[3:])
    torch.testing.assert_close(camera[1:3].position, eye[1:3])
    torch.testing.assert_close(camera[[2, 0]].position, eye[[2, 0]])
    torch.testing.assert_close(camera[torch.tensor([3, 3])].position, eye[[3, 3]])
    assert [len(single) for single in camera] == [1, 1, 1, 1]
    assert (camera[0].near, camera[0].image_size, camera[0].perspective) == (0.3, SIZE, True)
    with pytest.raises(IndexError, match=r"4 cameras.*got 4"):
        camera[4]
    with pytest.raises(ValueError, match=r"batch"):
        camera[4:]


def test_dtype_follows_the_tensors():
    single, double = torch.rand(3) + 2, torch.rand(3).double() + 2
    assert Camera.look_at((2, 2, 2), image_size=SIZE).dtype == torch.float32
    assert Camera.look_at(np.ones(3), image_size=SIZE).dtype == torch.float32
    assert Camera.look_at(single, image_size=SIZE).dtype == torch.float32
    assert Camera.look_at(single, at=-double, image_size=SIZE).dtype == torch.float64
    assert Camera.look_at(double, image_size=SIZE, dtype=torch.float32).dtype == torch.float32
    camera = Camera.look_at(single, image_size=SIZE).to("cpu", torch.float64)
    assert (camera.dtype, camera.device) == (torch.float64, torch.device("cpu"))
    with pytest.raises(TypeError, match=r"dtype.*bfloat16"):
        camera.to(dtype=torch.bfloat16)


def test_numbers_that_another_dtype_does_not_hold_are_told_with_it():
    camera = Camera.look_at((2, 2, 2), image_size=SIZE, dtype=torch.float64)
    bent = camera.with_parts({"distortion": torch.tensor([[1e300, 0, 0, 0]], dtype=torch.float64)})
    with pytest.raises(ValueError, match=r"^distortion in float32 must be finite, got inf"):
        bent.to(dtype=torch.float32)
    assert bent.to(dtype=torch.float64).distortion is bent.distortion


BAD_VIEWS = {
    "eye is at": ({"eye": (0, 0, 0)}, ValueError, "eye must differ from at"),
    "one eye is at": ({"eye": [(0, 0, 1), (0, 0, 0)]}, ValueError, "eye must differ from at"),
    "up parallel": ({"eye": (0, 2, 0)}, ValueError, "up.*parallel"),
    "up opposite": ({"eye": (0, -2, 0)}, ValueError, "up.*parallel"),
    "up zero": ({"up": (0, 0, 0)}, ValueError, "up.*zero"),
    "eye of two": ({"eye": (0, 1)}, ValueError, r"eye.*\(3,\).*\(2,\)"),
    "eye nan": ({"eye": (0, math.nan, 1)}, ValueError, "eye.*finite"),
    "eye text": ({"eye": "front"}, TypeError, "eye.*tensor or numbers.*front"),
    "eye of tensors": ({"eye": (torch.ones(()), 0, 1)}, TypeError, "eye.*torch.stack"),
    "eye complex": ({"eye": torch.ones(3) + 0j}, TypeError, "eye.*real"),
    "fov zero": ({"fov": 0}, ValueError, "fov.*greater than 0 .*got 0"),
    "fov wide": ({"fov": torch.tensor([40.0, 180.0])}, ValueError, "fov.*180"),
    "fov shape": ({"fov": torch.ones(2, 2)}, ValueError, "fov.*shape"),
    "batches": ({"eye": torch.ones(2, 3), "at": torch.zeros(3, 3)}, ValueError, "eye has 2, at"),
    "batch of fov": ({"eye": torch.ones(2, 3), "fov": [1, 2, 3]}, ValueError, "batch sizes"),
    "image_size int": ({"image_size": 64}, TypeError, "image_size.*pair.*64"),
    "image_size zero": ({"image_size": (64, 0)}, ValueError, r"image_size\[1\] \(width\).*0"),
    "image_size float": ({"image_size": (64.0, 64)}, TypeError, "height.*int.*float"),
    "near zero": ({"near": 0.0}, ValueError, "near.*greater than 0"),
    "near text": ({"near": "1"}, TypeError, "near.*number.*str"),
    "dtype": ({"dtype": torch.float16}, TypeError, "dtype.*float16"),
}


@pytest.mark.parametrize(("change", "error", "match"), BAD_VIEWS.values(), ids=BAD_VIEWS)
def test_bad_views(change, error, match):
    with pytest.raises(error, match=match):
        Camera.look_at(**{"eye": (0, 0, 3), "image_size": SIZE, **change})


def test_bad_height():
    with pytest.raises(ValueError, match=r"height.*greater than 0"):
        Camera.orthographic((0, 0, 3), height=0.0, image_size=SIZE)


BAD_MATRICES = {
    "K of 3x4": ({"K": np.ones((3, 4))}, ValueError, "K.*shape"),
    "K not positive": ({"K": np.diag([1.0, -1.0, 1.0])}, ValueError, "K.*positive focal"),
    "K last row": ({"K": np.eye(3) * 1.01}, ValueError, r"K.*last row \(0, 0, 1\)"),
    "R scaled": ({"R": np.eye(3) * 1.01}, ValueError, "R.*identity by 0.02"),
    "R mirrors": ({"R": np.diag([1.0, 1.0, -1.0])}, ValueError, "R.*mirrors"),
    "R vector": ({"R": np.zeros(4)}, ValueError, "R.*shape"),
    "t of four": ({"t": np.zeros(4)}, ValueError, "t.*shape"),
    "centre": ({"pixel_center": math.nan}, ValueError, "pixel_center.*finite"),
    "batches": ({"R": np.tile(np.eye(3), (2, 1, 1)), "t": np.zeros((3, 3))}, ValueError, "batch"),
}


@pytest.mark.parametrize(("change", "error", "match"), BAD_MATRICES.values(), ids=BAD_MATRICES)
def test_bad_matrices(change, error, match):
    good = {"K": K, "R": np.eye(3), "t": np.zeros(3), "image_size": SIZE}
    with pytest.raises(error, match=match):
        Camera.from_opencv(**{**good, **change})


BAD_FIELDS = {
    "rotation": ({"rotation": torch.eye(3)}, ValueError, "rotation.*B, 3, 3"),
    "translation": ({"translation": torch.zeros(2, 3)}, ValueError, r"translation.*\(1, 3\)"),
    "dtype": ({"intrinsics": torch.eye(3)[None].double()}, TypeError, "intrinsics.*float32"),
    "nan": ({"translation": torch.full((1, 3), math.nan)}, ValueError, "translation.*finite"),
    "perspective": ({"perspective": 1}, TypeError, "perspective.*bool"),
}


@pytest.mark.parametrize(("change", "error", "match"), BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_bad_fields(change, error, match):
    eye, zero = torch.eye(3)[None], torch.zeros(1, 3)
    good = {"rotation": eye, "translation": zero, "intrinsics": eye, "image_size": SIZE}
    assert Camera(**good).near == 0.01
    with pytest.raises(error, match=match):
        Camera(**{**good, **change})


@pytest.mark.parametrize(
    ("points", "error", "match"),
    [
        (torch.rand(3, 5, 3), ValueError, "vertices has 3, camera has 2"),
        (torch.rand(5, 3).double(), TypeError, "vertices.*camera.*float32"),
        (torch.rand(5, 2), ValueError, "vertices.*shape"),
        (torch.full((5, 3), math.inf), ValueError, "vertices.*finite"),
        ([[0.0, 0.0, 0.0]], TypeError, "vertices.*Tensor"),
    ],
)
def test_bad_points(points, error, match):
    camera = Camera.look_at(torch.ones(2, 3), image_size=SIZE)
    with pytest.raises(error, match=match):
        camera.project(points)


def test_orthographic_near_may_be_negative():
    assert Camera.orthographic((0, 0, 1), image_size=SIZE, near=-5).near == -5.0
