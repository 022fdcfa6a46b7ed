"""Textures and Phong light in whole vectors: against the graph over all pairs of fragments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.appearance.lights import Points
from taichisoft.appearance.surface import Surface
from taichisoft.base.backend import in_debug_mode
from taichisoft.engine import kernel_shader, vector_bands, vector_composite
from taichisoft.engine.compositing import composite_fragments
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernel_shader import KernelShader
from taichisoft.engine.vector_composite import VectorCompositePass
from tests.engine.test_composite import GRADIENT, VALUE, Case, gradients, renderer
from tests.helpers import Leaves, assert_close, uniform
from tests.zoo.appearance import (
    FACES,
    UV_FACES,
    lighting_of,
    material_leaves,
    scene,
    texture_of,
    with_materials,
)

pytestmark = [
    pytest.mark.cpu_only,
    pytest.mark.skipif(
        in_debug_mode(), reason="whole vectors go into no kernel with checked bounds"
    ),
]


def of_images(x: Leaves) -> ts.Texture:
    """Return a texture for each of two images, with an opacity."""
    return ts.Texture(x["textures"], x["uv"], texture_of(x).uv_faces, opacity=x["through"])


def dull(x: Leaves, shading: ts.Shading) -> ts.Lighting:
    """Return light of one channel that nothing mirrors."""
    return ts.Lighting([ts.PointLight(x["position"], 0.7), ts.AmbientLight(0.3)], shading)


def materials(x: Leaves, **options) -> ts.Mesh:
    """Return the mesh of a scene with materials, which multiply its colours."""
    return with_materials(ts.Mesh(x["vertices"], FACES, x["colors"]), x, **options)


# Colours and light of a scene, and what else is drawn; perhaps another mesh.
LOOKS: dict[str, Callable[[Leaves], dict]] = {
    "texture": lambda x: {"colors": texture_of(x)},
    "clamped": lambda x: {"colors": texture_of(x, ts.Wrap.CLAMP), "normals": True},
    "phong": lambda x: {"lighting": lighting_of(x, ts.Shading.PHONG), "normals": True},
    "gray": lambda x: {
        "colors": x["colors"][:, :1],
        "lighting": lighting_of(x, ts.Shading.PHONG),
        "opacity": x["colors"][:, 1],
    },
    "gouraud": lambda x: {
        "colors": texture_of(x),
        "lighting": lighting_of(x, ts.Shading.GOURAUD),
        "opacity": x["colors"][:, 1],
    },
    "dull": lambda x: {"colors": texture_of(x), "lighting": dull(x, ts.Shading.PHONG)},
    "mipmaps": lambda x: {
        "colors": dataclasses.replace(of_images(x), mipmaps=True),
        "lighting": lighting_of(x, ts.Shading.PHONG),
    },
    "all": lambda x: {
        "colors": of_images(x),
        "lighting": lighting_of(x, ts.Shading.PHONG),
        "opacity": x["colors"][:, 1],
        "normals": True,
    },
    "materials": lambda x: {
        "mesh": materials(x, opacity=False).with_vertex_colors(None),
        "normals": True,
    },
    "gray materials": lambda x: {
        "mesh": materials(x, opacity=False).with_face_colors(x["colors"][:3, :1]),
        "lighting": lighting_of(x, ts.Shading.GOURAUD),
    },
    "all of materials": lambda x: {
        "mesh": materials(x, opacity=True, mipmaps=True),
        "lighting": lighting_of(x, ts.Shading.PHONG),
        "opacity": x["colors"][:, 1],
    },
}


def case_of(
    look: Callable[[Leaves], dict],
    rendering: ts.SoftRasterizer,
    dtype: torch.dtype,
    *,
    orthographic: bool = False,
    size: tuple[int, int] = (11, 13),
) -> tuple[Case, Surface]:
    """Return a render, and what it looks like."""
    setup = scene(7, size, views=2)
    generator = torch.Generator().manual_seed(8)
    more = {"textures": uniform(generator, 2, 14, 9, 3), "through": uniform(generator, 14, 9)}
    more |= material_leaves(9)
    leaves = {
        name: leaf.to(dtype).requires_grad_() for name, leaf in {**setup.leaves, **more}.items()
    }
    mesh, camera = setup.build(leaves)
    if orthographic:
        camera = ts.Camera.orthographic(leaves["eye"], height=3.0, image_size=size)
    options = look(leaves)
    surface, drawn = rendering.scene(options.pop("mesh", mesh), camera, **options)
    job, curves = RasterJob(drawn), rendering.composite_curves(camera.image_size[0])
    parameters = {n: p for n, p in rendering.named_parameters() if p.requires_grad}
    case = Case(job, curves, CompositeInputs.of(job, curves), {**leaves, **parameters})
    return case, surface


def of_kernels(case: Case, surface: Surface) -> Tensor:
    look = KernelShader.of(surface.shader, case.job)
    assert look is not None
    return VectorCompositePass(case.job, case.curves, surface.opacity, look)(
        *case.inputs, *look.inputs
    )


def of_graph(case: Case, surface: Surface) -> Tensor:
    return composite_fragments(
        case.job, case.curves, case.inputs, opacity=surface.opacity, shader=surface.shader
    )


def compare(
    look: Callable[[Leaves], dict], rendering: ts.SoftRasterizer, dtype: torch.dtype, **options
) -> None:
    """Assert that kernels and graph agree, in values and gradients of everything."""
    case, surface = case_of(look, rendering, dtype, **options)
    found, exact = of_kernels(case, surface), of_graph(case, surface)
    assert_close(found.detach(), exact.detach(), VALUE[dtype], "sums")
    expected = gradients(case, exact)
    for name, gradient in gradients(case, found).items():
        assert_close(gradient, expected[name], GRADIENT[dtype], f"gradient of {name}")


F64 = torch.float64


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_looks(name, dtype):
    compare(LOOKS[name], renderer(), dtype)


def test_cells_of_tables():
    compare(LOOKS["all"], renderer(aggregation=ts.Frank(ts.Positive(3.0, learn=True))), F64)


def test_competing_faces():
    compare(LOOKS["all"], renderer(aggregation=ts.Max()), F64)


def test_an_orthographic_camera():
    compare(LOOKS["phong"], renderer(), F64, orthographic=True)


@pytest.mark.parametrize("most", [1, 2**20])
def test_bands_and_workers(most, monkeypatch):
    monkeypatch.setattr(vector_composite, "PLACES", most)
    monkeypatch.setattr(vector_bands, "PARTS", most)
    monkeypatch.setattr(kernel_shader, "COPIES", 200)
    compare(LOOKS["texture"], renderer(), F64)


def test_gradients_of_texels_are_bit_equal():
    # More texels than each worker has a copy of, and many bands: what threads do when is chance.
    generator = torch.Generator().manual_seed(9)
    ball = ts.shapes.icosphere(2)
    image = uniform(generator, 500, 900, 3).float().requires_grad_()
    texture = ts.Texture(image, uniform(generator, ball.num_vertices, 2).float())
    eye = torch.tensor([[0.0, 0.5, 3.0], [2.0, 1.0, -2.0]])
    camera = ts.Camera.look_at(eye, image_size=(60, 60))
    found = []
    for _ in range(5):
        color = ts.SoftRasterizer(deterministic=True)(ball, camera, texture).color
        found.append(torch.autograd.grad(color.square().sum(), image)[0])
    assert all(torch.equal(found[0], other) for other in found)
    assert float(found[0].abs().max()) > 0


@pytest.mark.parametrize(("name", "orthographic"), [("all", False), ("phong", True)])
def test_second_derivatives(name, orthographic):
    case, surface = case_of(LOOKS[name], renderer(), F64, orthographic=orthographic, size=(5, 6))
    leaves = list(case.leaves.values())
    found = []
    for sums in (of_kernels(case, surface), of_graph(case, surface)):
        first = torch.autograd.grad(
            sums.square().sum(), leaves, create_graph=True, allow_unused=True
        )
        total = sum(g.square().mean() for g in first if g is not None)
        found.append(torch.autograd.grad(total, leaves, retain_graph=True, materialize_grads=True))
    for leaf, one, other in zip(case.leaves, *found, strict=True):
        assert_close(one, other, GRADIENT[F64], leaf)


class Sunset(ts.DirectionalLight):
    """A light of a user, of half the strength."""

    def diffuse(self, points: Points) -> Tensor:
        """Return half of the light."""
        return super().diffuse(points) / 2


class Noise(ts.Texture):
    """A texture of a user."""


def test_what_users_write_is_left_to_torch():
    case, surface = case_of(LOOKS["phong"], renderer(), F64)
    assert KernelShader.of(surface.shader, case.job) is not None
    lights = [Sunset((0.0, 0.0, 1.0))]
    _, lit = case_of(lambda x: {"lighting": ts.Lighting(lights)}, renderer(), F64)
    assert KernelShader.of(lit.shader, case.job) is None
    _, noise = case_of(
        lambda x: {"colors": Noise(x["texture"], x["uv"], UV_FACES)}, renderer(), F64
    )
    assert KernelShader.of(noise.shader, case.job) is None
    mesh, camera = scene(7, (9, 9)).build(scene(7, (9, 9)).leaves)
    dim, full = (
        renderer()(mesh, camera, lighting=ts.Lighting([light])).premultiplied.detach()
        for light in (lights[0], ts.DirectionalLight((0.0, 0.0, 1.0)))
    )
    assert_close(2 * dim, full, 1e-12, "half the light")
