"""Mip-maps: the smaller versions of an image, and which of them is seen where."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from taichisoft.appearance.projected_size import levels_of, texel_scales
from taichisoft.appearance.pyramid import Level, Pyramid
from taichisoft.geometry.attributes import Attributes
from tests.helpers import assert_close, uniform
from tests.zoo.appearance import scene, texture_of


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


def texels_per_pixel(camera: ts.Camera, corners: torch.Tensor, uv: torch.Tensor, at: torch.Tensor):
    """Return the area in the texture, (N,), of a pixel, by the derivative of (u, v) where its ray ends."""

    def seen(pixel: torch.Tensor) -> torch.Tensor:
        view = corners @ camera.rotation[0].mT + camera.translation[0]
        ray = torch.linalg.solve(camera.intrinsics[0], torch.cat([pixel, pixel.new_ones(1)]))
        if camera.perspective:
            shares = torch.linalg.solve(view.mT, ray)
            return shares / shares.sum() @ uv
        flat = torch.cat([view[:, :2], torch.ones_like(view[:, :1])], 1)
        return torch.linalg.solve(flat.mT, ray) @ uv

    return torch.stack([torch.linalg.det(torch.func.jacrev(seen)(pixel)).abs() for pixel in at])


@pytest.mark.cpu_only
@pytest.mark.parametrize("perspective", [True, False])
def test_levels_of_a_tilted_plane_are_those_of_the_derivative(perspective):
    # A square of two triangles that starts behind the camera, with pixels that are sheared.
    vertices = torch.tensor([[-30, -1, 1.5], [40, -2, 2], [50, 3, -60], [-45, 2, -80]]).double()
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    uv = torch.tensor([[0.0, 0], [7, 1], [9, 11], [-1, 8]]).double()
    if perspective:
        camera = ts.Camera.look_at((0.0, 1, 0), (0, 1, -1), image_size=(20, 30), fov=60.0)
    else:
        camera = ts.Camera.orthographic((0.0, 1, 0), (0, 0, -1), height=2.0, image_size=(20, 30))
    camera = camera.to(dtype=torch.float64)
    camera.intrinsics[0, 0, 1] = 3.0
    mesh = ts.Mesh(vertices, faces)
    scales = texel_scales(mesh, camera, 32 * 8, Attributes(uv, faces)).reshape(2, 3)
    shares = uniform(torch.Generator().manual_seed(4), 2, 6, 3, low=0.1)
    shares = shares / shares.sum(-1, keepdim=True)
    seen = 0
    for face in range(2):
        points = shares[face] @ vertices[faces[face]]
        x, y, depth, _ = camera.project(points)[0].unbind(-1)
        before = depth > camera.near
        seen += int(before.sum())
        pixels = torch.stack([x, y], 1)[before]
        area = 32 * 8 * texels_per_pixel(camera, vertices[faces[face]], uv[faces[face]], pixels)
        found = levels_of((shares[face] @ scales[face])[before])
        torch.testing.assert_close(found, 0.5 * area.log2().clamp(min=0), rtol=1e-9, atol=1e-9)
    assert seen >= 8


@pytest.mark.cpu_only
def test_faces_without_area_have_a_level_and_no_gradient():
    # Edge-on, a point, and one whose coordinates are on a line; then what they are beside.
    vertices = torch.tensor(
        [[0.0, 0, 0], [0, 0, -1], [0, 1, -1], [1, 0, 0], [1, 1, 0]], dtype=torch.float64
    ).requires_grad_()
    faces = torch.tensor([[0, 1, 2], [3, 3, 3], [0, 3, 4], [1, 3, 4]])
    uv = torch.tensor([[0.0, 0], [0, 1], [9, 0], [1, 1], [2, 2]], dtype=torch.float64)
    uv.requires_grad_()
    camera = ts.Camera.look_at((0.0, 0, 3), image_size=(8, 8)).to(dtype=torch.float64)
    scales = texel_scales(ts.Mesh(vertices, faces), camera, 64 * 64, Attributes(uv, faces))
    levels = levels_of(scales).reshape(4, 3)
    assert bool((levels[:2] > 30).all())
    assert bool((levels[2] == 0).all())
    assert bool(((levels[3] > 1) & (levels[3] < 9)).all())
    gradients = torch.autograd.grad(levels.sum(), [vertices, uv], create_graph=True)
    total = sum(g.square().sum() for g in gradients)
    for gradient in (*gradients, *torch.autograd.grad(total, [vertices, uv])):
        assert bool(gradient.isfinite().all())
        assert bool((gradient != 0).any())


def checks(block: int, count: int, dtype: torch.dtype) -> torch.Tensor:
    """Return a board of count x count blocks of so many texels, 1 in the corner and 0 beside it."""
    board = (torch.arange(count)[:, None] + torch.arange(count) + 1) % 2
    return board.repeat_interleave(block, 0).repeat_interleave(block, 1)[..., None].to(dtype)


def wall(
    distance: float, size: int, dtype: torch.dtype, *, shift: float = 0.0
) -> tuple[ts.Mesh, ts.Camera, torch.Tensor]:
    """Return a face that fills an image of 8 x 8, its camera, and coordinates, (3, 2), for so many texels.

    The centre of pixel (i, j) is at texel (8 i + 2, 4 j + 2), counted in corners, plus the shift.
    """
    ends = torch.tensor([[-1, -1], [3, -1], [-1, 3]], dtype=dtype)
    reach = distance * math.tan(math.radians(20))
    vertices = torch.cat([reach * ends, torch.zeros(3, 1, dtype=dtype)], 1)
    mesh = ts.Mesh(vertices, torch.tensor([[0, 1, 2]]))
    camera = ts.Camera.look_at((0.0, 0, distance), image_size=(8, 8), fov=40.0, dtype=dtype)
    u, v = ((ends + 1) / 2).unbind(1)
    texels = torch.stack([32 * u + shift, 64 * v + 2 - shift], 1)
    return mesh, camera, texels / size


@pytest.mark.parametrize("distance", [0.5, 500.0])
def test_a_wall_seen_head_on(distance, dtype, tolerance):
    # A pixel is 4 x 8 texels, level 2.5: halfway from blocks of 4 x 4 texels to the mean of all.
    hard = ts.SoftRasterizer.hard()
    board = checks(4, 4, dtype)
    mesh, camera, uv = wall(distance, 16, dtype)
    found = hard(mesh, camera, ts.Texture(board, uv, mipmaps=True)).color[0, ..., 0]
    expected = torch.tensor([0.75, 0.25], dtype=dtype).repeat(4).expand(8, 8)
    assert_close(found, expected, tolerance.value, "color")
    # Finer than pixels: the mean, where without mip-maps it is what lies at the centres.
    mesh, camera, uv = wall(distance, 16, dtype, shift=0.5)
    fine = ts.Texture(checks(1, 16, dtype), uv)
    assert_close(hard(mesh, camera, fine).color, torch.ones(1, 8, 8, 1, dtype=dtype), 1e-2, "color")
    half = torch.full((1, 8, 8, 1), 0.5, dtype=dtype)
    found = hard(mesh, camera, dataclasses.replace(fine, mipmaps=True)).color
    assert_close(found, half, tolerance.value, "color")


def test_pixels_are_those_that_are_rendered(dtype, tolerance):
    mesh, camera, uv = wall(2.0, 16, dtype)
    image = uniform(torch.Generator().manual_seed(5), 16, 16, 2).to(dtype)
    texture = ts.Texture(image, uv, mipmaps=True)
    found = ts.SoftRasterizer.hard(ssaa=2)(mesh, camera, texture).color
    large = ts.Camera.look_at((0.0, 0, 2), image_size=(16, 16), fov=40.0, dtype=dtype)
    expected = ts.SoftRasterizer.hard()(mesh, large, texture).color
    expected = expected.unflatten(2, (8, 2)).unflatten(1, (8, 2)).mean((2, 4))
    assert_close(found, expected, tolerance.value, "color")


def test_what_is_magnified_is_bilinear_to_the_bit(dtype):
    setup = scene(1, (9, 13), views=2)
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    x["uv"] = 0.1 * x["uv"]
    plain, mipped = (dataclasses.replace(texture_of(x), mipmaps=m) for m in (False, True))
    render = ts.SoftRasterizer(background=0.2)
    found, expected = (render(*setup.build(x), texture).color for texture in (mipped, plain))
    assert torch.equal(found, expected)


@pytest.mark.cpu_only
def test_derivatives_through_the_level():
    setup = scene(2, (7, 9), views=2)
    generator = torch.Generator().manual_seed(6)
    leaves = {name: setup.leaves[name] for name in ("vertices", "uv", "eye")}
    leaves["texture"] = uniform(generator, 13, 16, 3)
    along = {name: torch.randn(x.shape, generator=generator).double() for name, x in leaves.items()}
    renderer = ts.SoftRasterizer(background=0.2)
    weight = torch.randn(2, 7, 9, 3, generator=generator).double()

    def loss(x, render=renderer):
        texture = dataclasses.replace(texture_of(x), mipmaps=True)
        mesh, camera = setup.build({**setup.leaves, **x})
        return (render(mesh, camera, texture).color * weight).sum()

    def slope(step, **options):
        """Return the derivative of the loss along a direction, after a step in it."""
        x = {k: (v + step * along[k]).requires_grad_() for k, v in leaves.items()}
        gradients = torch.autograd.grad(loss(x), list(x.values()), **options)
        return sum((g * along[k]).sum() for k, g in zip(x, gradients, strict=True)), x

    def difference(function, step):
        # So small that no fragment passes from one texel or level to the next.
        return (function(step) - function(-step)) / (2 * step)

    first, x = slope(0.0, create_graph=True)
    second = torch.autograd.grad(first, list(x.values()))
    second = sum((g * along[k]).sum() for k, g in zip(x, second, strict=True))
    by_values = difference(lambda t: loss({k: v + t * along[k] for k, v in leaves.items()}), 1e-7)
    torch.testing.assert_close(first.detach(), by_values, rtol=1e-6, atol=0)
    by_slopes = difference(lambda t: slope(t)[0], 1e-7)
    torch.testing.assert_close(second, by_slopes, rtol=1e-5, atol=0)
    twin = partial(ts.reference.render, renderer, tabulated=True)
    torch.testing.assert_close(loss(leaves), loss(leaves, twin), rtol=1e-12, atol=0)
