"""The scenes of the digest: every softness of the library, every look, every way to render."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

import taichisoft as ts
from tests.digest import subjects
from tests.digest.subjects import Arrangement, Subject

Images = dict[str, Tensor]
# Scales of the coverages whose tails fall slowly are a fraction of the others', whose scale is 1.
HEAVY = 0.3


def whole_image(renderer: ts.SoftRasterizer, given: Arrangement) -> Images:
    """Return all that a render has, by name; the colour once, over its background."""
    image = renderer(given.mesh, given.camera, **given.options)
    names = [entry.name for entry in fields(image) if entry.name != "premultiplied"]
    values = {name: getattr(image, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def silhouette(renderer: ts.SoftRasterizer, given: Arrangement) -> Images:
    """Return alpha, rendered alone."""
    return {"alpha": renderer.silhouette(given.mesh, given.camera)}


@dataclass(frozen=True)
class Scene:
    """What is rendered, and how.

    Parameters
    ----------
    subject : Subject
        Meshes, cameras, looks.
    renderer : callable
        Makes the renderer anew, with equal weights each time.
    draw : callable
        Makes the images.
    float64 : bool
        Whether it is rendered in float64 too, where the backend has it.
    """

    subject: Subject
    renderer: Callable[[], ts.SoftRasterizer]
    draw: Callable[[ts.SoftRasterizer, Arrangement], Images] = whole_image
    float64: bool = True


def learned(value: float = 1.0) -> ts.Pixels:
    """Return a learned scale."""
    return ts.Pixels(value, learn=True)


def positive(value: float) -> ts.Positive:
    """Return a learned positive number."""
    return ts.Positive(value, learn=True)


@torch.no_grad()
def noisy(module: nn.Module, size: float, seed: int = 0) -> nn.Module:
    """Return a module with noise added to its weights, but not to scales, gammas and single numbers."""
    generator = subjects.seeded(seed)
    for weight in module.parameters():
        if weight.ndim:
            weight.add_(size * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    return module


@torch.no_grad()
def own_network() -> nn.Module:
    """Return a module as a user might write it, that rises from near 0 to near 1."""
    layers = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1), nn.Sigmoid())
    layers[0].weight.copy_(torch.tensor([[0.6], [0.9], [1.3]]))
    layers[0].bias.copy_(torch.tensor([0.2, -0.3, 0.1]))
    layers[2].weight.copy_(torch.tensor([[1.5, 1.0, 2.0]]))
    layers[2].bias.fill_(-0.4)
    return layers.double()


def soft(
    coverage: ts.Coverage | None = None,
    aggregation: ts.Aggregation | None = None,
    occlusion: ts.Occlusion | None = None,
    *,
    progress: float = 0.4,
    **options: object,
) -> ts.SoftRasterizer:
    """Return a renderer that learns, with a colour behind the mesh; what is annealed is on its way."""
    coverage = coverage or ts.Logistic(learned(0.7))
    occlusion = occlusion or ts.DepthSoftmax(positive(0.3))
    renderer = ts.SoftRasterizer(coverage, aggregation, occlusion, **{"background": 0.25} | options)
    renderer.set_progress(progress)
    return renderer


def pretrained(name: str) -> ts.SoftRasterizer:
    """Return a renderer that comes with the library, on its way."""
    renderer = ts.SoftRasterizer.pretrained(name, trainable=True)
    renderer.set_progress(0.4)
    return renderer


def shift(value: float) -> ts.Real:
    """Return a learned shift."""
    return ts.Real(value, learn=True)


def mixture() -> ts.Mixture:
    """Return a mixture of smooth curves and of one with ends."""
    parts = [ts.Gaussian(learned(0.8)), ts.Uniform(learned(0.5), shift=shift(0.2)), ts.Laplace()]
    return ts.Mixture(parts, learned(), weights=[0.5, 0.3, 0.2])


COVERAGES: Mapping[str, Callable[[], ts.Coverage]] = {
    "gaussian": lambda: ts.Gaussian(learned()),
    "logistic": lambda: ts.Logistic(learned()),
    "softras": lambda: ts.Logistic.softras(3e-3),
    "laplace": lambda: ts.Laplace(learned()),
    "gudermannian": lambda: ts.Gudermannian(learned()),
    "cauchy": lambda: ts.Cauchy(learned(HEAVY)),
    "reciprocal": lambda: ts.Reciprocal(learned(HEAVY)),
    "exponential": lambda: ts.Exponential(learned()),
    "exponential_reversed": lambda: ts.ExponentialReversed(learned()),
    "gamma": lambda: ts.Gamma(learned(), shape=2.0),
    "gamma_reversed": lambda: ts.GammaReversed(learned()),
    "gumbel_max": lambda: ts.GumbelMax(learned()),
    "gumbel_min": lambda: ts.GumbelMin(learned()),
    "levy": lambda: ts.Levy(learned(HEAVY)),
    "levy_reversed": lambda: ts.LevyReversed(learned(HEAVY)),
    "heaviside": ts.Heaviside,
    "uniform": lambda: ts.Uniform(learned()),
    "cubic_hermite": lambda: ts.CubicHermite(learned()),
    "wigner": lambda: ts.Wigner(learned()),
    "squared_gaussian": lambda: ts.Gaussian(learned(), squared=True, reach=2.0),
    "shifted_exponential": lambda: ts.Exponential(learned(), shift=shift(0.3)),
    "moved_wigner": lambda: ts.Wigner(learned(), squared=True, shift=shift(-0.7)),
    "mixture": mixture,
    "mlp": lambda: noisy(ts.MLPCoverage(learned(), seed=3), 0.05),
    "mlp_without_biases": lambda: ts.MLPCoverage(learned(), biases=False, reach=2.5),
    "spline": lambda: noisy(ts.MonotoneSpline(learned(), knots=7), 1.0, 1),
    "custom": lambda: ts.CustomCoverage(own_network(), learned()),
    "straight_through": lambda: ts.StraightThrough(
        ts.Heaviside(), ts.Gaussian(learned(1.5)), learned()
    ),
    "straight_through_soft": lambda: ts.StraightThrough(
        ts.Logistic(learned(0.4)), ts.Cauchy(learned(HEAVY)), learned()
    ),
    "height_fraction": lambda: ts.Gaussian(ts.HeightFraction(0.04, learn=True)),
    "exponential_annealing": lambda: ts.Gaussian(ts.ExponentialAnnealing(learned(2.0), learned())),
    "cosine_annealing": lambda: ts.Logistic(ts.CosineAnnealing(learned(2.0), 0.5)),
    "learned_annealing": lambda: noisy(ts.Gaussian(ts.LearnedAnnealing(learned())), 0.2, 2),
}

AGGREGATIONS: Mapping[str, Callable[[], ts.Aggregation]] = {
    "probabilistic": ts.Probabilistic,
    "einstein": ts.Einstein,
    "hamacher": lambda: ts.Hamacher(positive(0.5)),
    "hamacher_zero": lambda: ts.Hamacher(0),
    "frank": lambda: ts.Frank(positive(5.0)),
    "yager": lambda: ts.Yager(positive(3.0)),
    "aczel_alsina": lambda: ts.AczelAlsina(positive(1.5)),
    "dombi": lambda: ts.Dombi(positive(0.8)),
    "schweizer_sklar": lambda: ts.SchweizerSklar(positive(0.7)),
    "max": ts.Max,
    "monotone": lambda: noisy(ts.MonotoneGenerator(bins=6, reach=5.0), 0.5, 3),
}

OCCLUSIONS: Mapping[str, Callable[[], ts.Occlusion]] = {
    "depth_softmax": lambda: ts.DepthSoftmax(positive(0.2)),
    "hard": ts.HardOcclusion,
    "gaussian": lambda: ts.DepthCurve(ts.Gaussian(), positive(0.3)),
    "shifted_uniform": lambda: ts.DepthCurve(ts.Uniform(shift=shift(-1.5)), positive(0.3)),
    "monotone": lambda: noisy(ts.MonotoneDepth(positive(0.3), knots=7), 0.5, 4),
    "mlp": lambda: noisy(ts.MLPOcclusion(positive(0.3), reach=3.0), 0.3, 5),
    "annealed": lambda: ts.DepthSoftmax(ts.AnnealedPositive(positive(0.5), positive(0.1))),
}


def background_image() -> nn.Parameter:
    """Return a learned image behind the mesh, for the size of the small subjects."""
    return nn.Parameter(subjects.numbers(subjects.seeded(8), *subjects.SMALL, 3))


def looks() -> dict[str, Scene]:
    """Return textures, lights, and what else there is to see."""
    ball, cube = subjects.ball(), subjects.textured_cube()
    flat, gouraud, phong = ts.Shading.FLAT, ts.Shading.GOURAUD, ts.Shading.PHONG
    both = subjects.lit(subjects.textured_cube(views=2), phong, views=2)
    scenes = {
        "texture_repeat": cube,
        "texture_clamp": subjects.textured_cube(wrap=ts.Wrap.CLAMP),
        "texture_batch": subjects.textured_cube(views=2),
        "lit_flat": subjects.lit(ball, flat),
        "lit_gouraud": subjects.lit(ball, gouraud),
        "lit_phong": subjects.lit(ball, phong),
        "lit_both_sides": subjects.lit(ball, flat, two_sided=True),
        "lit_both_sides_phong": subjects.lit(ball, phong, two_sided=True),
        "lit_white": subjects.lit(subjects.plain_cube(), gouraud),
        "lit_texture": both,
        "normals": ball.asked(normals=True, face_ids=True),
        "normals_flat": subjects.lit(ball, flat).asked(normals=True),
        "normals_phong": subjects.lit(cube, phong).asked(normals=True),
    }
    return {name: Scene(subject, soft) for name, subject in scenes.items()}


def ways() -> dict[str, Scene]:
    """Return the kinds of meshes and cameras, and the options of the renderer."""
    ball, large = subjects.ball(), subjects.ball(image=subjects.LARGE, subdivisions=1)
    image = lambda: soft(background=background_image())  # noqa: E731
    autodiff = lambda: soft(gradient="autodiff")  # noqa: E731
    return {
        "soup": Scene(subjects.soup(), soft),
        "soup_batch": Scene(subjects.soup(seed=9, batch=2), soft),
        "clipped": Scene(subjects.soup(away=0.8, near=0.5).asked(face_ids=True), soft),
        "orthographic": Scene(subjects.plain_cube(), soft),
        "orbit": Scene(subjects.orbited_torus(), soft),
        "mesh_batch": Scene(subjects.different_solids().asked(face_ids=True), soft),
        "large": Scene(large, soft),
        "background": Scene(ball, image),
        "silhouette": Scene(ball, lambda: soft(ts.Gaussian(learned())), silhouette),
        "silhouette_max": Scene(ball, lambda: soft(None, ts.Max()), silhouette),
        "culled": Scene(ball.asked(face_ids=True), lambda: soft(culling=ts.Culling.BACK)),
        "culled_silhouette": Scene(ball, lambda: soft(culling=ts.Culling.FRONT), silhouette),
        "ssaa": Scene(ball.asked(normals=True), lambda: soft(ssaa=2)),
        "deterministic": Scene(large, lambda: soft(deterministic=True), float64=False),
        "autodiff": Scene(ball, autodiff),
        "autodiff_soup": Scene(subjects.soup(batch=2), autodiff),
        "autodiff_phong": Scene(subjects.lit(ball, ts.Shading.PHONG), autodiff, float64=False),
        "hard": Scene(large.asked(face_ids=True), ts.SoftRasterizer.hard),
        "pretrained": Scene(ball, lambda: pretrained("general")),
        "pretrained_pose": Scene(ball, lambda: pretrained("pose"), silhouette),
    }


def all_scenes() -> dict[str, Scene]:
    """Return every scene by its name."""
    ball, triangles = subjects.ball(), subjects.soup()
    scenes: dict[str, Scene] = {}
    # The subjects of softness are those with the least work: there are many of these scenes.
    for name, coverage in COVERAGES.items():
        scenes[f"coverage_{name}"] = Scene(ball, lambda make=coverage: soft(make()))
    for name, aggregation in AGGREGATIONS.items():
        scenes[f"aggregation_{name}"] = Scene(ball, lambda make=aggregation: soft(None, make()))
    for name, occlusion in OCCLUSIONS.items():
        scenes[f"occlusion_{name}"] = Scene(
            triangles, lambda make=occlusion: soft(None, None, make())
        )
    return scenes | looks() | ways()
