"""The softness that training starts from, and which of its parameters are learned."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import nn

from meta.config.conditioned import follow_situation
from meta.config.imported import is_import_path, named_or_imported
from meta.config.parts import (
    AGGREGATION_SCHEDULES,
    AGGREGATIONS,
    CLOSED_FORMS,
    COVERAGES,
    GAMMA_SCHEDULES,
    GAMMA_UNITS,
    LEARNABLE,
    OCCLUSIONS,
    ORDERS,
    RATE,
    SCHEDULES,
    SHIFT_SCHEDULES,
    coverage_of,
)
from meta.config.settings import AtLeast, PositiveFloat, Settings, check_different
from taichisoft import Coverage, Pixels, Scale, Softness, SoftRasterizer, StraightThrough
from taichisoft.base.checks import check_finite, check_tensor, check_type
from taichisoft.softness.courses import RealOrCourse
from taichisoft.softness.registry import describe
from taichisoft.softness.trained import Trained

Part = Literal[(*LEARNABLE, RATE)]


@dataclass(frozen=True)
class SoftnessSettings(Settings):
    """The softness to start from, and what is learned of it."""

    # What is learned: parts of the softness, and the rate of the inner steps.
    learn: tuple[Part, ...] = ("coverage", "scale", "aggregation")
    # Softness file to start from: of the other options of a softness, learn and conditioned alone count then.
    start: str = ""
    # Let all numbers that can be learned follow the situation of a scene, with weights that start at 0.
    conditioned: bool = False
    # Kind of coverage, by name or import path.
    coverage: Annotated[str, named_or_imported(COVERAGES, "--coverage")] = "gaussian"
    # Coverage whose slope the gradient follows instead of the image's (straight-through).
    slope: Literal[("none", *COVERAGES)] = "none"
    # Scale over the inner steps: constant, from scale to scale-end (exponential, or by knots), or any (free).
    schedule: Literal[tuple(SCHEDULES)] = "exponential"
    # Knots of the schedules that have them, those of the first and the last step included.
    knots: Annotated[int, AtLeast(2)] = 3
    # Initial shift of a closed-form coverage in scales; positive shrinks a face.
    shift: float = 0.0
    # Scales at which the tail of a closed-form coverage is cut; 0: where it is faint. Fewer take less time.
    reach: float = 0.0
    # Shift over the inner steps: constant, or through knots, which are equal at first.
    shift_schedule: Literal[tuple(SHIFT_SCHEDULES)] = "constant"
    scale: PositiveFloat = 1.5  # Initial scale in pixels, of the first step.
    scale_end: PositiveFloat = 0.15  # Initial scale of the last step in pixels.
    aggregation: Literal[tuple(AGGREGATIONS)] = "aczel-alsina"  # How coverages combine.
    aggregation_p: float = 1.3  # Initial parameter of the aggregation, if it has one.
    # That parameter over the inner steps: constant, or through knots, which are equal at first.
    aggregation_schedule: Literal[tuple(AGGREGATION_SCHEDULES)] = "constant"
    occlusion: Literal[tuple(OCCLUSIONS)] = "softmax"  # How depths combine.
    # Gamma over the inner steps: constant, from gamma to gamma-end (exponential), or through knots.
    gamma_schedule: Literal[tuple(GAMMA_SCHEDULES)] = "constant"
    gamma: PositiveFloat = 0.05  # Initial gamma of the occlusion.
    gamma_end: PositiveFloat = 0.05  # Initial gamma of the last step.
    # What gamma is counted in: scene units, or, with front_to_back, the extent in depth of what is drawn.
    gamma_unit: Literal[tuple(GAMMA_UNITS)] = "scene"
    order: Literal[tuple(ORDERS)] = "hermite"  # Order of depths of the occlusion front_to_back.

    def check(self, prefix: str = "") -> None:
        """Check every field; see `Settings.check`."""
        if not isinstance(self.coverage, str):
            kind = (
                self.coverage if isinstance(self.coverage, type) else type(self.coverage)
            ).__name__
            raise TypeError(
                f"{prefix}coverage must be a name or an import path as my_module:MyCoverage, got {kind}: an "
                "object is learned by meta.learn(renderer, families)"
            )
        super().check(prefix)
        if self.coverage not in COVERAGES and not is_import_path(self.coverage):
            raise ValueError(
                f"{prefix}coverage must be one of {', '.join(COVERAGES)}, or an import path as "
                f"my_module:MyCoverage, got {self.coverage!r}"
            )
        check_different(self.learn, f"{prefix}learn", "names")
        if self.gamma_unit != "scene" and self.occlusion != "front_to_back":
            raise ValueError(
                f"{prefix}gamma_unit must be scene unless the occlusion is front_to_back, got "
                f"{self.gamma_unit} with {self.occlusion}"
            )
        if not 0 <= self.reach < math.inf:
            raise ValueError(f"{prefix}reach must be finite and not negative, got {self.reach:g}")
        if self.reach and not {self.coverage, self.slope} <= {"none", *CLOSED_FORMS}:
            raise ValueError(
                f"{prefix}reach must be 0 unless the coverage, and the slope if there is one, is among "
                f"{', '.join(CLOSED_FORMS)}, got {self.reach:g} with {self.coverage} and {self.slope}"
            )

    def build(self, seed: int) -> Softness:
        """Return the softness, with a seed for the weights of networks; `start` and `learn` have no part."""
        p = AGGREGATION_SCHEDULES[self.aggregation_schedule](self.aggregation_p, self.knots)
        gamma = GAMMA_UNITS[self.gamma_unit](
            GAMMA_SCHEDULES[self.gamma_schedule](self.gamma, self.gamma_end, self.knots)
        )
        softness = Softness(
            self._coverage(seed),
            AGGREGATIONS[self.aggregation](p),
            OCCLUSIONS[self.occlusion](gamma, seed, ORDERS[self.order](seed)),
        )
        if self.conditioned:
            follow_situation(softness)
        return softness

    def _coverage(self, seed: int) -> Coverage:
        def make(name: str, scale: Scale | float) -> Coverage:
            return coverage_of(name)(scale, shift, seed, self.reach or None)

        def shift() -> RealOrCourse:
            return SHIFT_SCHEDULES[self.shift_schedule](self.shift, self.knots)

        scale = SCHEDULES[self.schedule](self.scale, self.scale_end, self.knots)
        if self.slope == "none":
            return make(self.coverage, scale)
        # Widths relative to the scale; that of the image may be learned apart.
        value = make(self.coverage, Pixels(1.0, learn=True))
        return StraightThrough(value, make(self.slope, 1.0), scale)


def initial_renderer(settings: SoftnessSettings, seed: int) -> SoftRasterizer:
    """Return a renderer whose learned parts, and only those, require gradients.

    Parameters
    ----------
    settings : SoftnessSettings
        What to start from, and what to learn.
    seed : int
        For the weights of networks.

    Raises
    ------
    FileNotFoundError, ValueError
        `start` is no softness file, or a part that is to be learned has no parameters.
    """
    softness = Softness.load(settings.start) if settings.start else settings.build(seed)
    # How that of a file was trained, and at which rate, is not how this one is.
    softness.trained = Trained()
    if settings.conditioned:
        follow_situation(softness)
    learn_only(softness, settings.learn)
    return SoftRasterizer(softness=softness)


def learn_only(softness: Softness, parts: tuple[str, ...]) -> None:
    """Make the parameters of some parts require gradients, and no others.

    Parameters
    ----------
    softness : Softness
        Its parameters are changed in place.
    parts : tuple of str
        Names among "coverage" (all but its scale), "scale", "aggregation", "occlusion" (all but gamma) and
        "gamma"; "rate" is none of a softness, and changes nothing here.

    Raises
    ------
    ValueError
        A part has no parameters.
    """
    found = parameters_by_part(softness)
    for name, parameters in found.items():
        for parameter in parameters:
            parameter.requires_grad_(name in parts)
    for name in parts:
        if name != RATE and not found[name]:
            raise ValueError(f"learn names {name!r}, but this softness has no parameter there")


def parameters_by_part(softness: Softness) -> dict[str, list[nn.Parameter]]:
    """Return the parameters of each part that can be learned, in the order of `LEARNABLE`."""
    found: dict[str, list[nn.Parameter]] = {name: [] for name in LEARNABLE}
    for name, parameter in softness.named_parameters():
        beginnings = {part: text for part, text in LEARNABLE.items() if name.startswith(text)}
        found[max(beginnings, key=lambda part: len(beginnings[part]))].append(parameter)
    return found


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


def can_be_saved(softness: Softness) -> bool:
    """Return whether a file can hold a softness: all of its parts are of classes of the library."""
    try:
        for part in softness.settings().values():
            describe(part)
    except TypeError:
        return False
    return True


def load_renderer(path: Path) -> SoftRasterizer:
    """Return a renderer with the softness of a file, frozen: see `taichisoft.Softness.load`."""
    return SoftRasterizer(softness=Softness.load(path))


def scale_in_pixels(renderer: SoftRasterizer, image_size: int) -> float:
    """Return the scale of a renderer's coverage in pixels, for an image of that height.

    That of an annealed scale is the one at its current progress.
    """
    return float(renderer.coverage.scale.in_pixels(image_size).detach())
