"""What comes besides colours: normals, face ids, backgrounds, and supersampling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

import taichisoft as ts
from tests.helpers import (
    assert_close,
    normal_like,
    pixel_camera,
    soft,
    soup_faces,
    uniform,
    views_setup,
)
from tests.render.test_hard_renderer import hits, layered_soup, rays
from tests.zoo.appearance import FACES, lighting_of, scene, texture_of

IMAGE = (9, 14)


def test_face_ids_are_those_that_rays_meet(dtype):
    mesh = layered_soup(torch.Generator().manual_seed(1), 25, 1.5, 2.0)
    intrinsics = torch.tensor([[24.0, 0.3, 15.1], [0.0, 22.0, 10.2], [0.0, 0.0, 1.0]])
    camera = ts.Camera.from_opencv(intrinsics, torch.eye(3), torch.zeros(3), (21, 30))
    expected = np.full((21, 30), -1)
    for row, column in np.ndindex(21, 30):
        met = hits(mesh.vertices[mesh.faces].double().numpy(), *rays(camera, row, column))[0]
        expected[row, column] = met[0] if len(met) else -1
    mesh, camera = mesh.to(dtype=dtype), camera.to(dtype=dtype)
    assert len(np.unique(expected)) > 15
    # Whatever the softness, the order of summation and the supersampling are.
    for renderer in (
        ts.SoftRasterizer.hard(),
        ts.SoftRasterizer(ts.Gaussian(3.0), deterministic=True, ssaa=2),
    ):
        image = renderer(mesh, camera, face_ids=True)
        assert image.face_ids.dtype == torch.int64
        np.testing.assert_array_equal(image.face_ids[0].numpy(), expected)
    assert renderer(mesh, camera).face_ids is None


def test_face_ids_count_from_the_first_face_of_each_mesh(dtype):
    triangle = torch.tensor([[0.0, 0, 1], [40, 0, 1], [0, 40, 1]], dtype=dtype)
    away = torch.tensor([100.0, 0, 0], dtype=dtype)
    one = ts.Mesh(triangle, FACES[:1])
    two = ts.Mesh(torch.cat([triangle + away, triangle]), soup_faces(2))
    nothing = ts.Mesh(triangle, FACES[:0])
    image = ts.SoftRasterizer()([one, two, nothing], pixel_camera(3, 4, dtype), face_ids=True)
    assert [ids.unique().tolist() for ids in image.face_ids] == [[0], [1], [-1]]
    shared = ts.SoftRasterizer()(two, pixel_camera(3, 4, dtype, batch=2), face_ids=True)
    assert [ids.unique().tolist() for ids in shared.face_ids] == [[1], [1]]


def test_normals_of_a_ball(dtype):
    ball = ts.shapes.icosphere(3).to(dtype=dtype)
    camera = ts.Camera.look_at((0.4, 0.5, 3), image_size=IMAGE, dtype=dtype)
    image = ts.SoftRasterizer.hard()(ball, camera, normals=True)
    assert image.color is None
    covered = image.alpha > 0
    lengths = image.normals.norm(dim=-1)
    torch.testing.assert_close(lengths, covered.to(dtype))
    # A ball's normal is its position, which depth tells.
    row, column = torch.meshgrid(torch.arange(9.0), torch.arange(14.0), indexing="ij")
    k = camera.intrinsics[0]
    pixel = torch.stack([column + 0.5, row + 0.5], -1).to(dtype)
    view = (pixel - k[:2, 2]) / k[[0, 1], [0, 1]] * image.depth[0, ..., None]
    view = torch.cat([view, image.depth[0, ..., None]], -1)
    world = (view - camera.translation[0]) @ camera.rotation[0]
    error = (torch.nn.functional.normalize(world, dim=-1) - image.normals[0])[covered[0]]
    assert float(error.abs().max()) < 0.01
    flat = ts.Lighting([ts.AmbientLight()], ts.Shading.FLAT)
    lit = ts.SoftRasterizer.hard()(ball, camera, lighting=flat, normals=True, face_ids=True)
    expected = ts.face_normals(ball)[lit.face_ids[covered]]
    torch.testing.assert_close(lit.normals[covered], expected)


@pytest.mark.cpu_only
def test_gradients_of_normals_and_depth_with_supersampling():
    setup = scene(2, (3, 4))
    renderer = soft(scale=1.2)
    renderer.ssaa = 2

    def render(vertices, eye):
        mesh, camera = setup.build({**setup.leaves, "vertices": vertices, "eye": eye})
        image = renderer(mesh, camera, normals=True)
        return image.normals, image.depth, image.color

    leaves = (setup.leaves[name].clone().requires_grad_() for name in ("vertices", "eye"))
    assert gradcheck(render, tuple(leaves), fast_mode=True)


def test_a_background_image_shows_where_the_mesh_does_not(dtype, tolerance):
    setup = views_setup(1, IMAGE, views=2)
    arguments = setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})
    generator = torch.Generator().manual_seed(5)
    for shape in ((2,), (*IMAGE, 2), (2, *IMAGE, 2)):
        background = uniform(generator, *shape).to(dtype).requires_grad_()
        renderer = soft(background=background)
        color = renderer(*arguments).color
        renderer.background = 0.0
        black = renderer(*arguments)
        rest = (1 - black.alpha.unsqueeze(-1)).detach()
        expected = black.color.detach() + rest * background.detach()
        assert_close(color.detach(), expected, tolerance.value, "over a background")
        upstream = normal_like(color, generator).to(dtype)
        found = torch.autograd.grad(color, background, upstream)[0]
        wanted = (upstream * rest).sum_to_size(background.shape)
        assert_close(found, wanted, tolerance.gradient, "gradient of the background")


def test_a_background_that_is_a_parameter_is_learned():
    learned = torch.nn.Parameter(torch.zeros(3))
    renderer = ts.SoftRasterizer(background=learned)
    assert any(parameter is learned for parameter in renderer.parameters())
    renderer.background = (0.0, 0.5)
    assert all(parameter is not learned for parameter in renderer.parameters())
    assert renderer.state_dict()["background"].tolist() == [0, 0.5]


@pytest.mark.parametrize(
    ("background", "error", "message"),
    [
        ("black", TypeError, "background must be a tensor or numbers"),
        (float("nan"), ValueError, "background must be finite"),
        (torch.zeros(3, 2), ValueError, "background must be a number or one per channel, or an"),
        (torch.zeros(3), ValueError, "background must be a number or 2 numbers"),
        (torch.zeros(14, 9, 2), ValueError, r"background must be an image of shape \(9, 14, 2\)"),
        (torch.zeros(3, 9, 14, 2), ValueError, r"or \(2, 9, 14, 2\).*got \(3, 9, 14, 2\)"),
    ],
)
def test_bad_backgrounds(background, error, message):
    setup = views_setup(1, IMAGE, views=2)
    arguments = setup.build({n: x.float() for n, x in setup.leaves.items()})
    with pytest.raises(error, match=message):
        ts.SoftRasterizer(background=background)(*arguments)


def magnified(camera: ts.Camera, factor: int) -> ts.Camera:
    """Return the camera of a larger image of the same view."""
    height, width = camera.image_size
    scaled = camera.intrinsics.clone()
    scaled[:, :2] *= factor
    return replace(camera, intrinsics=scaled, image_size=(factor * height, factor * width))


def scaled_soft(scale: ts.Scale, **options) -> ts.SoftRasterizer:
    """Return a renderer of some scale."""
    return ts.SoftRasterizer(ts.Gaussian(scale), occlusion=ts.DepthSoftmax(0.3), **options)


@pytest.mark.parametrize("kind", ["colors", "textured and lit"])
@pytest.mark.parametrize("factor", [2, 3])
def test_supersampling_is_the_mean_of_a_larger_render(factor, kind, dtype, tolerance):
    setup = scene(8, IMAGE, views=2)
    background = uniform(torch.Generator().manual_seed(1), *IMAGE, 3).to(dtype)
    large = background.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    results = []
    for ours in (True, False):
        x = {name: leaf.to(dtype).requires_grad_() for name, leaf in setup.leaves.items()}
        mesh, camera = setup.build(x)
        options = {}
        if kind != "colors":
            options = {"colors": texture_of(x), "lighting": lighting_of(x, ts.Shading.PHONG)}
        scale = ts.Pixels(1.3 if ours else 1.3 * factor, learn=True)
        if ours:
            renderer = scaled_soft(scale, ssaa=factor, background=background)
            image = renderer(mesh, camera, **options)
            alpha, color = image.alpha, image.color
            assert torch.equal(renderer.silhouette(mesh, camera), alpha)
        else:
            renderer = scaled_soft(scale, background=large)
            image = renderer(mesh, magnified(camera, factor), **options)
            blocks = image.color.unflatten(2, (-1, factor)).unflatten(1, (-1, factor))
            color = blocks.mean((2, 4))
            alpha = torch.nn.functional.avg_pool2d(image.alpha[:, None], factor)[:, 0]
        upstream = normal_like(color, torch.Generator().manual_seed(3)).to(dtype)
        # The logarithm of the scale has the same gradient in both.
        wanted = (x["vertices"], x["eye"], scale.length.log_value)
        gradients = torch.autograd.grad((color * upstream).sum(), wanted)
        results.append((alpha.detach(), color.detach(), *gradients))
    for index, (found, expected) in enumerate(zip(*results, strict=True)):
        allowed = tolerance.value if index < 2 else tolerance.gradient
        assert_close(found, expected, allowed, "supersampled")


def test_depth_and_normals_are_averaged_by_alpha(dtype):
    # One edge across a pixel: the sub-pixels without the face must not pull its depth towards 0.
    corners = torch.tensor(
        [[-50.0, -50, 3], [0.5, -50, 3], [0.5, 50, 3], [-50, 50, 3]], dtype=dtype
    )
    mesh = ts.Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]))
    image = ts.SoftRasterizer.hard(ssaa=4)(mesh, pixel_camera(1, 2, dtype), normals=True)
    torch.testing.assert_close(image.alpha, torch.tensor([[[0.5, 0.0]]], dtype=dtype))
    torch.testing.assert_close(image.depth, torch.tensor([[[3.0, 0.0]]], dtype=dtype))
    expected = torch.tensor([[[[0.0, 0, 1], [0, 0, 0]]]], dtype=dtype)
    torch.testing.assert_close(image.normals, expected)


def test_supersampling_by_one_changes_no_bit(dtype):
    setup = views_setup(1, IMAGE, views=2)
    arguments = setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})
    plain = ts.SoftRasterizer(background=0.5)(*arguments)
    once = ts.SoftRasterizer(background=0.5, ssaa=1)(*arguments)
    for name in ("alpha", "depth", "color"):
        assert torch.equal(getattr(plain, name), getattr(once, name))


def test_scales_relative_to_the_image_are_kept(dtype, tolerance):
    setup = views_setup(1, IMAGE)
    arguments = setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})
    by_height = scaled_soft(ts.HeightFraction(1.5 / IMAGE[0]), ssaa=2)(*arguments)
    in_pixels = scaled_soft(ts.Pixels(1.5), ssaa=2)(*arguments)
    assert_close(by_height.color, in_pixels.color, tolerance.value, "supersampled")


@pytest.mark.parametrize("value", [0, 1.5, True])
def test_bad_supersampling(value):
    with pytest.raises((TypeError, ValueError), match="ssaa must be"):
        ts.SoftRasterizer(ssaa=value)


@pytest.mark.parametrize("shading", ts.Shading)
def test_faces_cut_by_the_near_plane_keep_number_texture_and_light(shading, dtype):
    # Whether a floor is cut by the near plane or ends just before it makes no difference to what is seen.
    far, wide = 40.0, 30.0
    image = torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(1)).to(dtype)
    results = []
    for start in (-3.0, 0.02):
        corners = torch.tensor(
            [[-wide, 0, start], [wide, 0, start], [wide, 0, far], [-wide, 0, far]], dtype=dtype
        )
        uv = corners[:, [0, 2]] / 7
        mesh = ts.Mesh(corners, torch.tensor([[0, 2, 1], [0, 3, 2]]))
        camera = ts.Camera.look_at((0.3, 1, 0), (0.3, 1, 1), image_size=(12, 17), dtype=dtype)
        lighting = ts.Lighting([ts.DirectionalLight((0, 1, 1)), ts.AmbientLight(0.2)], shading)
        results.append(
            ts.SoftRasterizer.hard()(
                mesh, camera, ts.Texture(image, uv), lighting=lighting, face_ids=True, normals=True
            )
        )
    cut, whole = results
    assert cut.face_ids.unique().tolist() == [-1, 0, 1]
    assert torch.equal(cut.alpha, whole.alpha)
    allowed = {"rtol": 0, "atol": 1e-9 if dtype == torch.float64 else 1e-3}
    torch.testing.assert_close(cut.color, whole.color, **allowed)
    torch.testing.assert_close(cut.normals, whole.normals, **allowed)
