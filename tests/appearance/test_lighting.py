"""Normals and lights: NumPy formulas, the dense twin, gradients, limits, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import assert_close, normal_like, soft, uniform
from tests.render.test_hard_renderer import hits, rays
from tests.zoo.appearance import FACES, lighting_of, scene, texture_of

TEXTURED = [False, True]


def tetrahedron() -> ts.Mesh:
    """Return a mesh with fewer vertices and faces than its neighbours in a batch."""
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    return ts.Mesh(corners, torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))


def test_normals_of_a_ball_point_outwards(dtype):
    ball = ts.shapes.icosphere(2).to(dtype=dtype)
    towards = torch.nn.functional.normalize(ball.vertices, dim=1)
    assert float((ts.vertex_normals(ball) * towards).sum(1).min()) > 0.999
    centres = torch.nn.functional.normalize(ball.vertices[ball.faces].mean(1), dim=1)
    assert float((ts.face_normals(ball) * centres).sum(1).min()) > 0.999


def test_vertex_normals_are_weighted_by_area(dtype, tolerance):
    setup = scene(1, (5, 5))
    vertices = setup.leaves["vertices"]
    expected = np.zeros((7, 3))
    for face in FACES.tolist():
        a, b, c = vertices[face].numpy()
        expected[face] += np.cross(b - a, c - a)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = ts.vertex_normals(ts.Mesh(vertices.to(dtype), FACES))
    assert_close(found, torch.from_numpy(expected), tolerance.value, "normals")


def test_normals_of_batches(dtype):
    x = {name: leaf.to(dtype) for name, leaf in scene(1, (5, 5)).leaves.items()}
    one, two = ts.Mesh(x["vertices"], FACES), tetrahedron().to(dtype=dtype)
    stacked = ts.Mesh(torch.stack([x["vertices"], -x["vertices"]]), FACES)
    assert torch.equal(ts.face_normals(stacked)[0], ts.face_normals(one))
    assert torch.equal(ts.vertex_normals(stacked)[0], ts.vertex_normals(one))
    packed = ts.MeshBatch.from_meshes([two, one])
    assert torch.equal(ts.face_normals(packed)[4:], ts.face_normals(one))
    assert torch.equal(ts.vertex_normals(packed)[0, :4], ts.vertex_normals(two))
    assert torch.equal(ts.vertex_normals(packed)[1], ts.vertex_normals(one))


def double_sided(dtype: torch.dtype) -> ts.Mesh:
    """Return a bumpy ball each face of which is there twice, with another winding and first corner."""
    generator = torch.Generator().manual_seed(4)
    ball = ts.shapes.icosphere(2)
    bumps = uniform(generator, ball.num_vertices, 1, low=0.7, high=1.2)
    back = ball.faces[:, [1, 0, 2]]
    shuffled = torch.cat([ball.faces, back])[torch.randperm(2 * len(back), generator=generator)]
    return ts.Mesh((ball.vertices.double() * bumps).to(dtype), shuffled)


def test_normals_that_cancel_are_no_rounding_noise(dtype):
    for kind in (torch.float32, dtype):
        mesh = double_sided(kind)
        vertices = mesh.vertices.clone().requires_grad_()
        normals = ts.vertex_normals(mesh.with_vertices(vertices))
        assert torch.equal(normals, torch.zeros_like(normals))
        (gradient,) = torch.autograd.grad(normals.sum(), vertices)
        assert torch.equal(gradient, torch.zeros_like(gradient))
        assert float(ts.face_normals(mesh).norm(dim=-1).min()) > 0.999


@pytest.mark.parametrize("shading", [ts.Shading.GOURAUD, ts.Shading.PHONG])
def test_what_has_two_sides_and_one_normal_is_lit_by_ambient_light_alone(shading, dtype):
    mesh = double_sided(dtype)
    camera = ts.Camera.look_at((0.0, 0.5, 3.0), image_size=(12, 14), dtype=dtype)
    lights = [ts.AmbientLight(0.25), ts.DirectionalLight((0.0, 0.3, 1.0), 1.0)]
    image = ts.SoftRasterizer()(mesh, camera, lighting=ts.Lighting(lights, shading, specular=0.5))
    expected = 0.25 * image.alpha[..., None].expand_as(image.color)
    assert_close(image.color, expected, 1e-6, "colour of a double-sided mesh")


def test_normals_of_an_image_that_cancel_are_no_rounding_noise(dtype):
    # Each side has vertices, hence normals, of its own; a pixel sees both at one depth.
    for kind in (torch.float32, dtype):
        both = double_sided(kind)
        ball = ts.shapes.icosphere(2).faces
        apart = torch.cat([ball, ball[:, [1, 0, 2]] + both.num_vertices])
        mesh = ts.Mesh(both.vertices.repeat(2, 1), apart)
        camera = ts.Camera.look_at((0.0, 0.5, 3.0), image_size=(12, 14), dtype=kind)
        image = ts.SoftRasterizer()(mesh, camera, normals=True)
        assert float(image.alpha.max()) > 0.9
        assert torch.equal(image.normals, torch.zeros_like(image.normals))


@pytest.mark.parametrize("angle", [1e-3, 1e-2])
def test_faces_that_nearly_cancel_still_have_their_normal(angle):
    # Two faces folded back to back: what is left of their sum lies across the fold.
    tip = [np.cos(angle), np.sin(angle), 0.3]
    corners = torch.tensor([[0, 0, 0], [0, 0, 1], [1, 0, 0.3], tip], dtype=torch.float64)
    mesh = ts.Mesh(corners.float(), torch.tensor([[0, 1, 2], [1, 0, 3]]))
    exact = corners.float().double().numpy()
    total = np.cross(exact[1], exact[2]) + np.cross(exact[0] - exact[1], exact[3] - exact[1])
    expected = torch.from_numpy(total / np.linalg.norm(total))
    assert_close(ts.vertex_normals(mesh)[0].double(), expected, 1e-6 / angle, "normal")


@pytest.mark.parametrize("size", [1.0, 1e-18, 1e18])
def test_degenerate_faces_have_no_normal_and_no_gradient(size, dtype):
    corners = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0], [5, 5, 5]], dtype=dtype)
    vertices = (size * corners).requires_grad_()
    # A whole face, a repeated index, a line, and a vertex without a face.
    mesh = ts.Mesh(vertices, torch.tensor([[0, 1, 2], [0, 0, 1], [0, 1, 3]]))
    faces, points = ts.face_normals(mesh), ts.vertex_normals(mesh)
    up = torch.tensor([0.0, 0, 1], dtype=dtype)
    assert torch.equal(faces.detach(), torch.stack([up, 0 * up, 0 * up]))
    assert torch.equal(points.detach(), torch.stack([up, up, up, 0 * up, 0 * up]))
    gradient = torch.autograd.grad(faces.sum() + points.sum(), vertices)[0]
    assert bool(gradient.isfinite().all())
    assert float(gradient[4].abs().max()) == 0


@pytest.mark.cpu_only
def test_gradients_of_normals():
    vertices = scene(2, (5, 5)).leaves["vertices"].clone().requires_grad_()
    for normals in (ts.face_normals, ts.vertex_normals):

        def of_vertices(v, normals=normals):
            return normals(ts.Mesh(v, FACES))

        assert gradcheck(of_vertices, vertices)
        assert gradgradcheck(of_vertices, vertices)


def phong(lights: dict, base, position, normal, eye):
    """Colour of a point after Phong, in NumPy."""
    color = base * lights["ambient"]
    to_eye = (eye - position) / np.linalg.norm(eye - position)
    toward = lights["position"] - position
    for vector, light in ((lights["direction"], 0.5), (toward, lights["color"])):
        unit = vector / np.linalg.norm(vector)
        cosine = normal @ unit
        if cosine > 0:
            mirrored = 2 * cosine * normal - unit
            highlight = max(mirrored @ to_eye, 0) ** lights["shininess"]
            color = color + base * light * cosine + lights["specular"] * light * highlight
    return color


@pytest.mark.parametrize("shading", ts.Shading)
def test_hard_image_is_that_of_phong_along_rays(shading, dtype):
    setup = scene(4, (13, 17))
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    lit = ts.SoftRasterizer.hard()(mesh, camera, lighting=lighting_of(x, shading))
    image = lit.color[0].double().numpy()
    lights = {name: leaf.squeeze(0).numpy() for name, leaf in setup.leaves.items()}
    exact = camera.to(dtype=torch.float64)
    position, colors, faces = lights["vertices"], lights["colors"], FACES.numpy()
    view = position[faces] @ exact.rotation[0].numpy().T + exact.translation[0].numpy()
    areas = np.cross(*(position[faces[:, k]] - position[faces[:, 0]] for k in (1, 2)))
    flat = areas / np.linalg.norm(areas, axis=1, keepdims=True)
    smooth = np.zeros_like(position)
    np.add.at(smooth, faces.reshape(-1), areas.repeat(3, axis=0))
    smooth /= np.linalg.norm(smooth, axis=1, keepdims=True)
    seen = 0
    for row, column in np.ndindex(image.shape[:2]):
        met, _, weights = hits(view, *rays(exact, row, column))
        if not len(met):
            continue
        face, at, seen = met[0], weights[0], seen + 1
        corners, eye = faces[face], lights["eye"]
        base = at @ colors[corners]
        if shading is ts.Shading.FLAT:
            expected = phong(lights, base, position[corners].mean(0), flat[face], eye)
        elif shading is ts.Shading.GOURAUD:
            expected = at @ np.stack(
                [phong(lights, colors[v], position[v], smooth[v], eye) for v in corners]
            )
        else:
            normal = at @ smooth[corners]
            normal /= np.linalg.norm(normal)
            expected = phong(lights, base, at @ position[corners], normal, eye)
        allowed = 1e-9 if dtype == torch.float64 else 1e-3
        np.testing.assert_allclose(image[row, column], expected, atol=allowed)
    assert seen > 50


def leaves_of(name: str, textured: bool, x: dict) -> dict:
    """Return the leaves that a picture depends on."""
    unused = {"colors"} if textured else {"texture", "uv"}
    return {n: leaf for n, leaf in x.items() if n not in unused}


@pytest.mark.parametrize("textured", TEXTURED)
@pytest.mark.parametrize("shading", ts.Shading)
def test_images_and_gradients_are_those_of_the_dense_twin(shading, textured, dtype, tolerance):
    setup = scene(7, (6, 9), views=2)
    renderer = soft(scale=1.3)
    results = []
    for kind in (dtype, torch.float64):
        x = {name: leaf.to(kind).requires_grad_() for name, leaf in setup.leaves.items()}
        arguments = (*setup.build(x), texture_of(x) if textured else None)
        options = {"lighting": lighting_of(x, shading), "normals": True}
        if not results:
            image = renderer(*arguments, **options)
        else:
            image = reference.render(renderer, *arguments, **options, tabulated=True)
        generator = torch.Generator().manual_seed(1)
        parts = (image.alpha, image.color, image.normals * image.alpha.detach().unsqueeze(-1))
        loss = sum((part * normal_like(part, generator).to(part)).sum() for part in parts)
        wanted = {**leaves_of(shading, textured, x), **dict(renderer.named_parameters())}
        gradients = torch.autograd.grad(loss, list(wanted.values()))
        results.append((parts, dict(zip(wanted, gradients, strict=True))))
    for found, expected in zip(*(parts for parts, _ in results), strict=True):
        assert_close(found.detach(), expected.detach(), tolerance.value, "lit image")
    for name, expected in results[1][1].items():
        assert float(expected.abs().max()) > 1e-6
        assert_close(results[0][1][name], expected, tolerance.gradient, f"gradient of {name}")


@pytest.mark.cpu_only
@pytest.mark.parametrize("textured", TEXTURED)
@pytest.mark.parametrize("shading", ts.Shading)
def test_finite_differences(shading, textured):
    setup = scene(9, (4, 5))
    renderer = soft(scale=1.4).requires_grad_(False)
    leaves = leaves_of(shading, textured, setup.leaves)

    def render(*values):
        x = {**setup.leaves, **dict(zip(leaves, values, strict=True))}
        return renderer(
            *setup.build(x), texture_of(x) if textured else None, lighting=lighting_of(x, shading)
        ).color

    values = tuple(leaf.clone().requires_grad_() for leaf in leaves.values())
    assert gradcheck(render, values, fast_mode=True)
    if textured and shading is ts.Shading.PHONG:
        assert gradgradcheck(render, values, fast_mode=True)


@pytest.mark.parametrize("shading", ts.Shading)
def test_ambient_light_alone_shows_the_colours(shading, dtype, tolerance):
    setup = scene(3, (9, 11))
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    renderer = soft()
    lit = renderer(*setup.build(x), lighting=ts.Lighting([ts.AmbientLight()], shading)).color
    plain = renderer(*setup.build(x)).color
    assert_close(lit.detach(), plain.detach(), tolerance.value, "lit by ambient light")


@pytest.mark.parametrize("shading", ts.Shading)
def test_a_batch_of_different_meshes_is_lit(shading, dtype, tolerance):
    cube = ts.shapes.cube().to(dtype=dtype)
    other = tetrahedron().to(dtype=dtype)
    colors = uniform(torch.Generator().manual_seed(1), 2, 3).to(dtype)
    camera = ts.Camera.look_at((1.0, 2, 3), image_size=(7, 8), dtype=dtype)
    renderer = soft()
    together = renderer(
        [cube, other], camera, lighting=ts.Lighting([ts.DirectionalLight(color=colors)], shading)
    ).color
    for index, mesh in enumerate((cube, other)):
        lighting = ts.Lighting([ts.DirectionalLight(color=colors[index])], shading)
        alone = renderer(mesh, camera, lighting=lighting).color[0]
        assert_close(together[index].detach(), alone.detach(), tolerance.value, "lit")


@pytest.mark.parametrize("shading", ts.Shading)
def test_an_orthographic_highlight_is_where_it_should_be(shading, dtype):
    # A wall that faces the camera, light from the camera: mirrored to it everywhere.
    corners = torch.tensor([[-9.0, -9, 0], [9, -9, 0], [0, 9, 0]], dtype=dtype)
    camera = ts.Camera.orthographic((0.0, 0, 3), image_size=(4, 4), dtype=dtype)
    lighting = ts.Lighting([ts.DirectionalLight((0, 0, 7))], shading, specular=0.5, shininess=3)
    color = ts.SoftRasterizer.hard()(
        ts.Mesh(corners, torch.tensor([[0, 1, 2]])), camera, lighting=lighting
    ).color
    torch.testing.assert_close(color, torch.full_like(color, 1.5))


def test_degenerate_faces_are_lit_without_nan(dtype):
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 0, 0]], dtype=dtype)
    mesh = ts.Mesh(vertices.requires_grad_(), torch.tensor([[0, 1, 2], [0, 1, 3], [0, 0, 1]]))
    camera = ts.Camera.look_at((0.2, 0.2, 2), image_size=(6, 6), dtype=dtype)
    # The light is in the surface, on a vertex.
    lights = [ts.PointLight((0.0, 0, 0)), ts.PointLight((0.0, 0, 1))]
    for shading in ts.Shading:
        lighting = ts.Lighting(lights, shading, specular=1.0)
        image = soft()(mesh, camera, lighting=lighting, normals=True)
        loss = image.color.sum() + image.normals.sum()
        assert bool(image.color.isfinite().all())
        assert bool(torch.autograd.grad(loss, vertices)[0].isfinite().all())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ts.AmbientLight("red"), TypeError, "color must be a tensor or numbers"),
        (lambda: ts.AmbientLight(torch.zeros(1, 2, 3)), ValueError, "color must have shape"),
        (lambda: ts.DirectionalLight((0, 0, 0)), ValueError, "direction must not be the zero"),
        (lambda: ts.DirectionalLight((0, 1)), ValueError, r"direction must have shape \(3,\)"),
        (lambda: ts.PointLight((0, float("inf"), 0)), ValueError, "position must be finite"),
        (lambda: ts.Lighting(ts.AmbientLight()), TypeError, "lights must be a tuple or list"),
        (lambda: ts.Lighting(["sun"]), TypeError, r"lights\[0\] must be a Light, got str"),
        (lambda: ts.Lighting([], "flat"), TypeError, "shading must be a Shading"),
        (lambda: ts.Lighting([], shininess=0), ValueError, "shininess must be positive"),
        (
            lambda: ts.Lighting([ts.AmbientLight((1, 1))], specular=(1, 1, 1)),
            ValueError,
            "one number of channels",
        ),
    ],
)
def test_bad_lights(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_lights_that_do_not_fit_the_scene():
    setup = scene(6, (5, 5), views=2)
    x = {name: leaf.float() for name, leaf in setup.leaves.items()}
    renderer = ts.SoftRasterizer()
    with pytest.raises(ValueError, match="1 channel or the 3 of the colours, got 2"):
        renderer(*setup.build(x), lighting=ts.Lighting([ts.AmbientLight((1, 1))]))
    with pytest.raises(ValueError, match=r"batch sizes must be equal or 1.*lighting has 3"):
        renderer(*setup.build(x), lighting=ts.Lighting([ts.AmbientLight(torch.ones(3, 3))]))
    with pytest.raises(TypeError, match="lighting must be a Lighting"):
        renderer(*setup.build(x), lighting=ts.AmbientLight())
