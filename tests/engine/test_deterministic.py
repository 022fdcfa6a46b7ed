"""Bit-equal images and gradients, from run to run and for permuted faces."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from tests.helpers import scalar_loss, soft, uniform

# The CPU's are promised; software for a GPU takes a second for each.
RUNS = 20 if ts.backend() == "cpu" else 6


def scene(dtype: torch.dtype) -> tuple[ts.Mesh, ts.Camera]:
    """Return a ball with many faces at a pixel and two views of it."""
    generator = torch.Generator().manual_seed(1)
    ball = ts.shapes.icosphere(3)
    bumps = uniform(generator, ball.num_vertices, 1, low=0.6, high=1.1)
    colors = uniform(generator, ball.num_vertices, 3).to(dtype)
    mesh = ts.Mesh((ball.vertices.double() * bumps).to(dtype), ball.faces, colors)
    eye = torch.tensor([[0.0, 0.5, 3.0], [2.0, 1.0, -2.0]], dtype=dtype)
    return mesh, ts.Camera.look_at(eye=eye, fov=45, image_size=(61, 67))


def rendered(renderer: ts.SoftRasterizer, mesh: ts.Mesh, camera: ts.Camera) -> list[torch.Tensor]:
    """Return images and gradients of vertices, colours and softness."""
    vertices = mesh.vertices.clone().requires_grad_()
    colors = mesh.vertex_colors.clone().requires_grad_()
    image = renderer(ts.Mesh(vertices, mesh.faces, colors), camera)
    wanted = [vertices, colors, *renderer.parameters()]
    loss = scalar_loss(image, image.alpha.detach(), seed=4)
    gradients = torch.autograd.grad(loss, wanted)
    return [image.alpha.detach(), image.color.detach(), image.depth.detach(), *gradients]


def deterministic(aggregation: str, coverage: str) -> ts.SoftRasterizer:
    softness = soft(coverage, aggregation, scale=1.2).softness
    return ts.SoftRasterizer(softness=softness, deterministic=True)


@pytest.mark.parametrize("coverage", ["gaussian", "mlp"])
@pytest.mark.parametrize("aggregation", ["probabilistic", "max"])
def test_runs_and_orders_of_faces_are_bit_equal(aggregation, coverage, dtype):
    mesh, camera = scene(dtype)
    renderer = deterministic(aggregation, coverage)
    first = rendered(renderer, mesh, camera)
    generator = torch.Generator().manual_seed(2)
    for run in range(RUNS):
        order = torch.arange(mesh.num_faces)
        if run % 2:
            order = torch.randperm(mesh.num_faces, generator=generator)
        permuted = ts.Mesh(mesh.vertices, mesh.faces[order], mesh.vertex_colors)
        for again, value in zip(rendered(renderer, permuted, camera), first, strict=True):
            assert torch.equal(again, value)


def test_without_it_the_order_of_the_faces_rounds_differently(dtype):
    mesh, camera = scene(dtype)
    renderer = soft(scale=1.2)
    reverse = ts.Mesh(mesh.vertices, mesh.faces.flip(0), mesh.vertex_colors)
    one, other = (rendered(renderer, m, camera)[0] for m in (mesh, reverse))
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_second_derivatives_are_bit_equal(dtype):
    mesh, camera = scene(dtype)
    renderer = deterministic("probabilistic", "gaussian")
    results = []
    for order in (torch.arange(mesh.num_faces), torch.randperm(mesh.num_faces)):
        vertices = mesh.vertices.clone().requires_grad_()
        alpha = renderer.silhouette(ts.Mesh(vertices, mesh.faces[order]), camera)
        (gradient,) = torch.autograd.grad(alpha.square().sum(), vertices, create_graph=True)
        results.append(torch.autograd.grad(gradient.square().sum(), vertices)[0])
    assert torch.equal(*results)
    assert float(results[0].abs().max()) > 0


def painted(kind: str, mesh: ts.Mesh, order: torch.Tensor, dtype: torch.dtype) -> dict:
    """Return the arguments of a render of a mesh whose faces are in another order; see `PAINTS`."""
    generator = torch.Generator().manual_seed(9)
    lights = [ts.DirectionalLight((0.3, 0.5, 1.0)), ts.PointLight((1.0, 2.0, 3.0), (0.5, 0.2, 0.1))]
    seams = torch.randint(0, 50, (mesh.num_faces, 3), generator=generator)
    texture = ts.Texture(
        uniform(generator, 5, 7, 3).to(dtype), uniform(generator, 50, 2).to(dtype), seams[order]
    )
    of_faces = uniform(generator, mesh.num_faces, 3).to(dtype)[order]
    light = {
        shading: ts.Lighting(lights, shading, specular=0.3, shininess=8.0) for shading in ts.Shading
    }
    return {
        "normals": {"normals": True},
        "flat": {"lighting": light[ts.Shading.FLAT]},
        "gouraud": {"lighting": light[ts.Shading.GOURAUD], "normals": True},
        "phong": {"lighting": light[ts.Shading.PHONG]},
        "texture": {"colors": texture, "lighting": light[ts.Shading.GOURAUD]},
        "faces": {"colors": of_faces, "normals": True},
    }[kind]


PAINTS = ("normals", "flat", "gouraud", "phong", "texture", "faces")


def permuted_outcomes(mesh, camera, renderer, arguments_of, dtype) -> list[list[torch.Tensor]]:
    """Return images and gradients for several orders of the faces."""
    generator = torch.Generator().manual_seed(3)
    outcomes = []
    for run in range(4):
        order = torch.arange(mesh.num_faces)
        if run:
            order = torch.randperm(mesh.num_faces, generator=generator)
        vertices = mesh.vertices.clone().requires_grad_()
        permuted = ts.Mesh(vertices, mesh.faces[order], mesh.vertex_colors)
        image = renderer(permuted, camera, **arguments_of(order))
        loss = scalar_loss(image, image.alpha.detach(), seed=4)
        seen = [image.alpha, image.color, image.depth]
        if image.normals is not None:
            weight = torch.linspace(-1, 1, image.normals.numel(), dtype=dtype)
            loss = loss + (image.normals.reshape(-1) * weight).sum()
            seen.append(image.normals)
        outcomes.append([x.detach() for x in (*seen, *torch.autograd.grad(loss, vertices))])
    return outcomes


@pytest.mark.parametrize("kind", PAINTS)
def test_normals_light_and_textures_are_bit_equal(kind, dtype):
    mesh, camera = scene(dtype)
    renderer = deterministic("probabilistic", "gaussian")
    first, *others = permuted_outcomes(
        mesh, camera, renderer, lambda order: painted(kind, mesh, order, dtype), dtype
    )
    for other in others:
        assert all(torch.equal(one, two) for one, two in zip(first, other, strict=True))
    assert float(first[-1].abs().max()) > 0


@pytest.mark.parametrize("aggregation", ["probabilistic", "max"])
@pytest.mark.parametrize("kind", ["normals", "faces"])
def test_faces_whose_corners_coincide(kind, aggregation, dtype):
    # Three layers, of which one has vertices of its own at the same places.
    mesh, camera = scene(dtype)
    layers = ts.Mesh(
        mesh.vertices.repeat(2, 1),
        torch.cat([mesh.faces, mesh.faces, mesh.faces + mesh.num_vertices]),
        mesh.vertex_colors.repeat(2, 1),
    )
    renderer = deterministic(aggregation, "gaussian")
    first, *others = permuted_outcomes(
        layers, camera, renderer, lambda order: painted(kind, layers, order, dtype), dtype
    )
    for other in others:
        assert all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_gradients_of_face_colors_and_sources_follow_the_faces(dtype):
    mesh, camera = scene(dtype)
    renderer = deterministic("probabilistic", "gaussian")
    found = []
    for order in (torch.arange(mesh.num_faces), torch.arange(mesh.num_faces).flip(0)):
        colors = painted("faces", mesh, order, dtype)["colors"].clone().requires_grad_()
        image = renderer(ts.Mesh(mesh.vertices, mesh.faces[order]), camera, colors)
        (gradient,) = torch.autograd.grad(image.color.square().sum(), colors)
        found.append(gradient[torch.argsort(order)])
    assert torch.equal(*found)
    small = ts.Mesh(mesh.vertices, mesh.faces[:9].flip(0), mesh.vertex_colors)
    _, both = renderer.scene([mesh, small], camera)
    for faces, source, corners in zip(
        (mesh.faces, small.faces),
        both.source_face.split(both.face_counts),
        both.faces.split(both.face_counts),
        strict=True,
    ):
        assert source.sort().values.tolist() == list(range(len(faces)))
        assert torch.equal(faces[source], corners % mesh.num_vertices)


def test_a_texture_that_does_not_fit_is_refused(dtype):
    mesh, camera = scene(dtype)
    texture = painted("texture", mesh, torch.arange(9), dtype)["colors"]
    with pytest.raises(ValueError, match="uv_faces must have one row for each of the 1280 faces"):
        deterministic("probabilistic", "gaussian")(mesh, camera, texture)


def test_nothing_to_draw(dtype):
    mesh = ts.Mesh(torch.zeros(3, 3, dtype=dtype), torch.zeros(0, 3, dtype=torch.int64))
    image = ts.SoftRasterizer(deterministic=True)(mesh, scene(dtype)[1])
    assert float(image.alpha.abs().max()) == 0


def test_bad_argument():
    with pytest.raises(TypeError, match="deterministic must be a bool, got str"):
        ts.SoftRasterizer(deterministic="yes")
