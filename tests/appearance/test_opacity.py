"""Opacity of surfaces: where a look has it, and what textures and shaders make of it."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

import taichisoft as ts
from taichisoft.appearance.order import in_canonical_order
from taichisoft.appearance.surface import prepare
from tests.helpers import uniform
from tests.zoo.appearance import FACES, lighting_of, scene, texture_of

pytestmark = pytest.mark.cpu_only


def parts(views: int = 1) -> tuple[dict, ts.Mesh, ts.Camera, torch.Tensor]:
    """Return the leaves of a scene, its mesh and camera, and an opacity for each vertex."""
    setup = scene(3, (4, 5), views=views)
    mesh, camera = setup.build(setup.leaves)
    return setup.leaves, mesh, camera, uniform(torch.Generator().manual_seed(8), 7)


def seen(surface, images: int = -1) -> torch.Tensor:
    """Return what is seen at all corners of the faces, (b, N, C): shaded, if there is a shader."""
    corners = surface.attributes.corners()
    corners = corners.expand(images, -1, -1)
    if surface.shader is None:
        return corners
    image = torch.arange(len(corners)).repeat_interleave(corners.shape[1])
    return surface.shader(corners.flatten(0, 1), image).unflatten(0, corners.shape[:2])


@pytest.mark.parametrize("normals", [False, True])
@pytest.mark.parametrize("shading", [None, *ts.Shading])
@pytest.mark.parametrize("look", ["plain", "colors", "texture", "texture with opacity"])
def test_opacity_is_the_last_column_and_nothing_else_changes(look, shading, normals):
    x, mesh, camera, opacity = parts(views=2)
    if look == "plain":
        mesh = mesh.with_vertex_colors(None)
    texture = texture_of(x) if "texture" in look else None
    lighting = None if shading is None else lighting_of(x, shading)
    opaque = prepare(mesh, camera, texture, lighting, normals)
    own = uniform(torch.Generator().manual_seed(9), 3, 5)
    sampled = torch.ones(9, dtype=own.dtype)
    if look == "texture with opacity":
        texture = ts.Texture(texture.image, texture.uv, texture.uv_faces, texture.wrap, own)
        alone = ts.Texture(own[..., None], texture.uv)
        sampled = alone.sample(texture.uv[texture.uv_faces.reshape(-1)])[:, 0]
        surface = prepare(mesh, camera, texture, lighting, normals)
        assert surface.opacity
        torch.testing.assert_close(seen(surface)[..., -1], sampled.expand(len(seen(surface)), -1))
    for kind in ("vertex", "face"):
        values = opacity if kind == "vertex" else opacity[:3]
        see_through = getattr(mesh, f"with_{kind}_opacity")(values)
        surface = prepare(see_through, camera, texture, lighting, normals)
        assert surface.opacity
        assert not opaque.opacity
        assert (surface.channels, surface.outputs) == (opaque.channels, opaque.outputs)
        assert surface.has_colors == opaque.has_colors
        found = seen(surface)
        assert found.shape[-1] == surface.outputs + 1
        of_corners = values[FACES.reshape(-1)] if kind == "vertex" else values.repeat_interleave(3)
        expected = (of_corners * sampled).expand(len(found), -1)
        torch.testing.assert_close(found[..., -1], expected)
        if opaque.attributes is not None:
            rest = seen(opaque).expand(len(found), -1, -1)
            torch.testing.assert_close(found[..., :-1], rest, rtol=0, atol=0)


def test_a_surface_without_opacity_is_as_it_was():
    x, mesh, camera, _ = parts()
    surface = prepare(mesh, camera, None, None, False)
    assert not surface.opacity
    assert surface.attributes.values is mesh.vertex_colors
    assert surface.attributes.index is mesh.faces
    assert prepare(mesh, camera, texture_of(x), None, False).shader.images.texels.shape[-1] == 3


def test_a_batch_of_different_meshes_has_opacity():
    _, mesh, camera, opacity = parts()
    half = ts.Mesh(mesh.vertices[:4], mesh.faces[:2], mesh.vertex_colors[:4])
    batch = ts.MeshBatch.from_meshes([half, mesh.with_vertex_opacity(opacity)])
    surface = prepare(batch, camera, None, None, False)
    expected = torch.cat([torch.ones(6, dtype=opacity.dtype), opacity[FACES.reshape(-1)]])
    torch.testing.assert_close(surface.attributes.corners()[0, :, -1], expected)


def test_a_texture_for_each_image_has_opacity_for_each():
    x, mesh, camera, _ = parts(views=2)
    own = uniform(torch.Generator().manual_seed(2), 2, 3, 5)
    for image, opacity in (
        (x["texture"], own),
        (x["texture"].expand(2, -1, -1, -1), own[0]),
        (x["texture"].expand(2, -1, -1, -1), own),
    ):
        texture = ts.Texture(image, x["uv"], texture_of(x).uv_faces, opacity=opacity)
        assert texture.batch_size == 2
        found = seen(prepare(mesh, camera, texture, None, False), 2)
        uv = x["uv"][texture.uv_faces.reshape(-1)]
        for view in range(2):
            one = opacity[view] if opacity.ndim == 3 else opacity
            expected = ts.Texture(one[..., None], x["uv"]).sample(uv)[:, 0]
            torch.testing.assert_close(found[view, :, -1], expected)
            color = ts.Texture(x["texture"], x["uv"]).sample(uv)
            torch.testing.assert_close(found[view, :, :-1], color)


def test_gradients_of_a_texture_with_opacity():
    x, mesh, camera, opacity = parts()
    own = uniform(torch.Generator().manual_seed(2), 3, 5)

    def look(image, through, uv, of_vertices):
        texture = ts.Texture(image, uv, texture_of(x).uv_faces, opacity=through)
        mesh_ = mesh.with_vertex_opacity(of_vertices)
        return seen(prepare(mesh_, camera, texture, lighting_of(x, ts.Shading.PHONG), True))

    leaves = (x["texture"], own, x["uv"], opacity)
    # The opacity is checked to be in [0, 1], also a step away.
    leaves = tuple((0.05 + 0.9 * leaf).requires_grad_() for leaf in leaves)
    assert gradcheck(look, leaves)


def test_a_canonical_order_takes_opacity_along():
    _, mesh, _, opacity = parts()
    order = torch.tensor([2, 0, 1, 4, 3])
    faces = torch.cat([mesh.faces, mesh.faces[:2]])
    values = torch.tensor([0.5, 0.1, 0.2, 0.3, 0.4], dtype=opacity.dtype)
    one = ts.Mesh(mesh.vertices, faces, face_opacity=values)
    other = ts.Mesh(mesh.vertices, faces[order], face_opacity=values[order])
    first, _, source = in_canonical_order(one, None)
    second, _, _ = in_canonical_order(other, None)
    assert torch.equal(first.faces, second.faces)
    assert torch.equal(first.face_opacity, second.face_opacity)
    assert torch.equal(first.face_opacity, values[source])
    batched = ts.Mesh(mesh.vertices, faces, face_opacity=torch.stack([values, 1 - values]))
    first, _, source = in_canonical_order(batched, None)
    assert torch.equal(first.face_opacity[1], 1 - values[source])


@pytest.mark.parametrize(
    ("opacity", "error", "message"),
    [
        (torch.ones(3, 4), ValueError, r"opacity must have shape \(3, 5\) or \(B, 3, 5\)"),
        (torch.full((3, 5), 1.25), ValueError, r"opacity must be in \[0, 1\], got 1.25"),
        (torch.ones(3, 5).double(), TypeError, "opacity must have the dtype of image"),
        (0.5, TypeError, "opacity must be a Tensor, got float"),
    ],
)
def test_bad_opacity_of_a_texture(opacity, error, message):
    with pytest.raises(error, match=message):
        ts.Texture(torch.zeros(3, 5, 3), torch.zeros(4, 2), opacity=opacity)
    with pytest.raises(ValueError, match="batch sizes must be equal or 1"):
        ts.Texture(torch.zeros(2, 3, 5, 3), torch.zeros(4, 2), opacity=torch.ones(3, 3, 5))
