"""Mip-maps: the smaller versions of an image, and which of them is seen where."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from taichisoft.appearance.pyramid import Level, Pyramid
from tests.helpers import uniform


def shares(size: int) -> torch.Tensor:
    """Return how much of each of ``size // 2`` equal intervals each of ``size`` equal ones covers."""
    half = max(size // 2, 1)
    low, high = torch.arange(size) / size, (torch.arange(size) + 1) / size
    start, end = torch.arange(half)[:, None] / half, (torch.arange(half)[:, None] + 1) / half
    return half * (torch.minimum(high, end) - torch.maximum(low, start)).clamp(min=0)


@pytest.mark.cpu_only
@pytest.mark.parametrize("size", [(8, 4), (7, 5), (1, 6), (11, 1), (3, 2)])
def test_every_level_is_the_mean_over_what_a_texel_covers(size):
    images = uniform(torch.Generator().manual_seed(0), 2, *size, 3)
    pyramid = ts.Texture(images, torch.zeros(3, 2).double(), mipmaps=True).pyramid()
    assert pyramid.levels[-1][1:] == (1, 1)
    expected = images
    for offset, height, width in pyramid.levels:
        assert expected.shape[1:3] == (height, width)
        found = pyramid.texels[:, offset : offset + height * width].unflatten(1, (height, width))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
        mean = images.mean((1, 2))
        torch.testing.assert_close(found.mean((1, 2)), mean, rtol=0, atol=1e-14)
        rows, columns = (shares(n).double() for n in (height, width))
        expected = torch.einsum("ih,jw,bhwc->bijc", rows, columns, expected)
    assert offset + 1 == pyramid.texels.shape[1]


def test_levels_are_looked_up_linearly_between_two(dtype):
    # Level k is 10^k all over; below 0 and beyond the last it is the first and the last.
    levels = (Level(0, 2, 4), Level(8, 1, 2), Level(10, 1, 1))
    texels = torch.tensor([1.0] * 8 + [10] * 2 + [100], dtype=dtype)[None, :, None]
    pyramid = Pyramid(texels, levels, ts.Wrap.REPEAT)
    level = torch.tensor([-3.0, 0, 0.25, 1, 1.5, 2, 7], dtype=dtype)
    uv = torch.rand(7, 2, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = torch.tensor([1, 1, 0.75 + 2.5, 10, 55, 100, 100], dtype=dtype)
    torch.testing.assert_close(pyramid.sample(uv, level)[:, 0], expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("wrap", ts.Wrap)
def test_each_level_is_looked_up_as_an_image_of_its_own(wrap, dtype):
    generator = torch.Generator().manual_seed(2)
    images = uniform(generator, 2, 6, 5, 2).to(dtype)
    uv = uniform(generator, 40, 2, low=-1, high=2).to(dtype)
    which = torch.arange(40) % 2
    texture = ts.Texture(images, uv, wrap=wrap, mipmaps=True)
    pyramid = texture.pyramid()
    for number, (offset, height, width) in enumerate(pyramid.levels):
        texels = pyramid.texels[:, offset : offset + height * width]
        alone = ts.Texture(texels.unflatten(1, (height, width)), uv, wrap=wrap)
        level = torch.full((40,), float(number), dtype=dtype)
        found = texture.sample(uv, which, level)
        torch.testing.assert_close(found, alone.sample(uv, which), rtol=0, atol=1e-6)
    plain = ts.Texture(images, uv, wrap=wrap).sample(uv, which)
    assert torch.equal(texture.sample(uv, which, level * 0), plain)
    assert torch.equal(texture.sample(uv, which), plain)


@pytest.mark.cpu_only
def test_gradients_through_levels():
    generator = torch.Generator().manual_seed(3)
    image = uniform(generator, 5, 4, 2).requires_grad_()
    uv = uniform(generator, 6, 2).requires_grad_()
    level = torch.tensor([-0.5, 0.3, 0.8, 1.2, 1.7, 2.6]).double().requires_grad_()

    def sample(image, uv, level):
        return ts.Texture(image, uv, mipmaps=True).sample(uv, level=level)

    assert gradcheck(sample, (image, uv, level))
    assert gradgradcheck(sample, (image, uv, level))
