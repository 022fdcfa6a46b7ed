"""Textures: the sampler against NumPy, rendered textures against colours and rays, seams, bad input."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from tests.helpers import assert_close, pixel_camera, soft, uniform
from tests.render.test_hard_renderer import hits, rays
from tests.zoo.appearance import FACES, scene, texture_of


def bilinear(image: np.ndarray, u: float, v: float, wrap: ts.Wrap) -> np.ndarray:
    """Mean of the four texels around (u, v) by the areas opposite to them; v = 0 is the lower edge."""
    height, width = image.shape[:2]
    column, row = u * width - 0.5, (1 - v) * height - 0.5
    total = 0.0
    for j in (int(np.floor(row)), int(np.floor(row)) + 1):
        for i in (int(np.floor(column)), int(np.floor(column)) + 1):
            area = (1 - abs(column - i)) * (1 - abs(row - j))
            if wrap is ts.Wrap.REPEAT:
                texel = image[j % height, i % width]
            elif wrap is ts.Wrap.MIRROR:
                back = (j // height % 2, i // width % 2)
                row_in, column_in = (j % height, i % width)
                texel = image[
                    height - 1 - row_in if back[0] else row_in,
                    width - 1 - column_in if back[1] else column_in,
                ]
            else:
                texel = image[min(max(j, 0), height - 1), min(max(i, 0), width - 1)]
            total = total + area * texel
    return total


@pytest.mark.parametrize("wrap", ts.Wrap)
def test_sampling_is_bilinear(wrap, dtype, tolerance):
    generator = torch.Generator().manual_seed(2)
    images = uniform(generator, 2, 3, 5, 4)
    uv = torch.cat(
        [uniform(generator, 60, 2, low=-2, high=3), torch.tensor([[0.0, 0], [1, 1], [0, 1]])]
    )
    which = torch.arange(len(uv)) % 2
    texture = ts.Texture(images.to(dtype), uv.to(dtype), wrap=wrap)
    expected = [
        bilinear(images[b].numpy(), *at, wrap)
        for b, at in zip(which.tolist(), uv.tolist(), strict=True)
    ]
    found = texture.sample(uv.to(dtype), which)
    assert_close(found, torch.tensor(np.array(expected)), tolerance.value, "texture")


def test_corners_of_the_image_are_where_they_should_be(dtype):
    # Texel centres of the top left, top right and bottom left: v points up, row 0 is the top.
    image = torch.arange(6, dtype=dtype).reshape(2, 3, 1)
    uv = torch.tensor([[1 / 6, 0.75], [5 / 6, 0.75], [1 / 6, 0.25]], dtype=dtype)
    found = ts.Texture(image, uv).sample(uv)[:, 0]
    torch.testing.assert_close(found, torch.tensor([0.0, 2, 3], dtype=dtype), rtol=0, atol=1e-5)


@pytest.mark.cpu_only
@pytest.mark.parametrize("wrap", ts.Wrap)
def test_gradients_of_the_sampler(wrap):
    generator = torch.Generator().manual_seed(3)
    image = uniform(generator, 3, 4, 2).requires_grad_()
    uv = uniform(generator, 7, 2, low=-0.5, high=1.5).requires_grad_()

    def sample(image, uv):
        return ts.Texture(image, uv, wrap=wrap).sample(uv)

    assert gradcheck(sample, (image, uv))
    assert gradgradcheck(sample, (image, uv))


@pytest.mark.parametrize("aggregation", ["max", "probabilistic"])
def test_a_constant_texture_is_a_colour(aggregation, dtype, tolerance):
    setup = scene(1, (9, 13), views=2)
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    color = x["ambient"]
    constant = dataclasses.replace(texture_of(x), image=color.expand(3, 5, 3))
    renderer = soft("gaussian", aggregation)
    image = renderer(*setup.build(x), constant)
    expected = renderer(*setup.build(x), color.expand(len(FACES), 3))
    assert torch.equal(image.alpha, expected.alpha)
    for name in ("depth", "color"):
        found, wanted = (getattr(one, name).detach() for one in (image, expected))
        assert_close(found, wanted, 10 * tolerance.value, name)


def test_hard_texture_is_what_rays_see(dtype):
    # Vertices with a texture coordinate each, a perspective camera, an image that is not square.
    setup = scene(4, (17, 23))
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    camera64 = camera.to(dtype=torch.float64)
    image = ts.SoftRasterizer.hard()(mesh, camera, texture_of(x)).color[0].double().numpy()
    view = (setup.leaves["vertices"] @ camera64.rotation[0].mT + camera64.translation[0])[
        FACES
    ].numpy()
    uv = setup.leaves["uv"].reshape(3, 3, 2).numpy()
    texture = setup.leaves["texture"].numpy()
    seen = 0
    for row, column in np.ndindex(image.shape[:2]):
        faces, _, weights = hits(view, *rays(camera64, row, column))
        expected = np.zeros(3)
        if len(faces):
            expected = bilinear(texture, *(weights[0] @ uv[faces[0]]), ts.Wrap.REPEAT)
            seen += 1
        allowed = 1e-9 if dtype == torch.float64 else 1e-3
        np.testing.assert_allclose(image[row, column], expected, atol=allowed)
    assert 100 < seen < 300


def test_faces_at_a_seam_keep_their_own_texture(dtype):
    # Left of the seam u is 1/6 (black), right of it 5/6 (black); a blend of both would be white.
    image = torch.tensor([[[0.0], [1.0], [0.0]]], dtype=dtype)
    corners = torch.tensor([[0, -9, 1], [8, -9, 1], [8, 9, 1], [0, 9, 1], [16, -9, 1], [16, 9, 1]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]])
    u = torch.tensor([1 / 6] * 6 + [5 / 6] * 6, dtype=dtype)
    uv = torch.stack([u, torch.full_like(u, 0.5)], 1)
    texture = ts.Texture(image, uv, torch.arange(12).reshape(4, 3), ts.Wrap.CLAMP)
    color = soft(scale=2.0, background=0.0)(
        ts.Mesh(corners.to(dtype), faces), pixel_camera(1, 16, dtype), texture
    ).color
    assert float(color.detach().abs().max()) < 1e-5


def test_a_batch_of_textures_gives_a_batch_of_images(dtype, tolerance):
    setup = scene(5, (7, 9))
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    images = torch.stack([x["texture"], 1 - x["texture"]])
    renderer = soft()
    both = renderer(*setup.build(x), dataclasses.replace(texture_of(x), image=images)).color
    for one, image in zip(both, images, strict=True):
        alone = renderer(*setup.build(x), dataclasses.replace(texture_of(x), image=image)).color[0]
        assert_close(one.detach(), alone.detach(), tolerance.value, "image")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": torch.zeros(3, 5)}, ValueError, "image must have shape"),
        ({"image": torch.zeros(0, 5, 3)}, ValueError, "image must not be empty"),
        ({"image": torch.zeros(3, 5, 3).half()}, TypeError, "image must be of dtype"),
        ({"uv": torch.full((9, 2), torch.nan)}, ValueError, "uv must be finite"),
        ({"uv": torch.zeros(8, 2)}, ValueError, "uv_faces must index 8 rows of uv"),
        ({"uv_faces": torch.zeros(2, 3).long()}, ValueError, "one row for each of the 3 faces"),
        ({"uv_faces": None}, ValueError, "one row for each of the 7 vertices"),
        ({"wrap": "repeat"}, TypeError, "wrap must be a Wrap"),
        ({"mipmaps": 3}, TypeError, "mipmaps must be a bool"),
        ({"image": torch.zeros(3, 3, 5, 3)}, ValueError, "batch sizes must be equal or 1"),
    ],
)
def test_bad_textures(change, error, message):
    setup = scene(6, (5, 5), views=2)
    x = {name: leaf.float() for name, leaf in setup.leaves.items()}
    with pytest.raises(error, match=message):
        ts.SoftRasterizer()(*setup.build(x), dataclasses.replace(texture_of(x), **change))


def test_one_of_a_batch_of_textures_is_to_be_named():
    textures = ts.Texture(torch.zeros(2, 2, 2, 1), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="image must be given for a batch of 2, got None"):
        textures.sample(torch.zeros(1, 2))


def test_a_mesh_batch_takes_no_texture():
    setup = scene(6, (5, 5))
    x = {name: leaf.float() for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    with pytest.raises(ValueError, match="batch of different meshes"):
        ts.SoftRasterizer()([mesh, mesh], camera, texture_of(x))


def test_a_texture_on_nothing(dtype):
    x = {name: leaf.to(dtype) for name, leaf in scene(6, (5, 5)).leaves.items()}
    mesh = ts.Mesh(x["vertices"].requires_grad_(), FACES[:0])
    texture = dataclasses.replace(texture_of(x), uv_faces=FACES[:0])
    color = ts.SoftRasterizer(background=0.5)(mesh, pixel_camera(4, 5, dtype), texture).color
    assert bool((color == 0.5).all())
    assert float(torch.autograd.grad(color.sum(), mesh.vertices)[0].abs().max()) == 0
