"""Checkpoints over steps: the softness of a run after each outer step."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from meta.config.parts import RATE
from meta.config.softness import with_parameters
from meta.report.page.chart import thinned
from taichisoft import Positive, Real, Scale, Softness
from taichisoft.base.checks import check_type
from taichisoft.softness.annealing import FollowsProgress, PiecewiseAnnealing

# Steps that the slider of a page stops at; more would make the page large.
MOST_STEPS = 60


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A softness after a number of outer steps.

    Parameters
    ----------
    step : int
        Steps taken; 0 is the start.
    softness : Softness
        What was learned by then.
    """

    step: int
    softness: Softness


def checkpoints_over_steps(
    saved: Softness, start: Softness | None, history: Sequence[dict]
) -> tuple[Checkpoint, ...]:
    """Return the softness after the steps that are known, by rising step.

    Of more than `MOST_STEPS` the saved one and equally spaced ones, the first and the last among them.

    Parameters
    ----------
    saved : Softness
        The one that is kept, which says of which step it is.
    start : Softness or None
        The one before the first step, if it is known.
    history : sequence of dict
        Steps, with the ``parameters`` after each; runs of earlier versions have none there.

    Raises
    ------
    ValueError
        Parameters in the history are not of this softness.
    """
    whole = {} if start is None else {0: start}
    kept = saved.trained.get("step", len(history))
    whole[kept] = saved
    parameters = {
        row["step"]: _of_softness(row["parameters"]) for row in history if "parameters" in row
    }
    steps = sorted({*whole, *parameters})
    if len(steps) > MOST_STEPS:
        steps = sorted({kept, *(steps[index] for index in thinned(len(steps), MOST_STEPS - 1))})
    return tuple(
        Checkpoint(step, whole[step] if step in whole else with_parameters(saved, parameters[step]))
        for step in steps
    )


def _of_softness(parameters: object) -> dict[str, Any]:
    """Return the parameters of a step without the rate, which is none of the softness."""
    learned = check_type(parameters, "parameters", Mapping)
    return {name: value for name, value in learned.items() if name != RATE}


def numbers_of(softness: Softness, image_height: int) -> dict[str, float]:
    """Return the single numbers that are learned, in their own units: widths, shifts, exponents.

    An annealed scale counts with its first and its last length, and those at knots between. Weights of
    networks and splines are not single numbers, see `distance`.
    """
    numbers = _lengths(softness.coverage.scale, image_height)
    inside = {id(module) for module in softness.coverage.scale.modules()}
    for name, module in softness.named_modules():
        learned = any(p.requires_grad for p in module.parameters())
        if isinstance(module, Positive | Real) and id(module) not in inside and learned:
            numbers[name.replace(".", " ")] = float(module().detach())
    return numbers


def distance(softness: Softness, other: Softness) -> float | None:
    """Return the root mean square difference of the learned weights that are not single numbers.

    None if there are no such weights.
    """
    before = other.state_dict()
    parts = [
        (parameter.detach() - before[name]).flatten()
        for name, parameter in softness.named_parameters()
        if parameter.requires_grad and parameter.ndim > 0
    ]
    return float(torch.cat(parts).square().mean().sqrt()) if parts else None


def at_progress(softness: Softness, progress: float) -> Softness:
    """Return a copy at a progress of an optimisation from 0 to 1."""
    moved = copy.deepcopy(softness)
    moved.set_progress(progress)
    return moved


def scale_of(softness: Softness, progress: float, image_height: int) -> Tensor:
    """Return the scale in pixels at a progress, a scalar float64 tensor without gradient."""
    return at_progress(softness, progress).coverage.scale.in_pixels(image_height).detach()


def is_annealed(softness: Softness, image_height: int) -> bool:
    """Return whether the coverage follows the progress: by its scale, or by a shift."""
    scale = set(softness.coverage.scale.modules())
    if any(isinstance(m, FollowsProgress) for m in set(softness.coverage.modules()) - scale):
        return True
    places = (0.0, 0.25, 0.5, 0.75, 1.0)
    return len({float(scale_of(softness, place, image_height)) for place in places}) > 1


def _lengths(scale: Scale, image_height: int) -> dict[str, float]:
    knots = len(scale.knots) if isinstance(scale, PiecewiseAnnealing) else 2
    moved, lengths = copy.deepcopy(scale), {}
    for place in (knot / (knots - 1) for knot in range(knots)):
        moved.set_progress(place)
        name = {0.0: "first inner step", 1.0: "last inner step"}.get(place, f"progress {place:.2g}")
        lengths[f"scale, {name} [px]"] = float(moved.in_pixels(image_height).detach())
    if len(set(lengths.values())) == 1:
        return {"scale [px]": next(iter(lengths.values()))}
    return lengths
