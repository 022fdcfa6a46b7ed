"""A softness in words: what its parts are, with their numbers, and what of it is learned."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import nn

from taichisoft.softness.annealing import (
    AnnealedPositive,
    FollowsProgress,
    LearnedAnnealing,
    TwoEnded,
)
from taichisoft.softness.conditioned import Conditioned, FollowsSituation
from taichisoft.softness.coverage import Coverage
from taichisoft.softness.depth_scale import DepthFraction
from taichisoft.softness.parameters import Number
from taichisoft.softness.part import Part
from taichisoft.softness.scale import HeightFraction, Pixels
from taichisoft.softness.situation import Situation

if TYPE_CHECKING:
    from taichisoft.softness.softness import Softness


def kinds_in_words(softness: Part) -> list[str]:
    """Return a line for each part of a softness, and one about each state of a run that it follows."""
    lines = [f"{name}: {in_words(part)}" for name, part in softness.settings().items()]
    followers = [m for m in softness.modules() if isinstance(m, FollowsProgress)]
    if followers:
        told = "" if all(m.told for m in followers) else "; never told: loop with anneal(steps)"
        lines.append(
            f"annealed: now at progress {followers[0].progress:.3g}, which goes from 0 to 1{told}"
        )
    return [*lines, *_conditioned_in_words(softness)]


def effect_in_words(softness: Softness, situation: Situation) -> str:
    """Return in a sentence what a softness does for a scene; see `Softness.describe`."""
    told = copy.deepcopy(softness)
    told.set_situation(situation)
    ends = []
    for progress in (0.0, 1.0):
        told.set_progress(progress)
        ends.append(list(_effects(told, situation.image_height)))
    return f"for {situation}: {', '.join(map(_effect_in_words, *ends))}"


def _effects(softness: Softness, image_height: int) -> Iterator[tuple[str, str, str]]:
    """Yield what is said before the single numbers of a softness, these with their units, and what after."""
    width = float(softness.coverage.scale.in_pixels(image_height).detach())
    yield "", f"{width:.3g} px", " wide"
    for part in (softness.coverage, softness.aggregation, softness.occlusion):
        for name, child in part.named_children():
            if isinstance(child, DepthFraction):
                yield f"{name} ", f"{float(child().detach()):.3g}", " of the extent in depth"
            elif isinstance(child, Number | AnnealedPositive):
                unit = " scene units" if name == "gamma" else ""
                yield f"{name} ", f"{float(child().detach()):.3g}{unit}", ""


def _effect_in_words(first: tuple[str, str, str], last: tuple[str, str, str]) -> str:
    (before, value, after), (_, value_at_the_end, _) = first, last
    changes = value != value_at_the_end
    return f"{before}{value}{after}" + changes * f" at first and {value_at_the_end} at the end"


def _conditioned_in_words(softness: Part) -> list[str]:
    """Return a line about the situation if a softness follows it."""
    followers = [m for m in softness.modules() if isinstance(m, FollowsSituation)]
    if not followers:
        return []
    named = (
        f"{name} follows {', '.join(number.followed()) or 'nothing yet'}"
        for name, number in softness.named_modules()
        if isinstance(number, Conditioned)
    )
    told = "" if all(m.knows_situation for m in followers) else "; never told: call set_situation"
    return [f"conditioned: {'; '.join(named)}; now for {followers[0].situation}{told}"]


def parameters_in_words(softness: Part) -> str:
    """Return how many numbers are parameters, and how many of them require gradients."""
    parameters = list(softness.parameters())
    count = sum(p.numel() for p in parameters)
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    if not count:
        return "parameters: none"
    how = {0: "all frozen", count: "all trainable"}.get(trainable, f"{trainable} of them trainable")
    return f"parameters: {count} number{'s' * (count > 1)}, {how}"


def in_words(module: nn.Module) -> str:
    """Return a module in a few words: a number with its unit, or a kind with its numbers."""
    if isinstance(module, Number):
        return f"{float(module().detach()):.3g}"
    if isinstance(module, Pixels):
        return f"{in_words(module.length)} px"
    if isinstance(module, HeightFraction):
        return f"{in_words(module.length)} of the image height"
    if isinstance(module, DepthFraction):
        return f"{in_words(module.value)} of the extent in depth"
    if isinstance(module, AnnealedPositive):
        return f"from {in_words(module.start)} to {in_words(module.end)}"
    if isinstance(module, TwoEnded):
        return f"from {in_words(module.start)} to {in_words(module.end)} ({type(module).__name__})"
    if isinstance(module, LearnedAnnealing):
        return f"from {in_words(module.start)} along a learned course of {module.knots} knots"
    if isinstance(module, nn.ModuleList):
        return f"[{', '.join(map(_within, module))}]"
    if not isinstance(module, Part):
        return type(module).__name__
    arguments = ", ".join(_arguments(module))
    return f"{type(module).__name__} ({arguments})" if arguments else type(module).__name__


def _within(module: nn.Module) -> str:
    """Return a module within another; the scale of a coverage is relative to that of the other."""
    if not isinstance(module, Coverage):
        return in_words(module)
    return in_words(module).replace("(scale", "(relative scale", 1).replace(" px", "", 1)


def _arguments(part: Part) -> Iterator[str]:
    """Return the arguments of a part in words; those that are None or False are not worth any."""
    for name, child in part.named_children():
        unit = " scene units" if name == "gamma" and not isinstance(child, DepthFraction) else ""
        yield f"{name} {_within(child)}{unit}"
    plain = part.extra_repr().split(", ")
    yield from (text.replace("=", " ") for text in plain if text and not _is_dull(text))


def _is_dull(text: str) -> bool:
    return text.endswith(("=None", "=False"))
