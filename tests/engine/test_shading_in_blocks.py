"""Textures and Phong light in whole vectors: against the graph over all pairs of fragments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.base.backend import in_debug_mode
from taichisoft.engine.compositing import composite_fragments
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernel_shader import KernelShader
from taichisoft.engine.vector_composite import VectorCompositePass
from tests.engine.test_composite import GRADIENT, VALUE, Case, gradients, renderer
from tests.helpers import Leaves, assert_close, uniform
from tests.zoo.appearance import lighting_of, scene, texture_of

pytestmark = [
    pytest.mark.cpu_only,
    # Whole vectors go into no kernel that checks its array bounds.
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


# Colours and light of a scene, and what else is drawn.
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
    "all": lambda x: {
        "colors": of_images(x),
        "lighting": lighting_of(x, ts.Shading.PHONG),
        "opacity": x["colors"][:, 1],
        "normals": True,
    },
}


def case_of(
    look: Callable[[Leaves], dict],
    rendering: ts.SoftRasterizer,
    dtype: torch.dtype,
    *,
    orthographic: bool = False,
    size: tuple[int, int] = (11, 13),
) -> tuple[Case, ts.SoftRasterizer, Callable[..., Tensor]]:
    """Return a render, and what of its arguments has been made."""
    setup = scene(7, size, views=2)
    generator = torch.Generator().manual_seed(8)
    more = {"textures": uniform(generator, 2, 4, 3, 3), "through": uniform(generator, 4, 3)}
    leaves = {
        name: leaf.to(dtype).requires_grad_() for name, leaf in {**setup.leaves, **more}.items()
    }
    mesh, camera = setup.build(leaves)
    if orthographic:
        camera = dataclasses.replace(
            ts.Camera.orthographic(leaves["eye"], height=3.0, image_size=size)
        )
    surface, drawn = rendering.scene(mesh, camera, **look(leaves))
    job, curves = RasterJob(drawn), rendering.composite_curves(camera.image_size[0])
    parameters = {n: p for n, p in rendering.named_parameters() if p.requires_grad}
    case = Case(job, curves, CompositeInputs.of(job, curves), {**leaves, **parameters})
    return case, surface


def of_kernels(case: Case, surface) -> Tensor:
    look = KernelShader.of(surface.shader, case.job)
    assert look is not None
    return VectorCompositePass(case.job, case.curves, surface.opacity, look)(
        *case.inputs, *look.inputs
    )


def of_graph(case: Case, surface) -> Tensor:
    return composite_fragments(
        case.job, case.curves, case.inputs, opacity=surface.opacity, shader=surface.shader
    )


def compare(look, rendering: ts.SoftRasterizer, dtype: torch.dtype, **options) -> None:
    case, surface = case_of(look, rendering, dtype, **options)
    found, exact = of_kernels(case, surface), of_graph(case, surface)
    assert_close(found.detach(), exact.detach(), VALUE[dtype], "sums")
    expected = gradients(case, exact)
    for name, gradient in gradients(case, found).items():
        assert_close(gradient, expected[name], GRADIENT[dtype], f"gradient of {name}")


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_looks(name, dtype):
    compare(LOOKS[name], renderer(), dtype)
