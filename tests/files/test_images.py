"""Reading images and masks: every kind of numbers, and what is no mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import taichisoft as ts
from taichisoft.files.images import read_image
from taichisoft.files.masks import read_mask

DISC = np.hypot(*np.mgrid[-6:6, -8:8]) < 4
"""An object, (12, 16)."""


def saved(image: Image.Image, path, **options):
    image.save(path, **options)
    return path


def palette(colors) -> Image.Image:
    image = Image.fromarray(DISC.astype(np.uint8), "P")
    image.putpalette(colors)
    return image


def alpha() -> Image.Image:
    return Image.fromarray(np.dstack([np.full((12, 16, 3), 9), 255 * DISC]).astype(np.uint8))


MASKS = {
    "labels 0 and 1": lambda: Image.fromarray(DISC.astype(np.uint8)),
    "labels 0 and 1 of 16 bits": lambda: Image.fromarray(DISC.astype(np.uint16)),
    "labels 3 and 7": lambda: Image.fromarray(np.where(DISC, 7, 3).astype(np.uint8)),
    "bool": lambda: Image.fromarray(DISC),
    "8 bits": lambda: Image.fromarray(255 * DISC.astype(np.uint8)),
    "16 bits": lambda: Image.fromarray(65535 * DISC.astype(np.uint16)),
    "palette": lambda: palette([0, 0, 0, 128, 0, 0]),
    "alpha": alpha,
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_two_values(kind, tmp_path):
    mask = read_mask(saved(MASKS[kind](), tmp_path / "mask.png"))
    np.testing.assert_array_equal(mask.numpy(), DISC.astype(np.float32))


def test_float_masks_are_read_as_they_are(tmp_path):
    soft = np.clip(4.5 - np.hypot(*np.mgrid[-6:6, -8:8]), 0, 1).astype(np.float32)
    path = saved(Image.fromarray(soft), tmp_path / "mask.tiff")
    np.testing.assert_array_equal(read_mask(path).numpy(), soft)
    path = saved(Image.fromarray(255 * soft), tmp_path / "mask.tiff")
    with pytest.raises(ValueError, match=r"mask\.tiff: floats must be in \[0, 1\], got 0 to 255"):
        read_mask(path)
    soft[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"mask\.tiff: floats must be in \[0, 1\], got nan"):
        read_mask(saved(Image.fromarray(soft), tmp_path / "mask.tiff"))


def test_16_bits_are_scaled(tmp_path):
    numbers = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    image = read_image(saved(Image.fromarray(numbers), tmp_path / "grey.png"), "image")
    for channel in range(3):
        np.testing.assert_allclose(image[..., channel], numbers / 65535, rtol=0, atol=1e-12)
    assert (image[..., 3] == 1).all()


def test_32_bits_are_refused(tmp_path):
    numbers = np.array([[0, 70000]], np.int32)
    with pytest.raises(ValueError, match="whole numbers must be from 0 to 65535, got 0 to 70000"):
        read_image(saved(Image.fromarray(numbers), tmp_path / "grey.tiff"), "image")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotation_in_exif_is_applied(orientation, tmp_path):
    # By hand: what a viewer does to the stored rows for each value of the tag.
    upright = {
        1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1],
        5: lambda x: x.T, 6: lambda x: x.T[:, ::-1], 7: lambda x: x.T[::-1, ::-1], 8: lambda x: x.T[::-1],
    }[orientation]  # fmt: skip
    stored = np.zeros((12, 16), bool)
    stored[1:4, 2:11] = True
    stored[4:9, 2:4] = True
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(255 * stored.astype(np.uint8)), tmp_path / "m.png", exif=exif)
    np.testing.assert_array_equal(read_mask(path).numpy(), upright(stored))


def photograph() -> np.ndarray:
    rows, columns = np.mgrid[0:40, 0:60] / 60
    rgb = np.stack([rows, columns, 0.5 + 0 * rows], -1)
    return (255 * np.clip(rgb + np.random.default_rng(1).normal(0, 0.1, rgb.shape), 0, 1)).astype(
        np.uint8
    )


@pytest.mark.parametrize(
    "pixels",
    [
        photograph(),
        photograph().mean(-1).astype(np.uint8),
        np.where(np.hypot(*np.mgrid[-20:20, -30:30])[..., None] < 15, photograph(), 255).astype(
            "u1"
        ),
    ],
    ids=["colour", "grey", "before white"],
)
def test_a_photograph_is_no_mask(pixels, tmp_path):
    path = saved(Image.fromarray(pixels), tmp_path / "photo.png")
    with pytest.raises(ValueError, match=r"mask must be black and white.*photo\.png.*photograph"):
        read_mask(path)


def test_labels_of_several_objects_are_no_mask(tmp_path):
    labels = DISC.astype(np.uint8)
    labels[0] = 2
    with pytest.raises(ValueError, match=r"m\.png with 3 values up to .* select one label"):
        read_mask(saved(Image.fromarray(labels), tmp_path / "m.png"))


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_one_value_is_no_mask(value, tmp_path):
    path = saved(Image.fromarray(np.full((5, 6), value, np.uint8)), tmp_path / "m.png")
    with pytest.raises(
        ValueError, match=r"mask must have an object and a background, got .*m\.png"
    ):
        read_mask(path)


def test_truncated_images_are_refused(tmp_path):
    path = saved(Image.fromarray(photograph()), tmp_path / "photo.png")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"image must be a readable image, got .*photo\.png"):
        read_image(path, "image")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_as_targets(dtype, tmp_path):
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4) * 10
    photo = saved(Image.fromarray(pixels[..., :3]), tmp_path / "photo.png")
    expected = torch.from_numpy(pixels / 255).to(dtype)
    for path in (photo, str(photo)):
        image = ts.load_image(path, dtype=dtype)
        torch.testing.assert_close(image, expected[..., :3], rtol=0, atol=0)
        assert image.is_contiguous()
    cut_out = saved(Image.fromarray(pixels), tmp_path / "cut_out.png")
    torch.testing.assert_close(ts.load_image(cut_out, dtype=dtype), expected, rtol=0, atol=0)
    grey = saved(Image.fromarray(pixels[..., 0]), tmp_path / "grey.png")
    torch.testing.assert_close(
        ts.load_image(grey, dtype=dtype), expected[..., :1].expand(2, 3, 3), rtol=0, atol=0
    )


def test_a_saved_render_comes_back(tmp_path):
    ball = ts.shapes.icosphere(1)
    camera = ts.Camera.look_at((0, 0, 3.0), image_size=(8, 12))
    image = ts.SoftRasterizer.hard()(ball, camera, torch.full((ball.num_vertices, 3), 0.6))
    (path,) = image.save(tmp_path / "ball.png")
    torch.testing.assert_close(ts.load_image(path), image.rgba()[0], rtol=0, atol=0.5 / 255 + 1e-6)


def test_what_is_no_image_is_named(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"^path must be a readable image, got .*broken\.png"):
        ts.load_image(broken)
    with pytest.raises(FileNotFoundError, match=r"^path must be an existing file, got .*none\.png"):
        ts.load_image(tmp_path / "none.png")
    with pytest.raises(TypeError, match=r"^path must be a str or PathLike, got int$"):
        ts.load_image(3)
    with pytest.raises(TypeError, match=r"^dtype must be"):
        ts.load_image(broken, dtype=torch.float16)
