"""The scene zoo, the softness zoo, and how a render is compared with the float64 twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.render import reference
from tests.zoo import coverage as coverage_cases

# The folder of the repository.
ROOT = Path(__file__).parent.parent

Leaves = Mapping[str, Tensor]
FAR = 1e6


@dataclass(frozen=True)
class Tolerance:
    """Largest allowed errors, relative to the largest entry of the exact result.

    Parameters
    ----------
    value : float
        Of images.
    gradient : float
        Of gradients with respect to geometry, colours and cameras.
    softness : float
        Of gradients with respect to softness parameters, which cancel most.
    """

    value: float
    gradient: float
    softness: float


# About three times the worst that was measured on the CPU, and on a Vulkan software device in float32.
TOLERANCES = {
    torch.float64: Tolerance(value=1e-13, gradient=2e-11, softness=1e-11),
    torch.float32: Tolerance(value=1e-4, gradient=5e-4, softness=5e-4),
}


@dataclass(frozen=True)
class Setup:
    """What is rendered: float64 leaves by name, and how to make the arguments of a render of them."""

    leaves: Leaves
    build: Callable[[Leaves], tuple]


def pixel_camera(
    height: int, width: int, dtype: torch.dtype = torch.float64, *, batch: int = 1
) -> ts.Camera:
    """Return a camera whose world is the image: x and y in pixels, z the depth."""
    identity = torch.eye(3, dtype=dtype).repeat(batch, 1, 1)
    return ts.Camera(
        identity, torch.zeros(batch, 3, dtype=dtype), identity, (height, width), False, -FAR
    )


def uniform(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform float64 numbers that are exact in float32, so that both types see the same scene."""
    numbers = low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)
    return numbers.float().double()


def normal_like(value: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random cotangent of the shape of a value."""
    return torch.randn(value.shape, generator=generator, dtype=torch.float64)


def soup(generator: torch.Generator, faces: int, height: int, width: int, size: float) -> Tensor:
    """Corners of unconnected random triangles in pixel coordinates, (3 * faces, 3)."""
    centre = uniform(generator, faces, 1, 3) * torch.tensor([width, height, 2.0])
    offset = uniform(generator, faces, 3, 3, low=-1) * torch.tensor([size, size, 0.3])
    return (centre + offset).reshape(-1, 3).float().double()


def soup_faces(count: int) -> Tensor:
    """Return the faces of a soup."""
    return torch.arange(3 * count).reshape(-1, 3)


def soup_setup(
    seed: int, faces: int, image: tuple[int, int], *, batch: int = 1, size: float = 6.0
) -> Setup:
    """Return a batch of soups with shared faces and colours, seen by the camera of the image."""
    generator = torch.Generator().manual_seed(seed)
    vertices = [soup(generator, faces, *image, size) for _ in range(batch)]
    colors = uniform(generator, 3 * faces, 3)

    def build(leaves: Leaves) -> tuple:
        mesh = ts.Mesh(leaves["vertices"], soup_faces(faces), leaves["colors"])
        return mesh, pixel_camera(*image, leaves["vertices"].dtype)

    return Setup({"vertices": torch.stack(vertices), "colors": colors}, build)


def views_setup(
    seed: int, image: tuple[int, int], *, views: int = 1, subdivisions: int = 1
) -> Setup:
    """One bumpy ball seen by several perspective cameras, all parameters of which are leaves."""
    generator = torch.Generator().manual_seed(seed)
    ball = ts.shapes.icosphere(subdivisions)
    bumps = uniform(generator, ball.num_vertices, 1, low=0.6, high=1.1)
    leaves = {
        "vertices": (ball.vertices.double() * bumps).float().double(),
        "colors": uniform(generator, ball.num_vertices, 2),
        "eye": uniform(generator, views, 3, low=-0.7, high=0.7) + torch.tensor([0.0, 0.5, 3.0]),
        "at": uniform(generator, views, 3, low=-0.1, high=0.1),
        "up": uniform(generator, views, 3, low=-0.2, high=0.2) + torch.tensor([0.0, 1.0, 0.0]),
        "fov": uniform(generator, views, low=35, high=60),
    }

    def build(x: Leaves) -> tuple:
        camera = ts.Camera.look_at(x["eye"], x["at"], x["up"], fov=x["fov"], image_size=image)
        return ts.Mesh(x["vertices"], ball.faces, x["colors"]), camera

    return Setup({name: leaf.float().double() for name, leaf in leaves.items()}, build)


# Members of the zoo of coverages that are rendered: all, but of what differs in its argument only a few.
RENDERED = (
    *(name for name in coverage_cases.OTHERS if name not in ("heaviside", "custom")),
    *coverage_cases.FAMILIES,
    "squared_logistic",
    "squared_cauchy",
    "squared_gamma_reversed_two",
    "shifted_exponential",
    "moved_wigner",
)
# A factory takes the scale in pixels; every scale is learned, so that its gradient is compared too.
COVERAGES: dict[str, Callable[[float], ts.Coverage]] = {
    name: lambda scale, make=coverage_cases.CASES[name].make: make(learned(scale))
    for name in RENDERED
}
AGGREGATIONS = {"probabilistic": ts.Probabilistic, "max": ts.Max}


def mlp(scale: float, seed: int, **options) -> ts.MLPCoverage:
    """Return a learned network with a curved rise, whatever its default start is."""
    return coverage_cases.curved_mlp(learned(scale), seed, **options)


def learned(scale: float) -> ts.Pixels:
    """Return a learned scale in pixels."""
    return ts.Pixels(scale, learn=True)


def soft(
    coverage: str | ts.Coverage = "gaussian",
    aggregation: str = "probabilistic",
    *,
    scale: float = 1.0,
    gamma: float = 0.3,
    background: float | tuple[float, ...] = 0.25,
) -> ts.SoftRasterizer:
    """Return a renderer all of whose softness is learned."""
    made = COVERAGES[coverage](scale) if isinstance(coverage, str) else coverage
    occlusion = ts.DepthSoftmax(ts.Positive(gamma, learn=True))
    return ts.SoftRasterizer(made, AGGREGATIONS[aggregation](), occlusion, background=background)


@dataclass(frozen=True)
class Outcome:
    """Images and gradients by name, float64."""

    values: dict[str, Tensor]
    gradients: dict[str, Tensor]


def scalar_loss(image: ts.SoftImage, weight: Tensor, seed: int) -> Tensor:
    """Contract an image with random cotangents.

    Depth is weighted by an alpha (a constant): where nothing covers a pixel its depth is a ratio of
    rounding errors, and jumps to 0.
    """
    generator = torch.Generator().manual_seed(seed)
    alpha = (image.alpha * normal_like(image.alpha, generator).to(image.alpha)).sum()
    depth = (image.depth * (weight * normal_like(image.depth, generator)).to(image.depth)).sum()
    if image.color is None:
        return alpha + depth
    return alpha + depth + (image.color * normal_like(image.color, generator).to(image.color)).sum()


def outcome(
    setup: Setup, renderer: ts.SoftRasterizer, dtype: torch.dtype, render: Callable, weight=None
) -> Outcome:
    """Render, contract with a cotangent, differentiate with respect to every leaf and parameter."""
    leaves = {name: leaf.to(dtype).requires_grad_() for name, leaf in setup.leaves.items()}
    image = render(*setup.build(leaves))
    weight = image.alpha.detach().double() if weight is None else weight
    wanted = {**leaves, **dict(renderer.named_parameters())}
    gradients = torch.autograd.grad(
        scalar_loss(image, weight, seed=7), list(wanted.values()), allow_unused=True
    )
    named = zip(wanted, gradients, wanted.values(), strict=True)
    values = {"alpha": image.alpha, "weighted depth": image.depth * weight.to(dtype)}
    if image.color is not None:
        values["color"] = image.color
    return Outcome(
        {name: value.detach().double() for name, value in values.items()},
        {n: torch.zeros_like(x).double() if g is None else g.double() for n, g, x in named},
    )


def compare_with_twin(
    setup: Setup, renderer: ts.SoftRasterizer, dtype: torch.dtype, tolerance: Tolerance
) -> Outcome:
    """Assert that the engine in `dtype` and the tabulated twin in float64 agree; return the latter."""

    def twin(*arguments):
        return reference.render(renderer, *arguments, tabulated=True)

    exact = outcome(setup, renderer, torch.float64, twin)
    weight = exact.values["alpha"]
    fused = outcome(setup, renderer, dtype, renderer, weight)
    assert fused.values.keys() == exact.values.keys()
    softness = dict(renderer.named_parameters())
    for name, value in exact.values.items():
        assert_close(fused.values[name], value, tolerance.value, name)
    single = None
    for name, gradient in exact.gradients.items():
        allowed = tolerance.softness if name in softness else tolerance.gradient
        if dtype == torch.float32 and error(fused.gradients[name], gradient) > allowed:
            # A gradient that is small because large terms cancel has no more digits in float32, which
            # the twin in float32 shows. Two ways to round the same terms differ by up to twice its error.
            single = single or outcome(setup, renderer, dtype, twin, weight)
            allowed = 2 * error(single.gradients[name], gradient)
        assert_close(fused.gradients[name], gradient, allowed, f"gradient of {name}")
    return exact


def error(actual: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest expected entry (1e-3 if that is less)."""
    if not expected.numel():
        return 0.0
    return float((actual - expected).abs().max() / expected.abs().max().clamp(min=1e-3))


# Largest error that `assert_close` has met, by kind; ``pytest --errors`` shows them.
LARGEST_ERRORS: dict[str, float] = {}


def assert_close(actual: Tensor, expected: Tensor, allowed: float, what: str) -> None:
    """Assert equal shapes and a small relative error, and say how large it was."""
    assert actual.shape == expected.shape, f"{what}: {actual.shape} instead of {expected.shape}"
    assert bool(actual.isfinite().all()), f"{what} is not finite"
    found = error(actual.double(), expected.double())
    LARGEST_ERRORS[what] = max(found, LARGEST_ERRORS.get(what, 0.0))
    assert found <= allowed, f"{what} is off by {found:.2e}, allowed is {allowed:.2e}"
