"""Functions that render, compiled by torch.compile: the same numbers, and few pieces."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx

import taichisoft as ts
from taichisoft.base import eager

# Of the compiler itself, which looks at gradients of tensors that have none.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")

SIZE = (12, 16)
MESH = ts.shapes.icosphere(1)
TEXTURE = torch.rand(4, 4, 3, generator=torch.Generator().manual_seed(0))
UV = torch.rand(MESH.num_vertices, 2, generator=torch.Generator().manual_seed(1))
LOSS = ts.Laplacian(MESH.faces)


def pieces(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return in how many graphs a function is compiled, and its value and gradient of a second call."""
    graphs = []

    def keep(graph: fx.GraphModule, _: list[Tensor]) -> Callable:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compiled = torch.compile(function, backend=keep)
    for _ in range(2):
        leaf = x.clone().requires_grad_()
        value = compiled(leaf)
        (gradient,) = torch.autograd.grad(value, leaf)
    return len(graphs), value.detach(), gradient


def silhouette(v: Tensor) -> Tensor:
    camera = ts.Camera.look_at((0.5, 0.3, 3.0), image_size=SIZE)
    mesh = MESH.with_vertices(1.1 * v)
    return ts.SoftRasterizer().silhouette(mesh, camera).square().sum() + v.square().sum()


def image(v: Tensor) -> Tensor:
    camera = ts.Camera.orbit(3.0, 20.0, image_size=SIZE)
    image = RENDERER(ts.Mesh(v, MESH.faces), camera, v)
    return image.color.square().sum() + LOSS(v)


def lit_texture(v: Tensor) -> Tensor:
    camera = ts.Camera.look_at((0.5, 0.3, 3.0), image_size=SIZE)
    lighting = ts.Lighting([ts.AmbientLight(0.3), ts.DirectionalLight((0.0, 1.0, 1.0))])
    texture = ts.Texture(TEXTURE, UV)
    return RENDERER(MESH.with_vertices(v), camera, texture, lighting=lighting).color.sum()


RENDERER = ts.SoftRasterizer()


@pytest.mark.parametrize(("function", "most"), [(silhouette, 3), (image, 2), (lit_texture, 1)])
def test_compiled_functions_are_the_same_in_few_pieces(function, most):
    leaf = MESH.vertices.clone().requires_grad_()
    value = function(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    count, compiled_value, compiled_gradient = pieces(function, MESH.vertices)
    torch.testing.assert_close(compiled_value, value.detach(), rtol=1e-6, atol=0)
    torch.testing.assert_close(compiled_gradient, gradient, rtol=1e-5, atol=1e-5)
    # What is compiled is what is between the calls: there were dozens, of the insides of this library.
    assert count <= most


def test_what_is_compiled_has_transforms():
    def number(v: Tensor) -> Tensor:
        camera = ts.Camera.look_at((0.5, 0.3, 3.0), image_size=SIZE)
        return RENDERER.silhouette(MESH.with_vertices(v), camera).square().sum()

    exact = torch.func.grad(number)(MESH.vertices)
    found = torch.compile(lambda v: torch.func.grad(number)(v), backend="eager")(MESH.vertices)
    torch.testing.assert_close(found, exact)


def test_a_torch_without_the_mark_has_the_public_one(monkeypatch):
    monkeypatch.setattr(eager, "SKIP", None)

    @eager.eager_class
    class Kind:
        def __init__(self, x: Tensor) -> None:
            self.size = float(x.detach().sum())

        @classmethod
        def doubled(cls, x: Tensor) -> Kind:
            return cls(2 * x)

    assert Kind.doubled(torch.ones(2)).size == 4

    def function(x: Tensor) -> Tensor:
        return (3 * x * Kind.doubled(x).size).sum()

    count, value, _ = pieces(function, torch.ones(2))
    assert float(value) == 24
    assert count == 2
