"""Costs of the parts of the softness and of its derivatives, relative to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

import taichisoft as ts
from benchmarks.scenes import Scene, Setting
from benchmarks.timing import Ratio, Work, measure
from taichisoft.render.rasterizer import ENGINES

# Cut-off radius of every coverage here, in pixels: they all have the same fragments.
REACH = 4.0
# Time for the rounds of one comparison, in seconds.
SECONDS = 3.0

# Largest ratios aimed at.
COVERAGE_TARGET = 1.15
PARAMETERS_TARGET = 1.5
DOUBLE_TARGETS = {"silhouette": 3.0, "alpha, depth and colour": 6.0}


@dataclass(frozen=True)
class Cost:
    """One comparison of two uses of the rasterizer.

    Parameters
    ----------
    scene, work : str
        What was rendered, and which part of the work was timed.
    ours, peer : str
        What was compared.
    target : float or None
        Largest ratio aimed at, if there is one.
    ours_ms, peer_ms, ratio, ratio_low, ratio_high : float
        See `Ratio`.
    """

    scene: str
    work: str
    ours: str
    peer: str
    target: float | None
    ours_ms: float
    peer_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float

    @property
    def verdict(self) -> str:
        """Whether the median ratio is at most the target: met, missed, or nothing without a target."""
        if self.target is None:
            return ""
        return "met" if self.ratio <= self.target else "missed"

    def record(self) -> dict:
        """Return all of it for JSON."""
        return {**asdict(self), "verdict": self.verdict}


def compare_all(settings: Iterable[Setting], rounds: int) -> list[Cost]:
    """Make all comparisons of all scenes; their sigma plays no part."""
    costs = []
    for setting in settings:
        scene = setting.scene
        for work, target, contestants in comparisons(scene):
            costs += compete(scene, work, target, contestants, rounds)
    return costs


def compete(
    scene: Scene, work: str, target: float | None, contestants: dict[str, Work], rounds: int
) -> list[Cost]:
    """Time contestants in turn and compare all others with the first one."""
    times = measure(*contestants.values(), rounds=rounds, seconds=SECONDS)
    peer, *others = contestants
    return [
        Cost(scene.label, work, ours, peer, target, *Ratio.of(times[:, column], times[:, 0]))
        for column, ours in enumerate(others, start=1)
    ]


# A part yields comparisons: the work, the target, and the contestants by name, the peer first.
Comparisons = Iterator[tuple[str, float | None, dict[str, Work]]]
Make = Callable[[float | ts.Scale], ts.Coverage]


def _smooth_mixture(scale: float) -> ts.Mixture:
    return ts.Mixture([ts.Gaussian(), ts.Logistic(), ts.Laplace()], scale)


def _kinked_mixture(scale: float) -> ts.Mixture:
    return ts.Mixture([ts.Gaussian(), ts.Uniform(), ts.ExponentialReversed()], scale)


COVERAGES: dict[str, Make] = {
    "Gaussian": ts.Gaussian,
    "MLPCoverage": ts.MLPCoverage,
    "MonotoneSpline": ts.MonotoneSpline,
    "Mixture of Gaussian, Logistic, Laplace": _smooth_mixture,
    "Mixture of Gaussian, Uniform, ExponentialReversed": _kinked_mixture,
}
LEARNED: dict[str, Make] = {
    "scale of Gaussian": lambda scale: ts.Gaussian(ts.Pixels(scale, learn=True)),
    "weights of MLPCoverage": ts.MLPCoverage,
    "weights of MonotoneSpline": ts.MonotoneSpline,
    "weights of Mixture of Gaussian, Logistic, Laplace": _smooth_mixture,
}


def comparisons(scene: Scene) -> Comparisons:
    """Yield all comparisons of a scene."""
    for part in (_coverages, _parameters, _double_backward, _engines):
        yield from part(scene)


def with_equal_reach(make: Make, *, learn: bool = False) -> ts.Coverage:
    """Return a coverage whose cut-off radius is `REACH`, frozen or with all its parameters learned."""
    return make(REACH / -make(1.0).domain().low).requires_grad_(learn)


def _coverages(scene: Scene) -> Comparisons:
    steps = {}
    for name, make in COVERAGES.items():
        steps[name] = _step(scene, ts.SoftRasterizer(with_equal_reach(make)), silhouette)
    yield "forward+backward", COVERAGE_TARGET, steps


def _parameters(scene: Scene) -> Comparisons:
    for name, make in LEARNED.items():
        frozen, learned = (
            Graph(scene, ts.SoftRasterizer(with_equal_reach(make, learn=learn)), silhouette)
            for learn in (False, True)
        )
        contestants = {f"{name}, frozen": frozen.backward, name: learned.backward}
        yield "backward", PARAMETERS_TARGET, contestants


def _double_backward(scene: Scene) -> Comparisons:
    for name, render in RENDERS.items():
        graph = Graph(scene, _gaussian(), render)
        contestants = {"backward": graph.backward, "double backward": graph.double_backward()}
        yield f"derivatives of {name}", DOUBLE_TARGETS[name], contestants


def _engines(scene: Scene) -> Comparisons:
    for name, render in RENDERS.items():
        steps = {f"{kind} engine": _step(scene, _gaussian(kind), render) for kind in ENGINES}
        yield f"forward+backward of {name}", None, steps


def _gaussian(gradient: str = "fused") -> ts.SoftRasterizer:
    return ts.SoftRasterizer(with_equal_reach(ts.Gaussian), gradient=gradient)


Render = Callable[[ts.SoftRasterizer, ts.Mesh, ts.Camera], tuple[Tensor, ...]]


def silhouette(renderer: ts.SoftRasterizer, mesh: ts.Mesh, camera: ts.Camera) -> tuple[Tensor]:
    """Render alpha alone."""
    return (renderer.silhouette(mesh, camera),)


def full(renderer: ts.SoftRasterizer, mesh: ts.Mesh, camera: ts.Camera) -> tuple[Tensor, ...]:
    """Render everything, with three channels of colour at the vertices."""
    image = renderer(mesh, camera, (mesh.vertices.detach() + 1) / 2)
    return image.alpha, image.depth, image.color


RENDERS: dict[str, Render] = {"silhouette": silhouette, "alpha, depth and colour": full}


class Graph:
    """One render, kept so that its derivatives can be taken again and again.

    Parameters
    ----------
    scene, renderer, render
        What is rendered; gradients go to its vertices and to the parameters that are learned.
    """

    def __init__(self, scene: Scene, renderer: ts.SoftRasterizer, render: Render):
        vertices = scene.mesh.vertices.clone().requires_grad_()
        self.inputs = [vertices, *(p for p in renderer.parameters() if p.requires_grad)]
        self.images = render(renderer, scene.mesh.with_vertices(vertices), scene.camera)
        self.upstream = [torch.ones_like(image) for image in self.images]

    def backward(self) -> tuple[Tensor, ...]:
        """Return the gradients of the sum of the images."""
        return torch.autograd.grad(self.images, self.inputs, self.upstream, retain_graph=True)

    def double_backward(self) -> Work:
        """Return what differentiates the sum of those gradients."""
        gradients = torch.autograd.grad(self.images, self.inputs, self.upstream, create_graph=True)
        ones = [torch.ones_like(gradient) for gradient in gradients]
        return lambda: torch.autograd.grad(gradients, self.inputs, ones, retain_graph=True)


def _step(scene: Scene, renderer: ts.SoftRasterizer, render: Render) -> Work:
    """Return what renders and takes the gradient."""
    return lambda: Graph(scene, renderer, render).backward()
