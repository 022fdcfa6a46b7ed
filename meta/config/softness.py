"""The softness that training starts from, and which of its parameters are learned."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from meta.config.training import PARTS, TrainSettings
from taichisoft import (
    AczelAlsina,
    Aggregation,
    AnnealedPositive,
    Cauchy,
    Coverage,
    DepthSoftmax,
    Dombi,
    Einstein,
    ExponentialAnnealing,
    ExponentialReversed,
    Frank,
    Gaussian,
    Hamacher,
    HardOcclusion,
    LearnedAnnealing,
    Logistic,
    Max,
    Mixture,
    MLPCoverage,
    MLPOcclusion,
    MonotoneDepth,
    MonotoneGenerator,
    MonotoneSpline,
    Occlusion,
    Pixels,
    Positive,
    Probabilistic,
    Real,
    Scale,
    Softness,
    SoftRasterizer,
    StraightThrough,
    Uniform,
    Yager,
)
from taichisoft.base.checks import check_finite, check_tensor, check_type
from taichisoft.softness.occlusion.base import DepthWidth

MakeCoverage = Callable[[Scale | float, TrainSettings], Coverage]


def _closed_form(cls: Callable[..., Coverage]) -> MakeCoverage:
    return lambda scale, settings: cls(scale, shift=Real(settings.shift, learn=True))


def _mixture(scale: Scale | float, settings: TrainSettings) -> Mixture:
    """Return a mixture of symmetric and one-sided, compact, exponential and heavy tails."""

    def part(cls: Callable[..., Coverage], **options: float) -> Coverage:
        shift = Real(settings.shift, learn=True)
        return cls(Pixels(1.0, learn=True), shift=shift, **options)

    shapes = (Gaussian, Logistic, Uniform, ExponentialReversed)
    # Cauchy's usual cut-off at 50 scales would make every render slow.
    return Mixture([*map(part, shapes), part(Cauchy, reach=8.0)], scale)


COVERAGES: dict[str, MakeCoverage] = {
    "spline": lambda scale, settings: MonotoneSpline(scale),
    "mlp": lambda scale, settings: MLPCoverage(scale, seed=settings.seed),
    "mixture": _mixture,
    "gaussian": _closed_form(Gaussian),
    "logistic": _closed_form(Logistic),
    "exponential": _closed_form(ExponentialReversed),
    "uniform": _closed_form(Uniform),
}
"""Kinds of coverage by name: from a scale, and the settings for a shift and the seed of weights."""

SCHEDULES: dict[str, Callable[[float, float], Scale]] = {
    "constant": lambda start, end: Pixels(start, learn=True),
    "exponential": lambda start, end: ExponentialAnnealing(
        Pixels(start, learn=True), Pixels(end, learn=True)
    ),
    # The factors of the course can do all that a learned start could.
    "free": lambda start, end: LearnedAnnealing(Pixels(start)),
}
"""Courses of the scale by name: from its first and last length in pixels."""

AGGREGATIONS: dict[str, Callable[[Positive], Aggregation]] = {
    "probabilistic": lambda p: Probabilistic(),
    "max": lambda p: Max(),
    "einstein": lambda p: Einstein(),
    "hamacher": Hamacher,
    "frank": Frank,
    "yager": Yager,
    "aczel-alsina": AczelAlsina,
    "dombi": Dombi,
    "generator": lambda p: MonotoneGenerator(),
}
"""T-conorms by name: from the parameter, which some do not have."""

GAMMA_SCHEDULES: dict[str, Callable[[float, float], DepthWidth]] = {
    "constant": lambda start, end: Positive(start, learn=True),
    "exponential": lambda start, end: AnnealedPositive(
        Positive(start, learn=True), Positive(end, learn=True)
    ),
}
"""Courses of gamma by name: from its first and last value in scene units."""

OCCLUSIONS: dict[str, Callable[[DepthWidth, int], Occlusion]] = {
    "softmax": lambda gamma, seed: DepthSoftmax(gamma),
    "spline": lambda gamma, seed: MonotoneDepth(gamma),
    "mlp": lambda gamma, seed: MLPOcclusion(gamma, seed=seed),
    "hard": lambda gamma, seed: HardOcclusion(gamma),
}
"""Kinds of occlusion by name: from gamma and a seed for weights."""


def initial_renderer(settings: TrainSettings) -> SoftRasterizer:
    """Return a renderer whose learned parts, and only those, require gradients.

    Parameters
    ----------
    settings : TrainSettings
        `start`, or else `coverage`, `slope`, `schedule`, `shift`, `scale`, `scale_end`, `aggregation`,
        `aggregation_p`, `occlusion`, `gamma_schedule`, `gamma`, `gamma_end` and, for the weights of networks,
        `seed`; and `learn`.

    Raises
    ------
    FileNotFoundError, ValueError
        `start` is no softness file, or a part that is to be learned has no parameters.
    """
    softness = Softness.load(settings.start) if settings.start else _build(settings)
    learn_only(softness, settings.learn)
    return SoftRasterizer(softness=softness)


def _build(settings: TrainSettings) -> Softness:
    scale = SCHEDULES[settings.schedule](settings.scale, settings.scale_end)
    seed = settings.seed
    p = Positive(settings.aggregation_p, learn=True)
    gamma = GAMMA_SCHEDULES[settings.gamma_schedule](settings.gamma, settings.gamma_end)
    return Softness(
        _coverage(settings, scale),
        AGGREGATIONS[settings.aggregation](p),
        OCCLUSIONS[settings.occlusion](gamma, seed),
    )


def _coverage(settings: TrainSettings, scale: Scale) -> Coverage:
    make = COVERAGES[settings.coverage]
    if settings.slope == "none":
        return make(scale, settings)
    # Widths relative to the scale; that of the image may be learned apart.
    value = make(Pixels(1.0, learn=True), settings)
    return StraightThrough(value, COVERAGES[settings.slope](1.0, settings), scale)


def learn_only(softness: Softness, parts: tuple[str, ...]) -> None:
    """Make the parameters of some parts require gradients, and no others.

    Parameters
    ----------
    softness : Softness
        Its parameters are changed in place.
    parts : tuple of str
        Names among "coverage" (all but its scale), "scale", "aggregation", "occlusion" (all but gamma) and
        "gamma".

    Raises
    ------
    ValueError
        A part has no parameters.
    """
    held = parameters_by_part(softness)
    for name, parameters in held.items():
        for parameter in parameters:
            parameter.requires_grad_(name in parts)
    for name in parts:
        if not held[name]:
            raise ValueError(f"learn names {name!r}, but this softness has no parameter there")


def parameters_by_part(softness: Softness) -> dict[str, list[nn.Parameter]]:
    """Return the parameters of each part that can be learned, in the order of `PARTS`."""
    prefixes = {
        "coverage": "coverage.",
        "scale": "coverage.scale.",
        "aggregation": "aggregation.",
        "occlusion": "occlusion.",
        "gamma": "occlusion.gamma.",
    }
    held: dict[str, list[nn.Parameter]] = {name: [] for name in PARTS}
    for name, parameter in softness.named_parameters():
        # The longest prefix: a scale is a part of a coverage.
        part = max(
            (p for p in PARTS if name.startswith(prefixes[p])), key=lambda p: len(prefixes[p])
        )
        held[part].append(parameter)
    return held


def learned_parameters(softness: Softness) -> dict[str, Any]:
    """Return the parameters that require gradients, by name, as numbers and nested lists for JSON."""
    return {
        name: parameter.detach().tolist()
        for name, parameter in softness.named_parameters()
        if parameter.requires_grad
    }


def with_parameters(softness: Softness, parameters: Mapping[str, Any]) -> Softness:
    """Return a copy of a softness with other numbers, as `learned_parameters` gave them.

    Parameters
    ----------
    softness : Softness
        One of the same kinds.
    parameters : mapping
        Numbers and nested lists by the names in its ``state_dict``; what is not named stays as it is.

    Raises
    ------
    TypeError
        `parameters` is no mapping.
    ValueError
        A name is not one of the softness, or the numbers under it have another shape or are not finite.
    """
    check_type(parameters, "parameters", Mapping)
    made = copy.deepcopy(softness)
    state = made.state_dict()
    for name, numbers in parameters.items():
        if name not in state:
            raise ValueError(f"parameters must be of this softness, which has no {name!r}")
        try:
            value = torch.tensor(numbers, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"parameters[{name!r}] must hold numbers: {error}") from error
        check_tensor(value, f"parameters[{name!r}]", tuple(state[name].shape))
        check_finite(value, f"parameters[{name!r}]")
        state[name].copy_(value)
    return made


def load_renderer(path: Path) -> SoftRasterizer:
    """Return a renderer with the softness of a file, see `taichisoft.Softness.load`."""
    return SoftRasterizer(softness=Softness.load(path))


def scale_in_pixels(renderer: SoftRasterizer, image_size: int) -> float:
    """Return the scale of a renderer's coverage in pixels, for an image of that height.

    That of an annealed scale is the one at its current progress.
    """
    return float(renderer.coverage.scale.in_pixels(image_size).detach())
