"""Straight RGBA of rendered images, and image files of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.autograd import gradcheck

import taichisoft as ts
from tests.helpers import assert_close, pixel_camera, soft, uniform, views_setup

SIZE = (9, 12)


def card(dtype: torch.dtype, color: tuple[float, ...]) -> ts.Mesh:
    """Return a triangle in the plane of the image, of one colour."""
    corners = torch.tensor([[2.0, 1, 1], [9, 2, 1], [4, 8, 1]], dtype=dtype)
    colors = torch.tensor(color, dtype=dtype).expand(3, -1)
    return ts.Mesh(corners, torch.tensor([[0, 1, 2]]), colors)


@pytest.mark.parametrize("ssaa", [1, 2])
def test_straight_colours_are_those_of_the_surface_however_faint(ssaa, dtype):
    # In single precision, too: a colour that was taken out of a background would have lost its digits.
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0), background=(0.9, 0.1, 1.0), ssaa=ssaa)
    image = renderer(card(dtype, (0.2, 0.5, 0.7)), pixel_camera(*SIZE, dtype))
    rgba = image.rgba()
    assert rgba.shape == (1, *SIZE, 4)
    assert torch.equal(rgba[..., 3], image.alpha)
    seen = image.alpha > 0
    assert float(image.alpha[seen].min()) < 1e-3
    assert not bool(seen.all())
    expected = torch.tensor([0.2, 0.5, 0.7], dtype=dtype).expand(int(seen.sum()), 3)
    torch.testing.assert_close(rgba[seen][:, :3], expected, rtol=1e-5, atol=1e-6)
    assert not bool(rgba[~seen].any())


def test_over_a_background_it_is_the_picture_with_that_background(dtype, tolerance):
    setup = views_setup(1, SIZE, views=2)
    mesh, camera = setup.build({name: x.to(dtype) for name, x in setup.leaves.items()})
    mesh = mesh.with_vertex_colors(uniform(torch.Generator().manual_seed(2), 42, 3).to(dtype))
    renderer = soft(scale=1.2)
    behind = uniform(torch.Generator().manual_seed(3), *SIZE, 3).to(dtype)
    rgba = renderer(mesh, camera).rgba().detach()
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    for background in (0.0, 0.75, behind):
        renderer.background = background
        image = renderer(mesh, camera)
        picture = rgb * alpha + (1 - alpha) * background
        assert_close(image.color.detach(), picture, tolerance.value, "over a background")
        over = image.premultiplied + (1 - image.alpha[..., None]) * background
        assert_close(image.color.detach(), over.detach(), tolerance.value, "premultiplied")
        assert_close(image.rgba().detach(), rgba, tolerance.value, "without it")


def test_one_channel_is_grey(dtype):
    image = ts.SoftRasterizer()(card(dtype, (0.25,)), pixel_camera(*SIZE, dtype))
    rgb = image.rgba()[..., :3]
    assert rgb.shape == (1, *SIZE, 3)
    inside = image.alpha > 0.5
    torch.testing.assert_close(rgb[inside], torch.full_like(rgb[inside], 0.25))


@pytest.mark.cpu_only
def test_what_has_no_rgba():
    camera = pixel_camera(*SIZE)
    plain = ts.SoftRasterizer()(card(torch.float64, (1,)).with_vertex_colors(None), camera)
    assert plain.premultiplied is None
    with pytest.raises(ValueError, match="image must have colours for rgba"):
        plain.rgba()
    for color in ((1.0, 1.0), (1.0,) * 4):
        with pytest.raises(ValueError, match="image must have 1 or 3 channels for rgba, got"):
            ts.SoftRasterizer()(card(torch.float64, color), camera).rgba()


@pytest.mark.cpu_only
def test_gradients_of_rgba():
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0))
    mesh, camera = card(torch.float64, (0.2, 0.5, 0.7)), pixel_camera(5, 6)
    generator = torch.Generator().manual_seed(5)
    colors = uniform(generator, 3, 3).requires_grad_()
    # No pixel centre is as near to two edges, or where a corner and an edge are equally near.
    vertices = (mesh.vertices + uniform(generator, 3, 3)).requires_grad_()

    def rgba(v, c):
        return renderer(ts.Mesh(v, mesh.faces, c), camera).rgba()

    found = rgba(vertices, colors)
    assert bool((found[..., 3] > 0.01).any())
    assert gradcheck(rgba, (vertices, colors), fast_mode=True)
    # Far away: nothing is seen anywhere, and nothing has a gradient.
    nothing = rgba(vertices + 100, colors)
    assert not bool(nothing.any())
    gradients = torch.autograd.grad(nothing.sum(), (vertices, colors), create_graph=True)
    assert not any(bool(g.any()) for g in gradients)
    second = torch.autograd.grad(sum(g.sum() for g in gradients), vertices, allow_unused=True)[0]
    assert second is None or not bool(second.any())


@pytest.mark.cpu_only
def test_rgba_within_transforms():
    renderer, camera = ts.SoftRasterizer(ts.Gaussian(1.0)), pixel_camera(*SIZE)
    mesh = card(torch.float64, (0.2, 0.5, 0.7))
    weights = torch.linspace(0, 1, SIZE[0] * SIZE[1] * 4, dtype=torch.float64).reshape(*SIZE, 4)

    def loss(vertices):
        return (weights * renderer(mesh.with_vertices(vertices), camera).rgba()).sum()

    vertices = mesh.vertices.clone().requires_grad_()
    expected = torch.autograd.grad(loss(vertices), vertices)[0]
    torch.testing.assert_close(torch.func.grad(loss)(mesh.vertices), expected)


@pytest.mark.cpu_only
def test_an_image_file_has_what_rgba_has(tmp_path):
    mesh, camera = card(torch.float32, (0.2, 0.5, 0.7)), pixel_camera(*SIZE, torch.float32)
    image = ts.SoftRasterizer(background=1.0)(mesh, camera)
    assert image.save(tmp_path / "card.png") == (tmp_path / "card.png",)
    with Image.open(tmp_path / "card.png") as file:
        assert file.mode == "RGBA"
        pixels = np.asarray(file)
    expected = (255 * image.rgba()[0].detach().clamp(0, 1)).round()
    np.testing.assert_array_equal(pixels, expected.numpy())
    (name,) = image.save(str(tmp_path / "CARD.TIFF"))
    assert name.is_file()


@pytest.mark.cpu_only
def test_several_images_are_numbered(tmp_path):
    mesh, camera = (
        card(torch.float32, (0.2, 0.5, 0.7)),
        pixel_camera(*SIZE, torch.float32, batch=11),
    )
    shift = torch.arange(11.0)[:, None, None] * torch.tensor([0.5, 0, 0])
    image = ts.SoftRasterizer()(mesh.with_vertices(mesh.vertices + shift), camera)
    files = image.save(tmp_path / "view.png")
    assert [file.name for file in files] == [f"view_{i:02}.png" for i in range(11)]
    assert sorted(tmp_path.iterdir()) == list(files)
    for index in (0, 10):
        expected = (255 * image.rgba()[index].detach().clamp(0, 1)).round()
        np.testing.assert_array_equal(np.asarray(Image.open(files[index])), expected.numpy())


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("x.jpg", OSError, "format that holds opacity, such as .png, got .*x.jpg"),
        ("x.nothing", ValueError, "path must end in the suffix of an image"),
        (Path("missing") / "x.png", FileNotFoundError, "path must be in an existing folder"),
        (3, TypeError, "path must be a str or PathLike, got int"),
    ],
)
def test_files_that_cannot_be(tmp_path, path, error, message):
    image = ts.SoftRasterizer()(card(torch.float32, (1, 0, 0)), pixel_camera(4, 4, torch.float32))
    with pytest.raises(error, match=message):
        image.save(path if isinstance(path, int) else tmp_path / path)


@pytest.mark.cpu_only
def test_one_image_of_a_batch_is_saved(tmp_path):
    mesh, camera = card(torch.float32, (0.2, 0.5, 0.7)), pixel_camera(*SIZE, torch.float32, batch=3)
    shift = torch.arange(3.0)[:, None, None] * torch.tensor([0.5, 0, 0])
    image = ts.SoftRasterizer(background=1.0)(mesh.with_vertices(mesh.vertices + shift), camera)
    path = tmp_path / "x.png"
    assert image.save(path, 2) == (path,)
    expected = (255 * image.rgba()[2].detach().clamp(0, 1)).round()
    np.testing.assert_array_equal(np.asarray(Image.open(path)), expected.numpy())
    for index in (3, -1):
        with pytest.raises(ValueError, match=r"index must be at (most 2|least 0), got"):
            image.save(path, index)
    with pytest.raises(TypeError, match="index must be an int"):
        image.save(path, "0")


@pytest.mark.cpu_only
@pytest.mark.parametrize(("color", "mode"), [((0.2, 0.5, 0.7), "RGB"), ((0.3,), "L")])
def test_colours_over_the_background_are_saved(tmp_path, color, mode):
    mesh, camera = card(torch.float32, color), pixel_camera(*SIZE, torch.float32)
    image = ts.SoftRasterizer(background=1.0)(mesh, camera)
    (path,) = image.save(tmp_path / "x.png", opacity=False)
    with Image.open(path) as file:
        assert file.mode == mode
        pixels = np.asarray(file).reshape(*SIZE, -1)
    expected = (255 * image.color[0].detach().clamp(0, 1)).round()
    np.testing.assert_array_equal(pixels, expected.numpy())
    assert image.save(tmp_path / "x.jpg", opacity=False)[0].is_file()


@pytest.mark.cpu_only
def test_an_image_without_colours_is_saved_as_alpha(tmp_path):
    mesh = card(torch.float32, (1,)).with_vertex_colors(None)
    image = ts.SoftRasterizer()(mesh, pixel_camera(*SIZE, torch.float32))
    (path,) = image.save(tmp_path / "x.jpg")
    (path,) = image.save(tmp_path / "x.png")
    expected = (255 * image.alpha[0].detach()).round()
    np.testing.assert_array_equal(np.asarray(Image.open(path)), expected.numpy())


@pytest.mark.cpu_only
def test_channels_that_no_file_holds(tmp_path):
    image = ts.SoftRasterizer()(card(torch.float32, (1.0, 1.0)), pixel_camera(*SIZE, torch.float32))
    with pytest.raises(ValueError, match="image must have 1 or 3 channels to be saved, got 2"):
        image.save(tmp_path / "x.png", opacity=False)
    with pytest.raises(TypeError, match="opacity must be a bool"):
        image.save(tmp_path / "x.png", opacity=1)
