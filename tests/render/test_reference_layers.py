"""Compositing front to back in the engine against the twin: images, gradients, looks, second derivatives."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import (
    Leaves,
    Setup,
    Tolerance,
    assert_close,
    compare_with_twin,
    normal_like,
    outcome,
    soup_setup,
    views_setup,
)
from tests.zoo.layers import LAYERED, layered

pytestmark = pytest.mark.cpu_only

KIND = torch.float64
TOLERANCE = Tolerance(value=1e-12, gradient=1e-10, softness=1e-10)


@pytest.mark.parametrize("name", LAYERED)
def test_engine_agrees_with_the_twin(name):
    compare_with_twin(soup_setup(5, 6, (9, 11)), LAYERED[name](), KIND, TOLERANCE)


@pytest.mark.parametrize("name", ["default", "frank", "max hard"])
def test_surfaces_with_common_edges(name):
    compare_with_twin(
        views_setup(3, (9, 10), views=2, subdivisions=0), LAYERED[name](), KIND, TOLERANCE
    )


@pytest.mark.parametrize("name", LAYERED)
def test_tables_are_the_functions_but_for_their_error(name):
    setup, renderer = soup_setup(6, 6, (9, 11)), LAYERED[name]()
    exact, tabulated = (
        outcome(setup, renderer, KIND, lambda *a, t=t: reference.render(renderer, *a, tabulated=t))
        for t in (False, True)
    )
    for what, value in exact.values.items():
        assert_close(tabulated.values[what], value, 1e-5, what)
    for what, gradient in exact.gradients.items():
        assert_close(tabulated.gradients[what], gradient, 5e-3, f"gradient of {what}")


def lit_ball(shading: ts.Shading, *, textured: bool) -> Setup:
    """Return a bumpy ball under a light, with colours or a texture, and its normals as more colours."""
    setup = views_setup(4, (8, 9), subdivisions=0)
    generator = torch.Generator().manual_seed(1)
    leaves = {
        **setup.leaves,
        "image": torch.rand(5, 4, 2, generator=generator, dtype=KIND),
        "uv": torch.rand(12, 2, generator=generator, dtype=KIND),
        "light": torch.rand(2, generator=generator, dtype=KIND),
    }

    def build(x: Leaves) -> tuple:
        mesh, camera = setup.build(x)
        light = ts.DirectionalLight((0.3, -1.0, 0.5), x["light"])
        lighting = ts.Lighting([ts.AmbientLight(0.3), light], shading)
        return mesh, camera, ts.Texture(x["image"], x["uv"]) if textured else None, lighting

    return Setup(leaves, build)


@pytest.mark.parametrize(
    ("shading", "textured"), [("PHONG", True), ("PHONG", False), ("FLAT", True)]
)
def test_shaders_and_normals(shading, textured):
    setup = lit_ball(ts.Shading[shading], textured=textured)
    renderer = layered("logistic", "frank_100")

    def with_normals(render, *arguments):
        mesh, camera, colors, lighting = arguments
        image = render(mesh, camera, colors, lighting=lighting, normals=True)
        color = torch.cat([image.color, image.normals * image.alpha.detach()[..., None]], -1)
        return ts.SoftImage(image.alpha, image.depth, color)

    def twin(mesh, camera, colors, **options):
        return reference.render(renderer, mesh, camera, colors, tabulated=True, **options)

    exact = outcome(setup, renderer, KIND, lambda *a: with_normals(twin, *a))
    fused = outcome(setup, renderer, KIND, lambda *a: with_normals(renderer, *a))
    for what, value in exact.values.items():
        assert_close(fused.values[what], value, TOLERANCE.value, what)
    for what, gradient in exact.gradients.items():
        assert_close(fused.gradients[what], gradient, TOLERANCE.gradient, f"gradient of {what}")


@pytest.mark.parametrize("name", ["default", "logistic", "yager", "monotone", "max soft", "hard"])
def test_second_derivatives(name):
    """Products of the Hessian of a loss with a direction, in everything at once."""
    setup, renderer = soup_setup(7, 4, (5, 6)), LAYERED[name]()
    found = []
    for render in (renderer, lambda *a: reference.render(renderer, *a, tabulated=True)):
        leaves = {k: x.clone().requires_grad_() for k, x in setup.leaves.items()}
        wanted = [*leaves.values(), *renderer.parameters()]
        generator = torch.Generator().manual_seed(2)
        image = render(*setup.build(leaves))
        weight = image.alpha.detach()
        values = (image.alpha, image.depth * weight, image.color)
        loss = sum((x * normal_like(x, generator)).sum() for x in values)
        gradients = torch.autograd.grad(loss, wanted, create_graph=True)
        along = sum((g * normal_like(g, generator)).sum() for g in gradients)
        found.append(torch.autograd.grad(along, wanted))
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, 1e-9, "second derivative")
