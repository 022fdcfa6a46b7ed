"""Crops, sizes and depths of images: the camera of a part, of another size, and the way back to the world."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import vmap

import taichisoft as ts
from taichisoft import Camera
from tests.cameras.test_camera import close
from tests.cameras.test_conventions import skewless

SIZE = (9, 12)
DOUBLE = {"dtype": torch.float64}


def oblique(perspective: bool, batch: int = 2) -> Camera:
    """Cameras off centre, with oblong, skewed pixels, and a rotation that is none."""
    camera = skewless(3, SIZE, perspective, batch)
    intrinsics = camera.intrinsics.clone()
    intrinsics[:, 0, 1], intrinsics[:, 1, 0] = 4.0, -2.5
    return replace(camera, intrinsics=intrinsics, rotation=1.01 * camera.rotation)


def depths(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), **DOUBLE) + 2


@pytest.mark.parametrize("perspective", [True, False])
def test_unproject_is_the_inverse_of_project(perspective):
    camera = oblique(perspective)
    for depth in (depths(2, *SIZE), depths(*SIZE)):
        points = camera.unproject(depth)
        assert points.shape == (2, *SIZE, 3)
        seen = camera.project(points.flatten(1, 2)).unflatten(1, SIZE)
        x, y = np.meshgrid(np.arange(SIZE[1]) + 0.5, np.arange(SIZE[0]) + 0.5)
        torch.testing.assert_close(seen[0, ..., 0], torch.from_numpy(x), rtol=0, atol=1e-9)
        torch.testing.assert_close(seen[1, ..., 1], torch.from_numpy(y), rtol=0, atol=1e-9)
        torch.testing.assert_close(seen[..., 2], depth.expand(2, *SIZE), rtol=0, atol=1e-9)
    points = depths(2, 5, 3)
    seen = camera.project(points) if perspective else camera.project(-points)
    visible = seen[..., 2] > camera.near
    again = camera.unproject(seen[..., 2], seen[..., :2])
    wanted = points if perspective else -points
    chosen = visible if perspective else torch.ones_like(visible)
    torch.testing.assert_close(again[chosen], wanted[chosen], rtol=0, atol=1e-9)


def test_unproject_agrees_with_the_formula():
    k = np.array([[30.0, 2, 5], [0, 40, 4], [0, 0, 1]])
    camera = Camera.from_opencv(k, np.eye(3), (0.1, 0.2, 0.3), SIZE, **DOUBLE)
    ray = np.linalg.inv(k) @ (7.5, 2.5, 1)
    found = camera.unproject(torch.full(SIZE, 3.0, **DOUBLE))[0, 2, 7]
    close(found, 3 * ray - (0.1, 0.2, 0.3))
    found = camera.unproject(torch.tensor([3.0], **DOUBLE), torch.tensor([[7.5, 2.5]], **DOUBLE))
    close(found[0, 0], 3 * ray - (0.1, 0.2, 0.3))


@pytest.mark.parametrize("perspective", [True, False])
def test_unproject_is_differentiable_twice(perspective):
    camera = oblique(perspective)

    def world(depth, pixels, rotation, translation, intrinsics):
        moved = replace(camera, rotation=rotation, translation=translation, intrinsics=intrinsics)
        return moved.unproject(depth, pixels)

    inputs = (
        depths(2, 2),
        3 * depths(2, 2),
        camera.rotation,
        camera.translation,
        camera.intrinsics,
    )
    inputs = tuple(x.detach().clone().requires_grad_() for x in inputs)
    assert gradcheck(world, inputs)
    assert gradgradcheck(world, inputs)
    pixels = inputs[1].detach()
    several = torch.stack([inputs[0], inputs[0] + 1]).detach()
    mapped = vmap(lambda depth: camera.unproject(depth, pixels))(several)
    torch.testing.assert_close(mapped[1], camera.unproject(several[1], pixels))


def test_depth_of_a_render_is_where_the_mesh_is():
    mesh = ts.shapes.cube()
    camera = Camera.look_at((2.0, 1.0, 3.0), image_size=(24, 20))
    image = ts.SoftRasterizer.hard()(mesh, camera, torch.ones(len(mesh.vertices), 3))
    points = camera.unproject(image.depth)[image.alpha > 0.5]
    side = mesh.vertices.abs().max()
    torch.testing.assert_close(points.abs().amax(-1), side.expand(len(points)), rtol=0, atol=1e-4)


BOXES = [(2, 1, 9, 6), (-3, -2, 14, 12), (4, 3, 5, 4), (20, 30, 24, 33)]


@pytest.mark.parametrize("perspective", [True, False])
@pytest.mark.parametrize("box", BOXES)
def test_a_crop_draws_what_the_image_has_there(box, perspective):
    mesh = ts.shapes.cube().to(dtype=torch.float64)
    make = Camera.look_at if perspective else Camera.orthographic
    camera = make((1.0, 0.8, 2.5), image_size=(10, 12), **DOUBLE)
    renderer = ts.SoftRasterizer(ts.Gaussian(0.7))
    left, top, right, bottom = box
    part = renderer.silhouette(mesh, camera.crop(box))
    assert part.shape == (1, bottom - top, right - left)
    # Of an image that holds both, by a camera with its principal point moved by hand.
    wide = camera.intrinsics.clone()
    wide[:, 0, 2] += 5
    wide[:, 1, 2] += 5
    whole = renderer.silhouette(mesh, replace(camera, intrinsics=wide, image_size=(40, 34)))
    torch.testing.assert_close(part, whole[:, top + 5 : bottom + 5, left + 5 : right + 5])


def test_boxes_of_a_batch():
    camera = Camera.look_at((0.0, 0, 3), image_size=(10, 12), **DOUBLE)
    boxes = torch.tensor([[1.25, 2.5, 6.25, 8.5], [-3, 0, 2, 6]])
    cropped = camera.crop(boxes)
    assert len(cropped) == 2
    assert cropped.image_size == (6, 5)
    assert cropped.dtype == torch.float64
    points = depths(4, 3) - 3
    moved = camera.project(points)[..., :2] - boxes[:, None, :2].double()
    torch.testing.assert_close(cropped.project(points)[..., :2], moved)
    for part, box in zip(cropped, boxes, strict=True):
        torch.testing.assert_close(camera.crop(box.tolist()).intrinsics, part.intrinsics)
        torch.testing.assert_close(camera.crop(box.numpy()).intrinsics, part.intrinsics)
    mapped = vmap(lambda box: camera.crop(box).project(points))(boxes)
    torch.testing.assert_close(mapped[:, 0], cropped.project(points))
    both = Camera.look_at(torch.rand(2, 3) + 1, image_size=(10, 12))
    assert len(both.crop((0, 0, 4, 4))) == 2


def test_crop_is_differentiable_in_the_box():
    camera, points = oblique(True), depths(4, 3)
    box = torch.tensor([1.0, 2, 5, 7], **DOUBLE).requires_grad_()
    assert gradcheck(lambda box: camera.crop(box).project(points), box)


def test_resize_scales_pixels():
    camera, points = oblique(True), depths(4, 3)
    resized = camera.resize((18, 6))
    assert resized.image_size == (18, 6)
    scaled = camera.project(points)[..., :2] * torch.tensor([0.5, 2.0])
    torch.testing.assert_close(resized.project(points)[..., :2], scaled)
    assert_same = torch.testing.assert_close
    assert_same(resized.resize(SIZE).intrinsics, camera.intrinsics)
    assert_same(
        Camera.look_at((1, 2, 3), image_size=(8, 8)).resize((4, 4)).intrinsics,
        Camera.look_at((1, 2, 3), image_size=(4, 4)).intrinsics,
    )


@pytest.mark.parametrize(
    "size",
    [
        (9, 12),
        [9, 12],
        np.array([9, 12]),
        torch.tensor([9, 12]),
        torch.Size([9, 12]),
        (np.int64(9), np.uint8(12)),
        (torch.tensor(9), 12),
        torch.zeros(9, 12).shape,
    ],
)
def test_image_sizes_are_any_two_integers(size):
    camera = Camera.look_at((0, 0, 3), image_size=size)
    assert camera.image_size == (9, 12)
    assert all(type(x) is int for x in camera.image_size)
    eye = np.eye(3)
    for made in (
        Camera.orthographic((0, 0, 3), image_size=size),
        Camera.orbit(3.0, 0.0, image_size=size),
        Camera.from_opencv(eye, eye, np.zeros(3), size),
        Camera.from_opengl(*camera.to_opengl(), size),
        Camera.from_pytorch3d(*camera.to_pytorch3d(), size),
        Camera.from_pytorch3d(*camera.to_pytorch3d(), size, 0.5),
        Camera.from_blender(np.eye(4), 50.0, size),
        Camera.from_clip(camera.to_opengl().projection, size),
        Camera(camera.rotation, camera.translation, camera.intrinsics, size),
        camera.resize((3, 3)).resize(size),
    ):
        assert made.image_size == (9, 12)


@pytest.mark.parametrize(
    ("size", "error", "match"),
    [
        (12, TypeError, r"image_size must be a pair \(height, width\)"),
        (None, TypeError, "image_size must be a pair.*None"),
        ("12", TypeError, "image_size must be a pair"),
        ({9, 12}, TypeError, "image_size must be a pair"),
        ((9, 12, 3), TypeError, "image_size must be a pair"),
        (np.zeros((2, 2), int), TypeError, r"image_size\[0\] \(height\) must be an int"),
        (
            torch.tensor([9.0, 12]),
            TypeError,
            r"image_size\[0\] \(height\) must be an int, got float",
        ),
        ((9, True), TypeError, r"image_size\[1\] \(width\) must be an int, got bool"),
        (np.array([9, 0]), ValueError, r"image_size\[1\] \(width\) must be at least 1, got 0"),
    ],
)
def test_bad_image_sizes(size, error, match):
    for call in (
        lambda: Camera.look_at((0, 0, 3), image_size=size),
        lambda: Camera.from_pytorch3d(np.eye(3), np.zeros(3), image_size=size),
    ):
        with pytest.raises(error, match=match):
            call()


def test_image_size_has_to_be_given():
    with pytest.raises(TypeError, match="image_size must be a pair"):
        Camera.from_pytorch3d(np.eye(3), np.zeros(3))
    with pytest.raises(TypeError, match="image_size must be a pair"):
        Camera.from_blender(np.eye(4), 50.0)


def test_horizontal_field_of_view_spans_the_width():
    wide = torch.tensor([[math.tan(math.radians(35)) * 2, 0, -2]], **DOUBLE)
    for size in ((10, 30), (30, 10)):
        for camera in (
            Camera.look_at((0, 0, 0), (0, 0, -1), horizontal_fov=70, image_size=size, **DOUBLE),
            Camera.orbit(1.0, 0.0, at=(0, 0, -1), horizontal_fov=70, image_size=size, **DOUBLE),
        ):
            x, y = camera.project(wide)[0, 0, :2]
            assert (float(x), float(y)) == pytest.approx((size[1], size[0] / 2))
    with pytest.raises(ValueError, match="either fov or horizontal_fov"):
        Camera.look_at((0, 0, 3), fov=30, horizontal_fov=30, image_size=SIZE)
    with pytest.raises(ValueError, match="horizontal_fov must be greater than 0 and less than 180"):
        Camera.orbit(3.0, 0.0, horizontal_fov=180, image_size=SIZE)


def test_weak_perspective_of_a_crop_and_of_the_whole_image():
    scale, tx, ty = np.array([0.9, 1.1]), np.array([0.1, -0.2]), np.array([0.3, 0.0])
    points = depths(6, 3) - 2.5
    camera = Camera.weak_perspective(scale, tx, ty, image_size=(224, 224), **DOUBLE)
    x, y, z = points.numpy().T
    for i in range(2):
        ndc = scale[i] * np.stack([x + tx[i], y + ty[i]], -1)
        close(camera.project(points)[i, :, :2], 112 * (1 + ndc))
        close(camera.project(points)[i, :, 2], z)
        # A crop of 100 pixels at (30, -20) of an image of 90 x 160.
        whole = camera.resize((100, 100)).crop((-30, 20, 160 - 30, 90 + 20))
        assert whole.image_size == (90, 160)
        close(whole.project(points)[i, :, :2], 50 * (1 + ndc) + (30, -20))


def test_an_orthographic_camera_draws_what_is_behind_it():
    mesh = ts.shapes.cube()
    behind = mesh.with_vertices(mesh.vertices + mesh.vertices.new_tensor([0, 0, 5.0]))
    view = dict(eye=(0.3, 0.2, 3.0), at=(0.3, 0.2, 0), image_size=(12, 12))
    camera = Camera.orthographic(**view)
    assert camera.near == -math.inf
    renderers = (ts.SoftRasterizer(ts.Gaussian(0.5)), ts.SoftRasterizer.hard())
    for renderer in renderers:
        for draw in (renderer.silhouette, lambda *x, r=renderer: r(*x, torch.ones(8, 3)).alpha):
            here, there = (draw(m, camera) for m in (mesh, behind))
            assert here.amax() > 0.9
            torch.testing.assert_close(there, here, rtol=0, atol=1e-5)
    assert renderers[0].explain(behind, camera).faces.behind_near == 0
    cut = Camera.orthographic(**view, near=0.01)
    assert ts.SoftRasterizer.hard().silhouette(behind, cut).amax() == 0


def test_near_of_the_ways_to_make_a_camera():
    eye = torch.eye(3)[None]
    assert Camera(eye, torch.zeros(1, 3), eye, SIZE, False).near == -math.inf
    assert Camera(eye, torch.zeros(1, 3), eye, SIZE, False, 2.0).near == 2.0
    assert Camera.from_pytorch3d(np.eye(3), np.zeros(3), image_size=SIZE).near == 0.01
    flat = Camera.from_pytorch3d(np.eye(3), np.zeros(3), image_size=SIZE, perspective=False)
    assert flat.near == -math.inf
    assert Camera.from_blender(np.eye(4), ortho_scale=2.0, image_size=SIZE).near == -math.inf
    # Half of its depths are behind it.
    assert Camera.from_opengl(*flat.to_opengl(far=50.0), SIZE).near == pytest.approx(-50)
    with pytest.raises(ValueError, match="near must be finite and greater than 0"):
        Camera(eye, torch.zeros(1, 3), eye, SIZE, True, -math.inf)


BAD = {
    "box of three": (lambda c: c.crop((1, 2, 3)), ValueError, "box.*shape"),
    "no box": (lambda c: c.crop("box"), TypeError, "box must be a tensor or numbers"),
    "half": (lambda c: c.crop((0, 0, 2.5, 3)), ValueError, "width.*one whole number.*2.5"),
    "empty": (lambda c: c.crop((0, 3, 2, 3)), ValueError, r"height \(bottom - top\).*at least 1"),
    "two sizes": (
        lambda c: c.crop([(0, 0, 2, 3), (0, 0, 3, 3)]),
        ValueError,
        r"width.*\[2.0, 3.0\]",
    ),
    "batch": (
        lambda c: c.crop(np.tile((0, 0, 2, 3), (3, 1))),
        ValueError,
        "box has 3, camera has 2",
    ),
    "nan": (lambda c: c.crop((0, 0, math.nan, 3)), ValueError, "box must be finite"),
    "size": (lambda c: c.resize(5), TypeError, "size must be a pair"),
    "depth": (lambda c: c.unproject(depths(3, 3)), ValueError, r"depth must have shape \(9, 12\)"),
    "depth type": (
        lambda c: c.unproject(depths(*SIZE).float()),
        TypeError,
        "depth.*dtype of camera",
    ),
    "depth nan": (
        lambda c: c.unproject(depths(*SIZE) * math.inf),
        ValueError,
        "depth must be finite",
    ),
    "pixels": (lambda c: c.unproject(depths(3), depths(3, 3)), ValueError, "pixels.*shape"),
    "counts": (lambda c: c.unproject(depths(4), depths(3, 2)), ValueError, r"depth.*\(3,\)"),
    "depths": (lambda c: c.unproject(depths(3, *SIZE)), ValueError, "depth has 3"),
    "singular": (
        lambda c: replace(c, intrinsics=0 * c.intrinsics).unproject(depths(*SIZE)),
        ValueError,
        "intrinsics.*inverse",
    ),
    "square": (
        lambda _: Camera.weak_perspective(1.0, image_size=SIZE),
        ValueError,
        "image_size must be square",
    ),
    "scale": (
        lambda _: Camera.weak_perspective(-1.0, image_size=(4, 4)),
        ValueError,
        "scale must be positive",
    ),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD)
def test_bad_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call(oblique(True))
