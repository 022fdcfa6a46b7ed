"""A softness in words: what its parts are, with their numbers, and what of it is learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import nn

from taichisoft.softness.annealing import (
    FollowsProgress,
    LearnedAnnealing,
    PiecewiseAnnealing,
    TwoEnded,
)
from taichisoft.softness.conditioned import Conditioned, FollowsSituation
from taichisoft.softness.courses import (
    AnnealedPositive,
    PiecewisePositive,
    PiecewiseReal,
    PositiveCourse,
)
from taichisoft.softness.coverage import Coverage
from taichisoft.softness.depth_scale import DepthFraction
from taichisoft.softness.parameters import Number
from taichisoft.softness.part import Part
from taichisoft.softness.scale import HeightFraction, Pixels, Scale
from taichisoft.softness.situation import Situation

THROUGH_KNOTS = (PiecewiseAnnealing, PiecewisePositive, PiecewiseReal)


class Effect(NamedTuple):
    """A number of a softness with its unit, and what is said before and after it."""

    before: str
    value: str
    after: str


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


def effects_of(parts: Sequence[Part], scale: Scale, image_height: int) -> list[Effect]:
    """Return the numbers that the parts of a softness are made of, as they are now, and its width."""
    effects = [Effect("", f"{float(scale.in_pixels(image_height).detach()):.3g} px", " wide")]
    for part in parts:
        for name, child in part.named_children():
            if isinstance(child, DepthFraction):
                after = " of the extent in depth"
                effects.append(Effect(f"{name} ", f"{float(child().detach()):.3g}", after))
            elif isinstance(child, Number | PositiveCourse | PiecewiseReal):
                unit = " scene units" if name == "gamma" else ""
                effects.append(Effect(f"{name} ", f"{float(child().detach()):.3g}{unit}", ""))
    return effects


def effects_in_words(situation: Situation, *steps: list[Effect]) -> str:
    """Return in a sentence what a softness does for a scene at first, perhaps half-way, and at the end."""
    effects = (
        f"{one.before}{one.value}{one.after}"
        + ("" if all(one == other for other in rest) else " at first" + _later(rest))
        for one, *rest in zip(*steps, strict=True)
    )
    return f"for {situation}: {', '.join(effects)}"


def _later(effects: list[Effect]) -> str:
    *half_way, last = effects
    middle = "".join(f", {one.value} half-way" for one in half_way)
    return f"{middle} and {last.value} at the end"


def has_knots(softness: Part) -> bool:
    """Return whether anything of a softness runs through knots."""
    return any(isinstance(module, THROUGH_KNOTS) for module in softness.modules())


def _conditioned_in_words(softness: Part) -> list[str]:
    """Return a line about the situation if a softness follows it."""
    followers = [m for m in softness.modules() if isinstance(m, FollowsSituation)]
    if not followers:
        return []
    found: dict[str, list[str]] = {}
    for name, number in softness.named_modules():
        if isinstance(number, Conditioned):
            # The knots of one number are told together.
            seen = found.setdefault(name.partition(".knots.")[0], [])
            seen += [feature for feature in number.followed() if feature not in seen]
    named = (f"{name} follows {', '.join(seen) or 'nothing yet'}" for name, seen in found.items())
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
    if isinstance(module, THROUGH_KNOTS):
        return f"through [{', '.join(map(in_words, module.knots))}]"
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
