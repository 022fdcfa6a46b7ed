"""Meshes with materials: against textures, colours and NumPy; the twin; batches; all ways to render."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import Leaves, Setup, assert_close, pixel_camera, soft, uniform
from tests.zoo.appearance import (
    FACES,
    UV_FACES,
    lighting_of,
    material_leaves,
    scene,
    texture_of,
    with_materials,
)


def of_materials(seed: int, image: tuple[int, int], *, views: int = 1, **options: bool) -> Setup:
    """Return the scene of `tests.zoo.appearance` with materials that multiply the colours of vertices."""
    setup = scene(seed, image, views=views)

    def build(x: Leaves) -> tuple:
        mesh, camera = setup.build(x)
        return with_materials(mesh, x, **options), camera

    return Setup({**setup.leaves, **material_leaves(seed)}, build)


def layered() -> ts.SoftRasterizer:
    """Return a renderer that composites front to back."""
    return ts.SoftRasterizer(ts.Gaussian(1.0), occlusion=ts.FrontToBack(gamma=0.1), background=0.25)


def one(x: Leaves, **change: Any) -> ts.Material:
    """Return a material that looks like the texture of a scene."""
    return ts.Material(**{"image": x["texture"], **change})


def drawn(render, mesh, camera, *colors, **options) -> list[torch.Tensor]:
    """Return alpha, depth and colour."""
    image = render(mesh, camera, *colors, **options)
    return [image.alpha.detach(), image.premultiplied.detach(), image.color.detach()]


def assert_same(found: list[torch.Tensor], expected: list[torch.Tensor], tolerance: float) -> None:
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert_close(one, other, tolerance, f"image {number}")


@pytest.mark.parametrize("look", ["plain", "opacity and mipmaps"])
def test_kernels_are_the_twin(look, dtype, tolerance):
    options = {"opacity": False} if look == "plain" else {"opacity": True, "mipmaps": True}
    setup, renderer = of_materials(2, (11, 13), views=2, **options), layered()
    results = []
    for render, real in ((renderer, dtype), (reference.render, torch.float64)):
        x = {name: leaf.to(real).requires_grad_() for name, leaf in setup.leaves.items()}
        first = () if render is renderer else (renderer,)
        options: dict = {} if render is renderer else {"tabulated": True}
        lighting = lighting_of(x, ts.Shading.PHONG)
        image = render(*first, *setup.build(x), lighting=lighting, **options)
        generator = torch.Generator().manual_seed(5)
        weight = torch.randn(image.color.shape, generator=generator, dtype=torch.float64).to(real)
        loss = (image.color * weight).sum() + (image.alpha * weight[..., 0]).sum()
        found = torch.autograd.grad(loss, list(x.values()), allow_unused=True)
        results.append((image.color.detach(), dict(zip(x, found, strict=True))))
    (color, by), (exact, expected) = results
    assert_close(color, exact, 10 * tolerance.value, "colour")
    for name in ("vertices", "colors", "uv", "factor", "texture", "other", "plain", "eye"):
        assert_close(by[name], expected[name], 10 * tolerance.gradient, f"gradient of {name}")
    if look != "plain":
        for name in ("holes", "veil"):
            assert_close(by[name], expected[name], 10 * tolerance.gradient, f"gradient of {name}")


@pytest.mark.cpu_only
@pytest.mark.parametrize("occlusion", ["layers", "reference depth"])
def test_first_and_second_derivatives(occlusion):
    setup = of_materials(3, (4, 5), opacity=occlusion == "layers")
    renderer = layered() if occlusion == "layers" else soft()
    names = ["vertices", "uv", "colors", "factor", "texture", "other", "plain"]
    names += ["holes", "veil"] if occlusion == "layers" else []
    inputs = tuple(setup.leaves[name].clone().requires_grad_() for name in names)

    def color(*values):
        image = renderer(*setup.build({**setup.leaves, **dict(zip(names, values, strict=True))}))
        return image.color.sum(0), image.alpha

    assert gradcheck(color, inputs, atol=1e-6, rtol=1e-5, fast_mode=True)
    if occlusion == "layers":
        # With a reference depth torch evaluates the same function of the fragments.
        assert gradgradcheck(color, inputs, atol=1e-5, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("mipmaps", [False, True])
@pytest.mark.parametrize("shading", [None, *ts.Shading])
def test_one_material_is_a_texture(shading, mipmaps, dtype):
    setup = scene(4, (9, 11), views=2)
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    texture = dataclasses.replace(texture_of(x, ts.Wrap.CLAMP), mipmaps=mipmaps)
    lighting = None if shading is None else lighting_of(x, shading)
    clamps = one(x, wrap_u=ts.Wrap.CLAMP, wrap_v=ts.Wrap.CLAMP, mipmaps=mipmaps)
    made = mesh.with_vertex_colors(None).with_materials([clamps], None, x["uv"], UV_FACES)
    renderer = layered()
    expected = drawn(renderer, mesh, camera, texture, lighting=lighting)
    found = drawn(renderer, made, camera, lighting=lighting)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_factor_multiplies_the_image(dtype, tolerance):
    setup = scene(4, (9, 11))
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    factor = x["ambient"]
    made = mesh.with_vertex_colors(None).with_materials(
        [one(x, color=factor)], None, x["uv"], UV_FACES
    )
    times = dataclasses.replace(texture_of(x), image=x["texture"] * factor)
    for renderer in (layered(), soft(), ts.SoftRasterizer.hard()):
        expected = drawn(renderer, mesh, camera, times)
        assert_same(drawn(renderer, made, camera), expected, 10 * tolerance.value)


def test_plain_materials_are_colours(dtype):
    setup = scene(5, (9, 11))
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    bare = mesh.with_vertex_colors(None)
    faces = torch.tensor([1, 0, 1])
    opacity = torch.tensor([0.25, 0.75], dtype=dtype)
    colors = x["colors"][:2]
    materials = [ts.Material(c, opacity=o) for c, o in zip(colors, opacity, strict=True)]
    made = bare.with_materials(materials, faces)
    renderer = layered()
    expected = drawn(
        renderer, bare.with_face_colors(colors[faces]).with_face_opacity(opacity[faces]), camera
    )
    found = drawn(renderer, made, camera)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    alpha = renderer.silhouette(made, camera).detach()
    assert_close(alpha, expected[0], 1e-6, "silhouette")
    half = made.with_face_opacity(torch.full((3,), 0.5, dtype=dtype))
    expected = renderer(bare.with_face_opacity(opacity[faces] / 2), camera).alpha.detach()
    assert_close(renderer(half, camera).alpha.detach(), expected, 1e-6, "product of opacities")


def wrapped(index: int, size: int, wrap: ts.Wrap) -> int:
    """Return the texel that stands for one at or beyond the border."""
    if wrap is ts.Wrap.REPEAT:
        return index % size
    if wrap is ts.Wrap.CLAMP:
        return min(max(index, 0), size - 1)
    index %= 2 * size
    return index if index < size else 2 * size - 1 - index


def looked_up(image: np.ndarray, u: float, v: float, wrap_u: ts.Wrap, wrap_v: ts.Wrap) -> Any:
    """Return the mean of the four texels around (u, v) by the areas opposite to them."""
    height, width = image.shape[:2]
    column, row = u * width - 0.5, (1 - v) * height - 0.5
    total = 0.0
    for j in (int(np.floor(row)), int(np.floor(row)) + 1):
        for i in (int(np.floor(column)), int(np.floor(column)) + 1):
            area = (1 - abs(column - i)) * (1 - abs(row - j))
            total += area * image[wrapped(j, height, wrap_v), wrapped(i, width, wrap_u)]
    return total


@pytest.mark.parametrize("wrap_v", ts.Wrap)
@pytest.mark.parametrize("wrap_u", ts.Wrap)
def test_tiles_of_two_images_and_a_plain_colour(wrap_u, wrap_v, dtype, tolerance):
    # Three strips beside each other, of 8 x 12 pixels each; their coordinates run beyond the images.
    generator = torch.Generator().manual_seed(6)
    images = uniform(generator, 3, 5, 3), uniform(generator, 4, 2, 3)
    plain = uniform(generator, 3)
    strip = torch.tensor([[0.0, 0, 1], [8, 0, 1], [8, 12, 1], [0, 12, 1]])
    corners = torch.cat([strip + torch.tensor([8.0 * k, 0, 0]) for k in range(3)])
    quad = torch.tensor([[0, 1, 2], [0, 2, 3]])
    faces = torch.cat([quad + 4 * k for k in range(3)])
    uv = torch.tensor([[-1.25, -0.875], [2.125, -0.875], [2.125, 2.375], [-1.25, 2.375]]).repeat(
        3, 1
    )
    materials = (
        ts.Material(image=images[0].to(dtype), wrap_u=wrap_u, wrap_v=wrap_v),
        ts.Material(plain.to(dtype)),
        ts.Material(image=images[1].to(dtype), wrap_u=wrap_v, wrap_v=wrap_u),
    )
    mesh = ts.Mesh(
        corners.to(dtype),
        faces,
        materials=materials,
        face_materials=torch.arange(3).repeat_interleave(2),
        uv=uv.to(dtype),
    )
    color = ts.SoftRasterizer.hard()(mesh, pixel_camera(12, 24, dtype)).color[0].detach()
    expected = np.zeros((12, 24, 3))
    for row, column in np.ndindex(12, 24):
        number, at = divmod(column, 8)
        u, v = -1.25 + 3.375 * (at + 0.5) / 8, -0.875 + 3.25 * (row + 0.5) / 12
        if number == 1:
            expected[row, column] = plain.numpy()
        else:
            wraps = (wrap_u, wrap_v) if number == 0 else (wrap_v, wrap_u)
            expected[row, column] = looked_up(images[number // 2].numpy(), u, v, *wraps)
    assert_close(color, torch.tensor(expected), 100 * tolerance.value, "colour")


def test_materials_apart_are_textures_apart(dtype, tolerance):
    generator = torch.Generator().manual_seed(7)
    images = [uniform(generator, 4, 3, 3).to(dtype), uniform(generator, 2, 6, 3).to(dtype)]
    corners = torch.tensor([[2.0, 2, 1], [9, 3, 1], [3, 12, 1]])
    apart = torch.cat([corners, corners + torch.tensor([22.0, 0, 0])]).to(dtype)
    faces, uv = torch.tensor([[0, 1, 2], [3, 4, 5]]), uniform(generator, 6, 2).to(dtype)
    camera = pixel_camera(14, 36, dtype)
    renderer = ts.SoftRasterizer(ts.Gaussian(0.7), occlusion=ts.FrontToBack(gamma=0.1))
    mesh = ts.Mesh(
        apart,
        faces,
        materials=tuple(ts.Material(image=image) for image in images),
        face_materials=torch.tensor([0, 1]),
        uv=uv,
    )
    both = drawn(renderer, mesh, camera)
    alone = [
        drawn(
            renderer,
            ts.Mesh(apart[3 * k : 3 * k + 3], faces[:1]),
            camera,
            ts.Texture(images[k], uv[3 * k : 3 * k + 3]),
        )
        for k in range(2)
    ]
    assert_same(both, [a + b for a, b in zip(*alone, strict=True)], 10 * tolerance.value)


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_multiply_materials(channels, dtype, tolerance):
    setup = of_materials(8, (13, 11), opacity=False)
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    colors = x["colors"][:, :channels]
    hard = ts.SoftRasterizer.hard()
    found = hard(mesh.with_vertex_colors(colors), camera).color.detach()
    base = hard(mesh.with_vertex_colors(None), camera).color.detach()
    tint = hard(mesh, camera, colors).color.detach()
    assert_close(found, base * tint, 10 * tolerance.value, "product")
    assert float(found.abs().max()) > 0


def test_a_batch_of_meshes_of_all_kinds(dtype, tolerance):
    setup = of_materials(9, (9, 11), opacity=True, mipmaps=True)
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, _ = setup.build(x)
    colored = ts.Mesh(x["vertices"][:4], FACES[:2], x["colors"][:4])
    blank = ts.Mesh(x["vertices"][:4] + 0.1, FACES[:2])
    plain = ts.Mesh(x["vertices"], FACES[1:], materials=(ts.Material(x["plain"]),))
    textured = ts.Mesh(x["vertices"], FACES, materials=(one(x),), uv=x["uv"], uv_faces=UV_FACES)
    meshes = [mesh, colored, blank, plain, textured]
    cameras = ts.Camera.look_at(
        x["eye"] + 0.1 * torch.arange(5, dtype=dtype)[:, None], fov=50, image_size=(9, 11)
    )
    renderer = layered()
    image = renderer(meshes, cameras)
    # Opaque meshes alone have a table of their own.
    allowed = max(10 * tolerance.value, 1e-7)
    for number, (one_mesh, color, alpha) in enumerate(
        zip(meshes, image.color.detach(), image.alpha.detach(), strict=True)
    ):
        white = None if number != 2 else x["colors"].new_ones(4, 3)
        alone = renderer(one_mesh, cameras[number], white)
        assert_close(color, alone.color.detach()[0], allowed, f"colour {number}")
        assert_close(alpha, alone.alpha.detach()[0], allowed, f"alpha {number}")


def test_coordinates_of_each_image(dtype, tolerance):
    setup = of_materials(10, (7, 9), opacity=False, mipmaps=True)
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    uvs = torch.stack([x["uv"], 1.5 * x["uv"]])
    renderer = layered()
    both = renderer(mesh.with_materials(mesh.materials, uv=uvs), camera).color.detach()
    for uv, color in zip(uvs, both, strict=True):
        alone = renderer(mesh.with_materials(mesh.materials, uv=uv), camera).color[0].detach()
        assert_close(color, alone, 10 * tolerance.value, "image")


def test_a_face_that_is_cut_keeps_its_material(dtype, tolerance):
    generator = torch.Generator().manual_seed(11)
    corners = torch.tensor([[-1, -1, 0], [1, -1, 0], [1, 1, 4], [-1, 1, 4.0]]).to(dtype)
    uv = torch.tensor([[0.0, 0], [1, 0], [1, 2], [0, 2]]).to(dtype)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    image = uniform(generator, 4, 5, 3).to(dtype)
    camera = ts.Camera.look_at(
        torch.tensor([0.0, 0.3, 3]).to(dtype), fov=70, image_size=(9, 11), near=0.5
    )
    made = ts.Mesh(
        corners,
        faces,
        materials=(ts.Material(image[0, 0]), *(ts.Material(image=image) for _ in range(2))),
        face_materials=torch.tensor([2, 1]),
        uv=uv,
    )
    expected = drawn(layered(), ts.Mesh(corners, faces), camera, ts.Texture(image, uv))
    assert float(expected[0].max()) > 0.5
    assert_same(drawn(layered(), made, camera), expected, 10 * tolerance.value)


def test_other_ways_to_draw():
    setup = of_materials(12, (12, 14), opacity=False)
    x = {name: leaf.float() for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    bare = ts.Mesh(mesh.vertices, FACES)
    renderer = layered()
    assert torch.equal(renderer.silhouette(mesh, camera), renderer.silhouette(bare, camera))
    explained = renderer.explain(mesh.with_vertex_colors(None), camera)
    told, plain = (str(x).splitlines() for x in (explained, renderer.explain(bare, camera)))
    # Materials are colours, which take memory.
    differing = [a.split(":")[0] for a, b in zip(told, plain, strict=True) if a != b]
    assert differing == ["cost"]
    given = renderer(mesh, camera, x["colors"]).color
    assert torch.equal(given, renderer(bare, camera, x["colors"]).color)
    texture = texture_of(x)
    assert torch.equal(renderer(mesh, camera, texture).color, renderer(bare, camera, texture).color)
    fine = ts.SoftRasterizer(renderer.coverage, occlusion=renderer.occlusion, ssaa=2)
    assert fine(mesh, camera, face_ids=True, normals=True).color.shape == (1, 12, 14, 3)
    orders = [
        ts.SoftRasterizer(renderer.coverage, occlusion=renderer.occlusion, deterministic=True)(
            dataclasses.replace(
                mesh,
                faces=FACES[order],
                uv_faces=UV_FACES[order],
                face_materials=mesh.face_materials[order],
            ),
            camera,
        ).color.detach()
        for order in (torch.tensor([0, 1, 2]), torch.tensor([2, 0, 1]))
    ]
    assert torch.equal(*orders)


@pytest.mark.cpu_only
def test_transforms_reach_images():
    setup = of_materials(13, (6, 7), opacity=False)
    mesh, camera = setup.build(setup.leaves)
    renderer = layered()

    def loss(image):
        materials = (*mesh.materials[:2], dataclasses.replace(mesh.materials[2], image=image))
        return renderer(mesh.with_materials(materials), camera).color.square().sum()

    image = setup.leaves["other"].clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(image), image)
    found = torch.func.grad(loss)(setup.leaves["other"])
    assert_close(found, expected, 1e-12, "gradient")
    assert float(expected.abs().max()) > 0
