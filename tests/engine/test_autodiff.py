"""The autodiff engine: Taichi's reverse mode over fragments gives what the hand-written adjoints give."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from taichisoft.engine.engines import AutodiffEngine, FusedEngine
from taichisoft.engine.job import RasterJob
from taichisoft.engine.projection import build_scene
from tests.helpers import (
    Setup,
    Tolerance,
    assert_close,
    error,
    normal_like,
    outcome,
    pixel_camera,
    soft,
    soup_faces,
    soup_setup,
    uniform,
    views_setup,
)
from tests.zoo.renderers import EVERY, FEW_LAYOUTS, STRAIGHT_THROUGH

IMAGE = (18, 23)
# Taichi's reverse mode and the adjoints round differently; three times the worst that was measured.
ALLOWED = {
    torch.float64: Tolerance(value=1e-13, gradient=1e-12, softness=1e-12),
    torch.float32: Tolerance(value=1e-4, gradient=5e-4, softness=5e-4),
}


def compare_engines(setup: Setup, renderer: ts.SoftRasterizer, dtype: torch.dtype) -> None:
    """Assert that both engines give the same images and gradients."""
    other = ts.SoftRasterizer(
        softness=renderer.softness, background=renderer.background.tolist(), gradient="autodiff"
    )
    fused = outcome(setup, renderer, dtype, renderer)
    found = outcome(setup, other, dtype, other, fused.values["alpha"])
    allowed = ALLOWED[dtype]
    for name, value in fused.values.items():
        assert_close(found.values[name], value, allowed.value, name)
    exact = None
    for name, gradient in fused.gradients.items():
        limit = allowed.softness if name.startswith("softness") else allowed.gradient
        if dtype == torch.float32 and error(found.gradients[name], gradient) > limit:
            # Two gradients that cancel differ by as much as either does from the one in float64.
            exact = exact or outcome(
                setup, renderer, dtype, twin_of(renderer), fused.values["alpha"]
            )
            limit += 2 * error(gradient, exact.gradients[name])
        assert_close(found.gradients[name], gradient, limit, f"gradient of {name}")


def twin_of(renderer: ts.SoftRasterizer):
    return lambda *arguments: ts.reference.render(renderer, *arguments, tabulated=True)


@pytest.mark.parametrize("name", FEW_LAYOUTS)
def test_kinds_of_layouts(name, dtype):
    compare_engines(soup_setup(4, 7, IMAGE), EVERY[name](), dtype)


@pytest.mark.parametrize("name", ["heaviside gaussian", "logistic mlp"])
def test_straight_through(name, dtype):
    renderer = STRAIGHT_THROUGH[name]()
    # What the engines sum is compared, not the image: where the value curve is nearly 0 the mean colour is
    # a ratio of rounding errors, and a slope that is not small there makes it count.
    setup = soup_setup(7, 6, IMAGE, size=14.0)
    results = []
    for engine in (FusedEngine(), AutodiffEngine()):
        leaves = {n: x.to(dtype).requires_grad_() for n, x in setup.leaves.items()}
        job = RasterJob(build_scene(*setup.build(leaves), None))
        generator, cover, occlusion = renderer.curves(IMAGE[0])
        sums = engine.sums(job, cover, occlusion)
        total = engine.total(job, generator, False)
        noise = torch.Generator().manual_seed(1)
        # Weighted as alpha is: inside, a slope of the generator is a million times that of coverage.
        loss = (renderer.aggregation.inverse(total) * normal_like(total, noise).to(total)).sum()
        loss = loss + (sums * normal_like(sums, noise).to(sums)).sum()
        wanted = [*leaves.values(), *renderer.parameters()]
        results.append(torch.autograd.grad(loss, wanted, allow_unused=True))
    for found, expected in zip(*results, strict=True):
        if expected is None or not float(expected.abs().max()):
            assert found is None or not float(found.abs().max())
        else:
            assert_close(found, expected, ALLOWED[dtype].gradient, "gradient")


def test_cameras(dtype):
    compare_engines(views_setup(8, (13, 21), views=3), soft(), dtype)


def test_more_fragments_than_fit_at_a_time(dtype):
    # 60 faces that reach most of 2 x 64 x 48 pixels: some 300,000 fragments, in 32,768 at a time.
    setup = soup_setup(9, 60, (64, 48), batch=2, size=30.0)
    compare_engines(setup, soft("mlp", scale=2.0), dtype)


@pytest.mark.parametrize("kind", ["area", "edge", "point", "exact"])
def test_degenerate_faces(kind, dtype):
    generator = torch.Generator().manual_seed(3)
    corners = uniform(generator, 2, 3, 3, low=2.0, high=14.0)
    if kind == "area":
        corners[0, 2] = (corners[0, 0] + corners[0, 1]) / 2
    elif kind == "edge":
        corners[0, 1] = corners[0, 0]
    elif kind == "point":
        corners[0] = corners[0, :1]
    else:
        # Two vertices and points of an edge on pixel centres; no pixel is as near to another edge.
        corners[0] = torch.tensor([[2.5, 2.5, 1.0], [12.5, 4.5, 1.0], [4.2, 11.3, 1.5]])
    corners = corners.reshape(-1, 3).float().double()

    def build(leaves):
        mesh = ts.Mesh(leaves["vertices"], soup_faces(2), leaves["colors"])
        return mesh, pixel_camera(16, 16, leaves["vertices"].dtype)

    leaves = {"vertices": corners, "colors": uniform(generator, 6, 2)}
    renderer = soft()
    other = ts.SoftRasterizer(softness=renderer.softness, background=0.25, gradient="autodiff")
    fused = outcome(Setup(leaves, build), renderer, dtype, renderer)
    found = outcome(Setup(leaves, build), other, dtype, other, fused.values["alpha"])
    # The edges of a face without area coincide: which one is nearest, and so which colours are seen, is a
    # matter of rounding.
    names = ("alpha",) if kind in ("area", "edge") else tuple(fused.values)
    for name in names:
        assert_close(found.values[name], fused.values[name], ALLOWED[dtype].value, name)
    for name, gradient in fused.gradients.items():
        assert bool(found.gradients[name].isfinite().all())
        # So is on which side of a vertex a pixel on it lies, which colours see and alpha does not.
        if kind == "point":
            assert_close(found.gradients[name], gradient, ALLOWED[dtype].gradient, name)
    if kind == "exact":
        gradients = []
        for engine in (renderer, other):
            vertices = corners.to(dtype).requires_grad_()
            mesh = ts.Mesh(vertices, soup_faces(2))
            alpha = engine.silhouette(mesh, pixel_camera(16, 16, dtype))
            gradients += torch.autograd.grad(alpha.square().sum(), vertices)
        assert_close(gradients[1], gradients[0], ALLOWED[dtype].gradient, "vertices of alpha")


@pytest.mark.parametrize("corners", [0, 3])
def test_nothing_to_draw(corners, dtype):
    vertices = torch.full((3, 3), -50.0, dtype=dtype, requires_grad=True)
    faces = torch.arange(corners).reshape(-1, 3)
    mesh = ts.Mesh(vertices, faces, torch.ones(3, 2, dtype=dtype))
    renderer = ts.SoftRasterizer(gradient="autodiff")
    image = renderer(mesh, pixel_camera(5, 6, dtype))
    assert float(image.alpha.detach().abs().max()) == 0
    (gradient,) = torch.autograd.grad(image.color.sum() + image.alpha.sum(), vertices)
    assert float(gradient.abs().max()) == 0


def test_unknown_engine():
    with pytest.raises(ValueError, match=r"gradient must be one of fused, autodiff, got 'magic'"):
        ts.SoftRasterizer(gradient="magic")
