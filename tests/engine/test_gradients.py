"""Gradients of whole renders: against finite differences, at hard spots, and what they can recover."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import (
    AGGREGATIONS,
    Setup,
    assert_close,
    normal_like,
    pixel_camera,
    soft,
    soup_setup,
    views_setup,
)
from tests.zoo.renderers import EVERY, LAYOUTS, LEARNED

SMALL = (5, 6)
EXACT = {"eps": 1e-6, "atol": 2e-6, "rtol": 1e-5, "nondet_tol": 0.0}
# Relative, of a gradient as small as 1e-6; the float64 one is the error of tabulation.
SATURATED = {torch.float64: 1e-4, torch.float32: 1e-4}


def contractions(setup: Setup, renderer: ts.SoftRasterizer, render=None):
    """Two random contractions of the images as a function of all leaves and parameters, and a point.

    Contracted, because the kernels are linear in the cotangent: two random ones check the Jacobian.
    """
    names = list(setup.leaves)
    parameters = dict(renderer.named_parameters())
    points = [*setup.leaves.values(), *parameters.values()]

    def contracted(*values):
        softness = dict(zip(parameters, values[len(names) :], strict=True))
        arguments = setup.build(dict(zip(names, values, strict=False)))
        image = render(*arguments) if render else functional_call(renderer, softness, arguments)
        # Where a weight is tiny depth is ill-conditioned, in the engine as in finite differences.
        depth = image.depth * (image.alpha.detach() > 1e-2)
        images = torch.cat([image.alpha[..., None], depth[..., None], image.color], -1)
        cotangents = torch.randn(
            2, *images.shape, generator=torch.Generator().manual_seed(5), dtype=images.dtype
        )
        return (images * cotangents).flatten(1).sum(1)

    return contracted, [value.detach().clone().requires_grad_() for value in points]


@pytest.mark.cpu_only
@pytest.mark.parametrize("name", LAYOUTS)
def test_vertices_and_colours_against_finite_differences(name):
    # A wide scale spreads each face over the image; the seed keeps kinks off the pixel centres.
    setup = soup_setup(21, 2, SMALL, size=4.0)
    loss, points = contractions(setup, EVERY[name](scale=2.3, gamma=0.7))
    leaves, softness = points[: len(setup.leaves)], points[len(setup.leaves) :]
    assert gradcheck(lambda *x: loss(*x, *softness), leaves, **EXACT)


@pytest.mark.cpu_only
@pytest.mark.parametrize("name", sorted({*LAYOUTS, *LEARNED}))
def test_softness_against_finite_differences(name):
    setup = soup_setup(22, 3, SMALL, size=4.0)
    loss, points = contractions(setup, EVERY[name](scale=2.3, gamma=0.7))
    leaves, softness = points[: len(setup.leaves)], points[len(setup.leaves) :]
    leaves = [value.detach() for value in leaves]
    # Dozens of weights: random projections of the Jacobian instead of every column.
    many = sum(value.numel() for value in softness) > 8
    assert gradcheck(lambda *x: loss(*leaves, *x), softness, fast_mode=many, **EXACT)


@pytest.mark.cpu_only
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_cameras_against_finite_differences(aggregation):
    setup = views_setup(3, SMALL, views=2, subdivisions=0)
    loss, points = contractions(setup, soft(aggregation=aggregation, scale=0.9))
    assert gradcheck(loss, points, **{**EXACT, "atol": 2e-5})


@pytest.mark.cpu_only
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("coverage", ["gaussian", "logistic", "mlp"])
def test_twin_has_right_second_derivatives(coverage, aggregation):
    setup = soup_setup(21, 2, (3, 4), size=3.0)
    renderer = soft(coverage, aggregation, scale=2.0, gamma=0.7)

    def twin(*arguments):
        return reference.render(renderer, *arguments)

    loss, points = contractions(setup, renderer, twin)
    leaves, softness = points[: len(setup.leaves)], points[len(setup.leaves) :]
    fast = coverage == "mlp"
    assert gradgradcheck(
        lambda *x: loss(*x, *softness), leaves, atol=1e-5, rtol=1e-5, fast_mode=fast
    )


@pytest.mark.parametrize("renderer", ["engine", "twin"])
@pytest.mark.parametrize("direction", ["horizontal", "vertical"])
def test_mirrored_scene_has_the_mirrored_gradient(direction, renderer, dtype, tolerance):
    # An odd size: the mirror axis runs through pixel centres.
    image, axis = (15, 19), 0 if direction == "horizontal" else 1
    setup = soup_setup(12, 5, image)
    extent = image[1 - axis]
    cotangent = normal_like(torch.zeros(1, *image, 3), torch.Generator().manual_seed(1)).to(dtype)
    soft_renderer = soft()
    results = []
    for mirrored in (False, True):
        vertices = setup.leaves["vertices"][0].to(dtype).clone()
        weights = cotangent
        if mirrored:
            vertices[:, axis] = extent - vertices[:, axis]
            weights = cotangent.flip(2 - axis)
        vertices.requires_grad_()
        mesh = ts.Mesh(vertices, torch.arange(15).reshape(5, 3), setup.leaves["colors"].to(dtype))
        arguments = (mesh, pixel_camera(*image, dtype))
        picture = (
            soft_renderer(*arguments)
            if renderer == "engine"
            else reference.render(soft_renderer, *arguments)
        )
        loss = (picture.color * weights).sum() + (picture.alpha * weights[..., 0]).sum()
        (gradient,) = torch.autograd.grad(loss, vertices)
        results.append((picture.color.detach(), gradient))
    (color, gradient), (mirrored_color, mirrored_gradient) = results
    assert_close(mirrored_color.flip(2 - axis), color, tolerance.value, "mirrored colour")
    sign = torch.ones(3, dtype=dtype)
    sign[axis] = -1
    assert_close(mirrored_gradient * sign, gradient, tolerance.gradient, "mirrored gradient")


def saturated(render, dtype, depth: float, other: float) -> list[torch.Tensor]:
    """Return 1 - alpha, and gradients of alpha, at a pixel at two depths inside two big triangles."""
    first, second = (
        torch.tensor([[4.5 - x, -90 + x, 1], [4.5 - x, 99, 1], [200, 4.5, 1]], dtype=dtype)
        for x in (depth, other)
    )
    corners = [first.requires_grad_(), second.requires_grad_()]
    mesh = ts.Mesh(torch.cat(corners), torch.arange(6).reshape(2, 3))
    alpha = render(mesh, pixel_camera(9, 9, dtype)).alpha[0, 4, 4]
    return [1 - alpha.detach(), *torch.autograd.grad(alpha, corners)]


# 1 - D of the first face is 7e-3, 5e-5 and 2e-6; of both together, in the last case, 6e-9.
@pytest.mark.parametrize(("depth", "other"), [(5.0, -0.4), (10.0, -0.4), (13.0, -0.4), (13.0, 6.0)])
def test_saturated_face_keeps_its_gradient(depth, other, dtype):
    # All gradients are proportional to 1 - alpha, so computed from alpha in float32 they would be off
    # by 1e-5, 1e-3 and 3 %, and in the last case be nothing.
    renderer = ts.SoftRasterizer(ts.Logistic(1.0))

    def twin(*arguments):
        return reference.render(renderer, *arguments)

    clear, *exact = saturated(twin, torch.float64, depth, other)
    found, *gradients = saturated(renderer, dtype, depth, other)
    assert 0 < float(clear) < 1e-2
    assert abs(float(found - clear)) < 2e-7
    for gradient, expected in zip(gradients, exact, strict=True):
        largest = expected.abs().max()
        assert largest > 0
        assert_close(gradient.double() / largest, expected / largest, SATURATED[dtype], "gradient")


def test_max_gives_a_tie_to_the_lowest_index(dtype, tolerance):
    # Six triangles around a vertex: from outside, on the far side, all are tied at one point.
    angle = torch.arange(7, dtype=torch.float64) * torch.pi / 3
    ring = torch.stack([8.5 + 4 * angle.cos(), 8.5 + 4 * angle.sin(), torch.ones(7)], -1)
    corners = torch.stack(
        [torch.tensor([8.5, 8.5, 1.0]).double().expand(6, 3), ring[:-1], ring[1:]], 1
    )
    vertices = corners.to(dtype).reshape(-1, 3).requires_grad_()
    mesh = ts.Mesh(vertices, torch.arange(18).reshape(6, 3))
    alpha = soft("gaussian", "max")(mesh, pixel_camera(17, 17, dtype)).alpha[0, 8, 8]
    assert abs(float(alpha.detach()) - 0.5) < 1e-3
    (gradient,) = torch.autograd.grad(alpha, vertices)
    by_face = gradient.reshape(6, -1).abs().amax(1)
    assert by_face[0] > 0.1
    assert by_face[1:].max() == 0
    # All of it: the pixel is on the shared vertex, so moving it moves the distance one to one.
    slope = 1 / (2 * torch.pi) ** 0.5
    assert abs(float(gradient[:3, :2].sum(0).norm()) / slope - 1) < 1e-3


def test_colours_alone_move_vertices(dtype):
    # A textured square that fills the image: alpha is 1 everywhere and says nothing.
    size, shift = 24, torch.tensor([1.3, -0.8, 0.0], dtype=dtype)
    steps = torch.linspace(-12, 36, 13, dtype=dtype)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.stack([x, y, torch.ones_like(x)], -1).reshape(-1, 3)
    colors = torch.stack([(x / 9).sin(), (y / 7).cos(), ((x + y) / 11).sin()], -1).reshape(-1, 3)
    corner = (torch.arange(12)[:, None] * 13 + torch.arange(12)).reshape(-1, 1)
    faces = torch.cat([corner + torch.tensor([0, 14, 1]), corner + torch.tensor([0, 13, 14])])
    # This coverage is 1 from the boundary inwards, so that the inner edges do not show either.
    camera, renderer = pixel_camera(size, size, dtype), soft("exponential_reversed", scale=0.3)
    with torch.no_grad():
        target = renderer(ts.Mesh(grid + shift, faces, colors), camera)
    assert torch.equal(target.alpha, torch.ones_like(target.alpha))

    guess = torch.zeros(3, dtype=dtype, requires_grad=True)
    optimiser = torch.optim.Adam([guess], lr=0.2, betas=(0.5, 0.95))
    for step in range(50):
        optimiser.param_groups[0]["lr"] = 0.2 * 0.93**step
        optimiser.zero_grad()
        image = renderer(ts.Mesh(grid + guess * torch.tensor([1, 1, 0]), faces, colors), camera)
        (image.color - target.color).square().mean().backward()
        optimiser.step()
    assert float((guess.detach() - shift).abs().max()) < 0.02, f"recovered {guess.tolist()}"


def test_scale_gradient_is_summed_over_pixels_and_faces(dtype):
    setup = soup_setup(6, 5, (16, 16))
    renderer = soft("logistic", scale=1.7)
    arguments = setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})
    log_scale = renderer.coverage.scale.length.log_value
    (gradient,) = torch.autograd.grad(renderer(*arguments).alpha.sum(), log_scale)

    exact_arguments = setup.build(setup.leaves)
    sums = []
    with torch.no_grad():
        for step in (-1e-4, 1e-4):
            log_scale += step
            sums.append(reference.render(renderer, *exact_arguments).alpha.sum())
            log_scale -= step
    # With respect to the logarithm of the scale: the chain factor is in it.
    expected = (sums[1] - sums[0]) / 2e-4
    assert abs(float(gradient / expected) - 1) < 1e-4


def test_no_gradient_where_none_is_asked(dtype):
    setup = soup_setup(6, 5, (6, 7))
    with torch.no_grad():
        image = soft()(*setup.build({n: x.to(dtype) for n, x in setup.leaves.items()}))
    assert not image.alpha.requires_grad
    leaves = {n: x.to(dtype) for n, x in setup.leaves.items()}
    leaves["colors"].requires_grad_()
    fixed = ts.SoftRasterizer()
    fixed(*setup.build(leaves)).color.sum().backward()
    assert leaves["colors"].grad.abs().sum() > 0
    assert leaves["vertices"].grad is None


def test_gradients_accumulate_once(dtype):
    # Taichi fills .grad of tensors that it is passed; two backward passes must add up, not more.
    setup = soup_setup(6, 5, (6, 7))
    leaves = {n: x.to(dtype).requires_grad_() for n, x in setup.leaves.items()}
    renderer = soft()
    renderer(*setup.build(leaves)).color.sum().backward()
    once = {n: x.grad.clone() for n, x in leaves.items()}
    renderer(*setup.build(leaves)).color.sum().backward()
    for name, leaf in leaves.items():
        assert torch.equal(leaf.grad, 2 * once[name]), name
