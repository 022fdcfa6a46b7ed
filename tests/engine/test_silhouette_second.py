"""Second derivatives of whole silhouettes: against the autodiff engine, differences, and their parts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradgradcheck
from torch.func import functional_call

import taichisoft as ts
from tests.helpers import Setup, assert_close, normal_like, soft, soup_setup, views_setup
from tests.zoo.renderers import EVERY, STRAIGHT_THROUGH

pytestmark = pytest.mark.cpu_only

ALL = {**EVERY, **STRAIGHT_THROUGH}
NAMES = (
    *("gaussian", "mlp", "spline", "cauchy", "mixture_with_steps", "max gaussian", "max mlp"),
    *("aggregation frank_100", "aggregation hamacher_0.5", "aggregation monotone_random"),
    *("heaviside mlp", "logistic mlp"),
)
SCENES = {
    "soup": lambda: soup_setup(31, 8, (12, 17)),
    "batch": lambda: soup_setup(33, 6, (7, 5), batch=3),
    "views": lambda: views_setup(32, (14, 13), views=2),
}


def silhouette(renderer: ts.SoftRasterizer, setup: Setup, leaves: dict[str, Tensor]) -> Tensor:
    mesh, camera = setup.build({**setup.leaves, **leaves})
    return renderer.silhouette(ts.Mesh(mesh.vertices, mesh.faces), camera)


def products(
    setup: Setup, renderer: ts.SoftRasterizer, first: set[str] | None = None
) -> dict[str, Tensor]:
    """Return the product of the Hessian of a loss with a random vector, by leaf and parameter.

    Only of rows of the leaves and parameters named in `first`, all of them by default.
    """
    leaves = {n: x.clone().requires_grad_() for n, x in setup.leaves.items() if n != "colors"}
    noise = torch.Generator().manual_seed(5)
    alpha = silhouette(renderer, setup, leaves)
    loss = (alpha * normal_like(alpha, noise)).square().sum()
    wanted = {**leaves, **dict(renderer.named_parameters())}
    gradients = torch.autograd.grad(
        loss, list(wanted.values()), create_graph=True, allow_unused=True, materialize_grads=True
    )
    along = sum(
        (g * normal_like(g, noise)).sum() * (first is None or name in first)
        for name, g in zip(wanted, gradients, strict=True)
    )
    second = torch.autograd.grad(
        along, list(wanted.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(wanted, second, strict=True))


def of_engine(name: str, engine: str) -> ts.SoftRasterizer:
    torch.manual_seed(0)
    return ts.SoftRasterizer(softness=ALL[name]().softness, gradient=engine)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("name", NAMES)
def test_engines_agree(name, scene):
    setup = SCENES[scene]()
    found = products(setup, of_engine(name, "fused"))
    for leaf, value in products(setup, of_engine(name, "autodiff")).items():
        assert_close(found[leaf], value, 1e-9, leaf)


@pytest.mark.parametrize("name", ["gaussian", "mlp", "max gaussian", "logistic mlp"])
@pytest.mark.parametrize("first", ["vertices", "eye", "fov"])
def test_rows_of_the_hessian(first, name):
    setup = SCENES["views"]()
    found = products(setup, of_engine(name, "fused"), {first})
    for leaf, value in products(setup, of_engine(name, "autodiff"), {first}).items():
        assert_close(found[leaf], value, 1e-9, leaf)


@pytest.mark.parametrize("name", ["gaussian", "mlp", "max gaussian", "aggregation hamacher_0.5"])
def test_gradgradcheck(name):
    # In the upstream gradient as well. The seed keeps pixels off the kinks.
    setup = soup_setup(21, 2, (4, 5), size=4.0)
    renderer = ALL[name]()
    names = [n for n, _ in renderer.named_parameters() if "occlusion" not in n]
    softness = dict(renderer.named_parameters())
    mesh, camera = setup.build(setup.leaves)

    def alpha(vertices, *values):
        held = {**softness, **dict(zip(names, values, strict=True))}
        return functional_call(
            _Silhouette(renderer),
            {f"renderer.{key}": value for key, value in held.items()},
            (ts.Mesh(vertices, mesh.faces), camera),
        )

    points = [setup.leaves["vertices"], *(softness[n].detach() for n in names)]
    points = [value.clone().requires_grad_() for value in points]
    assert gradgradcheck(alpha, points, eps=1e-7, atol=1e-5, rtol=1e-4, fast_mode=True)


class _Silhouette(torch.nn.Module):
    def __init__(self, renderer: ts.SoftRasterizer):
        super().__init__()
        self.renderer = renderer

    def forward(self, mesh: ts.Mesh, camera: ts.Camera) -> Tensor:
        return self.renderer.silhouette(mesh, camera)


def product_along(
    setup: Setup, renderer: ts.SoftRasterizer, part: str, along: Tensor, moving: tuple[str, ...]
) -> Tensor:
    """Return what the Hessian of a part takes a vector to, where the leaves that move require gradients."""
    leaves = {name: setup.leaves[name].clone().requires_grad_() for name in moving}
    alpha = silhouette(renderer, setup, leaves)
    loss = (alpha * normal_like(alpha, torch.Generator().manual_seed(5))).square().sum()
    (gradient,) = torch.autograd.grad(loss, leaves[part], create_graph=True)
    return torch.autograd.grad((gradient * along).sum(), leaves[part])[0]


@pytest.mark.parametrize("part", ["vertices", "eye", "fov"])
def test_only_one_part_is_differentiated(part):
    setup = SCENES["views"]()
    along = normal_like(setup.leaves[part], torch.Generator().manual_seed(6))
    every = ("vertices", "eye", "at", "up", "fov")
    whole = product_along(setup, soft("mlp"), part, along, every)
    frozen = soft("mlp").requires_grad_(False)
    assert_close(product_along(setup, frozen, part, along, (part,)), whole, 1e-11, part)
