"""Renders with opacity: closed forms of layers, finite differences, and what must not change."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import assert_close, pixel_camera, uniform, views_setup
from tests.zoo.appearance import lighting_of, scene, texture_of

SIZE = (12, 16)
# A pixel centre that is deep inside a `card`, and one that no card reaches.
INSIDE, OUTSIDE = (0, 6, 5), (0, 6, 15)
# What tables add to the rounding of alpha in either type.
TABLES = 2.5e-7


def layered(scale: float = 0.7, **options) -> ts.SoftRasterizer:
    """Return a renderer in which a face hides what is behind it, however near that is."""
    return ts.SoftRasterizer(
        ts.Gaussian(scale), occlusion=ts.FrontToBack(ts.Heaviside()), **options
    )


def card(depth: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the corners of a large triangle that faces the camera of the image."""
    return torch.tensor([[-40.0, 6, depth], [11, -60, depth], [11.5, 70, depth]], dtype=dtype)


def cards(depths: list[float], colors: Tensor, **look) -> ts.Mesh:
    """Return cards at depths, each of one colour, (F, C)."""
    corners = torch.cat([card(depth, colors.dtype) for depth in depths])
    faces = torch.arange(len(corners)).reshape(-1, 3)
    return ts.Mesh(corners, faces, face_colors=colors, **look)


def two_cards(opacity: Tensor) -> ts.Mesh:
    """Return a card with an opacity in front of an opaque one."""
    colors = torch.tensor([[1.0, 0.5, 0], [0, 0.25, 1]], dtype=opacity.dtype)
    return cards([2.0, 5.0], colors, face_opacity=torch.stack([opacity, torch.ones_like(opacity)]))


def small_cards(seed: int, count: int) -> tuple[ts.Mesh, Tensor]:
    """Return triangles that face the camera, at depths of their own, and an opacity for each."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([SIZE[1], SIZE[0], 0], dtype=torch.float64)
    centres = uniform(generator, count, 1, 3) * size
    corners = centres + uniform(generator, count, 3, 3, low=-7, high=7)
    corners[..., 2] = 1 + torch.randperm(count, generator=generator).double()[:, None]
    colors = uniform(generator, count, 3)
    faces = torch.arange(3 * count).reshape(-1, 3)
    mesh = ts.Mesh(corners.reshape(-1, 3), faces, face_colors=colors)
    return mesh, uniform(generator, count)


def test_a_half_transparent_card_before_a_wall(dtype):
    opacity = torch.tensor(0.375, dtype=dtype)
    mesh = two_cards(opacity)
    image = layered()(mesh, pixel_camera(*SIZE, dtype))
    front, back = mesh.face_colors
    torch.testing.assert_close(image.alpha[INSIDE].item(), 1.0, rtol=0, atol=1e-5)
    expected = opacity * front + (1 - opacity) * back
    torch.testing.assert_close(image.color[INSIDE], expected, rtol=1e-5, atol=1e-5)
    depth = opacity * 2 + (1 - opacity) * 5
    torch.testing.assert_close(image.depth[INSIDE], depth, rtol=1e-5, atol=1e-5)


def test_a_half_transparent_card_before_the_background(dtype):
    colors = torch.tensor([[1.0, 0.5, 0]], dtype=dtype)
    mesh = cards([3.0], colors, face_opacity=torch.tensor([0.375], dtype=dtype))
    renderer = layered(background=0.25)
    image = renderer(mesh, pixel_camera(*SIZE, dtype))
    torch.testing.assert_close(image.alpha[INSIDE].item(), 0.375, rtol=1e-5, atol=1e-5)
    expected = 0.375 * colors[0] + (1 - 0.375) * 0.25
    torch.testing.assert_close(image.color[INSIDE], expected, rtol=1e-5, atol=1e-5)
    rgba = torch.cat([colors[0], colors.new_tensor([0.375])])
    torch.testing.assert_close(image.rgba()[INSIDE], rgba, rtol=1e-5, atol=1e-5)
    assert not bool(image.rgba()[OUTSIDE].any())
    # Straight colours are the same at the edge.
    seen = image.alpha > 1e-3
    rgb = image.rgba()[..., :3][seen]
    torch.testing.assert_close(rgb, colors.expand_as(rgb), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", [1, 2])
def test_layers_are_composited_front_to_back(seed, dtype, tolerance):
    # The coverage of each face comes from a silhouette of it alone, which knows no opacity.
    mesh, opacity = small_cards(seed, 9)
    mesh, opacity = mesh.to(dtype=dtype), opacity.to(dtype)
    camera, renderer = pixel_camera(*SIZE, dtype), layered(1.1)
    image = renderer(mesh, camera, opacity=opacity)
    left = torch.ones(1, *SIZE, dtype=dtype)
    color, depth = left.new_zeros(1, *SIZE, 3), torch.zeros_like(left)
    distances = mesh.vertices[mesh.faces[:, 0], 2]
    for face in distances.argsort().tolist():
        alone = replace(mesh, faces=mesh.faces[[face]], face_colors=None)
        weight = left * opacity[face] * renderer.silhouette(alone, camera)
        color = color + weight[..., None] * mesh.face_colors[face]
        depth = depth + weight * distances[face]
        left = left - weight
    allowed = tolerance.value + TABLES
    assert_close(image.alpha, 1 - left, allowed, "alpha of layers")
    assert_close(image.color, color, allowed, "colour of layers")
    assert_close(image.depth * image.alpha, depth, allowed, "depth of layers")


@pytest.mark.parametrize(
    ("aggregation", "combine"),
    [
        (ts.Einstein(), lambda a, b: (a + b) / (1 + a * b)),
        (ts.Hamacher(0.5), lambda a, b: (a + b - 1.5 * a * b) / (1 - 0.5 * a * b)),
        (ts.Max(), torch.maximum),
    ],
    ids=["einstein", "hamacher", "max"],
)
def test_alpha_is_the_t_conorm_of_coverage_times_opacity(aggregation, combine, dtype, tolerance):
    mesh, opacity = small_cards(3, 7)
    mesh, opacity = mesh.to(dtype=dtype), opacity.to(dtype)
    camera, renderer = pixel_camera(*SIZE, dtype), layered(1.1)
    each = [
        renderer.silhouette(replace(mesh, faces=mesh.faces[[face]], face_colors=None), camera)
        for face in range(7)
    ]
    renderer.aggregation = aggregation
    covers = torch.stack(each) * opacity[:, None, None, None]
    found = renderer.silhouette(mesh, camera, opacity=opacity)
    assert_close(found, reduce(combine, covers), tolerance.value + TABLES, "alpha")


def test_an_x_ray(dtype):
    count = 40
    grey = torch.ones(count, 1, dtype=dtype)
    mesh = cards([1.0 + k for k in range(count)], grey)
    camera = pixel_camera(*SIZE, dtype)
    for opacity in (0.02, 0.1):
        alpha = layered().silhouette(mesh, camera, opacity=opacity)[INSIDE].item()
        assert abs(alpha - (1 - (1 - opacity) ** count)) < 1e-5
    # A beam that passes a ball passes two of its walls, wherever it does.
    ball = ts.shapes.icosphere(2).to(dtype=dtype)
    camera = ts.Camera.look_at((0.1, 0.2, 4), image_size=(25, 25), dtype=dtype)
    renderer = ts.SoftRasterizer(ts.Heaviside(), occlusion=ts.FrontToBack(ts.Heaviside()))
    covered = renderer.silhouette(ball, camera) > 0
    alpha = renderer.silhouette(ball, camera, opacity=0.25)
    expected = torch.where(covered, 1 - 0.75**2, 0.0).to(dtype)
    torch.testing.assert_close(alpha, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", [ts.Heaviside, ts.Logistic])
def test_no_opacity_draws_nothing(order, dtype, tolerance):
    mesh, _ = small_cards(4, 8)
    mesh = mesh.to(dtype=dtype)
    camera = pixel_camera(*SIZE, dtype)
    renderer = ts.SoftRasterizer(
        ts.Gaussian(1.0), occlusion=ts.FrontToBack(order(), 0.5), background=0.25
    )
    gone = torch.tensor([0.0, 1, 0, 1, 1, 0, 1, 0], dtype=dtype)
    left = gone > 0
    rest = replace(mesh, faces=mesh.faces[left], face_colors=mesh.face_colors[left])
    found, expected = renderer(mesh, camera, opacity=gone), renderer(rest, camera)
    for name in ("alpha", "depth", "color"):
        assert_close(
            getattr(found, name).detach(),
            getattr(expected, name).detach(),
            tolerance.value + TABLES,
            name,
        )
    nothing = renderer(mesh, camera, opacity=0.0)
    assert not bool(nothing.alpha.any())
    assert not bool(nothing.depth.any())
    torch.testing.assert_close(nothing.color, torch.full_like(nothing.color, 0.25))


@pytest.mark.parametrize("textured", [False, True])
@pytest.mark.parametrize("shading", [None, ts.Shading.FLAT, ts.Shading.PHONG])
def test_full_opacity_is_none(shading, textured, dtype):
    setup = scene(5, (9, 11), views=2)
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    texture = texture_of(x) if textured else None
    lighting = None if shading is None else lighting_of(x, shading)
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0), occlusion=ts.FrontToBack())
    options = {"lighting": lighting, "normals": True, "face_ids": True}
    plain = renderer(mesh, camera, texture, **options)
    opaque = [{"opacity": 1.0}, {"opacity": torch.ones(2, 7, dtype=dtype)}]
    for given in opaque:
        found = renderer(mesh, camera, texture, **options, **given)
        for name in ("alpha", "color", "normals", "face_ids"):
            one, other = getattr(found, name), getattr(plain, name)
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(
            found.depth * found.alpha, plain.depth * plain.alpha, rtol=1e-6, atol=1e-6
        )
        found = renderer.silhouette(mesh, camera, **given)
        torch.testing.assert_close(found, plain.alpha, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ssaa", [1, 2])
def test_a_silhouette_is_the_alpha_of_an_image(ssaa, dtype):
    setup = views_setup(2, SIZE, views=2)
    mesh, camera = setup.build({name: x.to(dtype) for name, x in setup.leaves.items()})
    generator = torch.Generator().manual_seed(4)
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0), occlusion=ts.FrontToBack(), ssaa=ssaa)
    for rows in (mesh.num_vertices, mesh.num_faces):
        for batch in ((), (2,)):
            opacity = uniform(generator, *batch, rows).to(dtype)
            image = renderer(mesh, camera, opacity=opacity)
            alpha = renderer.silhouette(mesh, camera, opacity=opacity)
            assert torch.equal(alpha, image.alpha)
            own = "vertex_opacity" if rows == mesh.num_vertices else "face_opacity"
            has_it = replace(mesh, **{own: opacity})
            assert torch.equal(renderer.silhouette(has_it, camera), alpha)
            assert torch.equal(renderer(has_it, camera).alpha, alpha)
            # What is given takes the place of the mesh's own.
            opaque = renderer.silhouette(has_it, camera, opacity=1.0)
            torch.testing.assert_close(opaque, renderer.silhouette(mesh, camera))


def test_opacity_is_interpolated_as_a_colour_is(dtype):
    # A large card, seen at an angle: alpha of the one is what the other shows.
    corners = torch.tensor([[-9.0, -9, 0], [9, -9, -4], [0, 9, 3]], dtype=dtype)
    opacity = torch.tensor([0.1, 0.9, 0.4], dtype=dtype)
    camera = ts.Camera.look_at((0.5, 0.3, 6), fov=30, image_size=SIZE, dtype=dtype)
    mesh = ts.Mesh(corners, torch.tensor([[0, 1, 2]]), opacity[:, None])
    shown = layered()(mesh, camera).color[..., 0]
    alpha = layered().silhouette(mesh.with_vertex_opacity(opacity), camera)
    torch.testing.assert_close(alpha, shown, rtol=1e-4, atol=1e-4)
    assert float(shown.max() - shown.min()) > 0.1


def test_a_mesh_fades_in(dtype):
    setup = views_setup(6, SIZE)
    mesh, camera = setup.build({name: x.to(dtype) for name, x in setup.leaves.items()})
    renderer = layered(0.4, culling=ts.Culling.BACK)
    whole = renderer.silhouette(mesh, camera)
    steps = [0.0, 0.25, 0.5, 0.75, 1.0]
    faded = [renderer.silhouette(mesh, camera, opacity=step) for step in steps]
    for one, other in pairwise(faded):
        assert bool((other >= one - 1e-6).all())
    assert not bool(faded[0].any())
    torch.testing.assert_close(faded[-1], whole, rtol=1e-6, atol=1e-6)
    number = torch.tensor(0.5, dtype=dtype, requires_grad=True)
    renderer.silhouette(mesh, camera, opacity=number).sum().backward()
    assert float(number.grad) > 0


def test_light_leaves_opacity_alone(dtype, tolerance):
    setup = scene(8, SIZE)
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    opacity = uniform(torch.Generator().manual_seed(3), 7).to(dtype)
    renderer = layered(1.0)
    plain = renderer(mesh, camera, opacity=opacity)
    for shading in ts.Shading:
        lit = renderer(mesh, camera, lighting=lighting_of(x, shading), opacity=opacity)
        assert_close(lit.alpha, plain.alpha, tolerance.value, "alpha of what is lit")
    assert_close(
        renderer(mesh, camera, texture_of(x), opacity=opacity).alpha,
        plain.alpha,
        tolerance.value,
        "alpha of a texture",
    )


def test_texels_have_an_opacity_that_that_of_the_mesh_is_multiplied_with(dtype, tolerance):
    setup = scene(9, SIZE)
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    flat = torch.full((3, 5), 0.5, dtype=dtype)
    texture = replace(texture_of(x), opacity=flat)
    renderer = layered(1.0)
    for own in (1.0, 0.5):
        found = renderer(mesh, camera, texture, opacity=own)
        expected = renderer(mesh, camera, texture_of(x), opacity=0.5 * own)
        assert_close(found.alpha, expected.alpha, tolerance.value, "alpha of texels")
        assert_close(found.color, expected.color, 10 * tolerance.value, "colour of texels")
    # A cut-out: texels without opacity are not there.
    holes = replace(texture, opacity=torch.zeros_like(flat))
    assert not bool(renderer(mesh, camera, holes).alpha.any())


def test_different_meshes_with_and_without_opacity(dtype):
    mesh, opacity = small_cards(5, 4)
    glass = mesh.to(dtype=dtype).with_face_opacity(opacity.to(dtype))
    other = small_cards(6, 3)[0].to(dtype=dtype)
    camera, renderer = pixel_camera(*SIZE, dtype), layered(1.0)
    image = renderer([glass, other], camera)
    for index, one in enumerate((glass, other)):
        alone = renderer(one, camera)
        for name in ("alpha", "color"):
            torch.testing.assert_close(
                getattr(image, name)[index], getattr(alone, name)[0], rtol=1e-5, atol=1e-5
            )
    assert torch.equal(renderer.silhouette([glass, other], camera), image.alpha)


@pytest.mark.cpu_only
def test_a_deterministic_image_does_not_depend_on_the_order_of_faces_with_opacity():
    mesh, opacity = small_cards(7, 8)
    camera, renderer = pixel_camera(*SIZE, torch.float32), layered(1.0, deterministic=True)
    mesh, opacity = mesh.to(dtype=torch.float32), opacity.float()
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    permuted = ts.Mesh(mesh.vertices, mesh.faces[order], face_colors=mesh.face_colors[order])
    one = renderer(mesh, camera, opacity=opacity)
    other = renderer(permuted, camera, opacity=opacity[order])
    for name in ("alpha", "depth", "color"):
        assert torch.equal(getattr(one, name), getattr(other, name))


@pytest.mark.cpu_only
@pytest.mark.parametrize("kind", ["number", "vertex", "face"])
def test_derivatives_with_respect_to_opacity(kind):
    mesh, _ = small_cards(8, 4)
    camera = pixel_camera(5, 6)
    mesh = mesh.with_vertices(mesh.vertices * torch.tensor([0.4, 0.4, 1.0], dtype=torch.float64))
    renderer = ts.SoftRasterizer(ts.Gaussian(1.2), occlusion=ts.FrontToBack(ts.Logistic(), 2.0))
    rows = {"number": (), "vertex": (12,), "face": (4,)}[kind]
    # A step away it is still in [0, 1].
    opacity = uniform(torch.Generator().manual_seed(2), *rows, low=0.1, high=0.9)
    leaves = (opacity.requires_grad_(), mesh.vertices.clone().requires_grad_())

    def render(o, v):
        image = renderer(mesh.with_vertices(v), camera, opacity=o)
        return image.alpha, image.color, image.alpha * image.depth

    assert gradcheck(render, leaves, fast_mode=True)
    assert gradgradcheck(render, leaves, fast_mode=True)

    def alpha(o, v):
        return renderer.silhouette(mesh.with_vertices(v), camera, opacity=o)

    assert gradcheck(alpha, leaves, fast_mode=True)


@pytest.mark.cpu_only
@pytest.mark.parametrize("shading", [None, ts.Shading.PHONG])
def test_derivatives_with_respect_to_the_opacity_of_texels(shading):
    setup = scene(11, (4, 5))
    renderer = ts.SoftRasterizer(ts.Gaussian(1.4), occlusion=ts.FrontToBack(ts.Logistic(), 0.5))
    lighting = None if shading is None else lighting_of(setup.leaves, shading)
    mesh, camera = setup.build(setup.leaves)
    generator = torch.Generator().manual_seed(6)
    texels = uniform(generator, 3, 5, low=0.1, high=0.9).requires_grad_()
    own = uniform(generator, 3, low=0.1, high=0.9).requires_grad_()

    def render(through, of_faces):
        texture = replace(texture_of(setup.leaves), opacity=through)
        image = renderer(mesh, camera, texture, lighting=lighting, opacity=of_faces)
        return image.alpha, image.color

    assert gradcheck(render, (texels, own), fast_mode=True)


@pytest.mark.cpu_only
def test_the_gradient_with_respect_to_no_opacity_is_that_of_appearing():
    # Of 1 - (1 - o D) at o = 0, with nothing else there: D.
    mesh, _ = small_cards(9, 1)
    camera, renderer = pixel_camera(*SIZE), layered(1.0)
    coverage = renderer.silhouette(mesh, camera)
    number = torch.zeros((), dtype=torch.float64, requires_grad=True)
    alpha = renderer.silhouette(mesh, camera, opacity=number)
    weights = torch.linspace(-1, 2, SIZE[0] * SIZE[1], dtype=torch.float64).reshape(1, *SIZE)
    (gradient,) = torch.autograd.grad((weights * alpha).sum(), number)
    torch.testing.assert_close(gradient, (weights * coverage).sum())


@pytest.mark.cpu_only
def test_opacity_agrees_with_the_dense_twin():
    setup = scene(12, (7, 9), views=2)
    mesh, camera = setup.build(setup.leaves)
    opacity = uniform(torch.Generator().manual_seed(1), 2, 7)
    renderer = ts.SoftRasterizer(ts.Gaussian(1.2), occlusion=ts.FrontToBack(ts.Logistic(), 0.5))
    texture = replace(texture_of(setup.leaves), opacity=uniform(torch.Generator(), 3, 5))
    for colors in (None, texture):
        options = {"lighting": lighting_of(setup.leaves, ts.Shading.PHONG), "opacity": opacity}
        found = renderer(mesh, camera, colors, normals=True, **options)
        twin = reference.render(
            renderer, mesh, camera, colors, normals=True, tabulated=True, **options
        )
        for name in ("alpha", "color"):
            assert_close(getattr(found, name), getattr(twin, name), 1e-10, name)
    found = renderer.silhouette(mesh, camera, opacity=opacity)
    twin = reference.silhouette(renderer, mesh, camera, opacity=opacity, tabulated=True)
    assert_close(found, twin, 1e-10, "silhouette")


@pytest.mark.cpu_only
def test_transforms_reach_opacity():
    mesh, opacity = small_cards(10, 5)
    camera, renderer = pixel_camera(*SIZE), layered(1.0)
    weights = torch.linspace(0, 1, SIZE[0] * SIZE[1], dtype=torch.float64).reshape(*SIZE)

    def loss(o: Tensor) -> Tensor:
        image = renderer(mesh, camera, opacity=o)
        return (weights * (image.alpha + image.color.sum(-1))).sum()

    def covered(o: Tensor) -> Tensor:
        return (weights * renderer.silhouette(mesh, camera, opacity=o)).sum()

    several = torch.stack([opacity, 1 - opacity])
    for function in (loss, covered):
        leaf = opacity.clone().requires_grad_()
        (expected,) = torch.autograd.grad(function(leaf), leaf)
        torch.testing.assert_close(torch.func.grad(function)(opacity), expected)
        one_by_one = torch.stack([function(o) for o in several])
        torch.testing.assert_close(torch.func.vmap(function)(several), one_by_one)
        each = torch.stack([torch.func.grad(function)(o) for o in several])
        together = torch.func.vmap(torch.func.grad(function))(several)
        torch.testing.assert_close(together, each)
    numbers = torch.tensor([0.25, 0.5], dtype=torch.float64)
    one_by_one = torch.stack([covered(o) for o in numbers])
    torch.testing.assert_close(torch.func.vmap(covered)(numbers), one_by_one)


def test_bad_opacity_of_a_render(dtype):
    mesh, _ = small_cards(1, 2)
    mesh, camera = mesh.to(dtype=dtype), pixel_camera(*SIZE, dtype)
    for draw in (layered(), layered().silhouette):
        with pytest.raises(ValueError, match=r"opacity must be in \[0, 1\], got 1.5"):
            draw(mesh, camera, opacity=1.5)
        with pytest.raises(ValueError, match="opacity must be one number or have shape"):
            draw(mesh, camera, opacity=torch.ones(3, dtype=dtype))
        with pytest.raises(TypeError, match="opacity must be a number, got str"):
            draw(mesh, camera, opacity="half")
