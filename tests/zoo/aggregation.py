"""The zoo of T-conorms: members of every family, each with its formula for two arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.softness.aggregation import (
    AczelAlsina,
    Aggregation,
    BoundedSum,
    Dombi,
    Einstein,
    Frank,
    Hamacher,
    Max,
    MonotoneGenerator,
    Probabilistic,
    SchweizerSklar,
    Yager,
)
from taichisoft.softness.parameters import Positive

Join = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Family:
    """A family of T-conorms with a parameter.

    Parameters
    ----------
    make : callable
        The member with the number p, learned.
    join : callable
        Maps a, b and p to the alpha of two coverages, straight from the textbook.
    members : tuple of float
        Values of p that are tested.
    blind : callable
        Maps p to how near to 0 or 1 an alpha counts as 0 or 1, since its generator would leave float32.
    """

    make: Callable[[float], Aggregation]
    join: Callable[[Tensor, Tensor, float], Tensor]
    members: tuple[float, ...]
    blind: Callable[[float], float] = lambda p: 0.0


def learned_p(p: float) -> Positive:
    return Positive(p, learn=True)


def hamacher(a: Tensor, b: Tensor, p: float) -> Tensor:
    return (a + b + (p - 2) * a * b) / (1 + (p - 1) * a * b)


def frank(a: Tensor, b: Tensor, p: float) -> Tensor:
    if p == 1:
        return a + b - a * b
    log_p = torch.log(torch.tensor(p, dtype=a.dtype))
    product = torch.expm1(log_p * (1 - a)) * torch.expm1(log_p * (1 - b))
    return 1 - torch.log1p(product / (p - 1)) / log_p


def aczel_alsina(a: Tensor, b: Tensor, p: float) -> Tensor:
    depths = (-torch.log1p(-a)) ** p + (-torch.log1p(-b)) ** p
    return -torch.expm1(-(depths ** (1 / p)))


def dombi(a: Tensor, b: Tensor, p: float) -> Tensor:
    odds = ((a / (1 - a)) ** p + (b / (1 - b)) ** p) ** (1 / p)
    return 1 - 1 / (1 + odds)


def yager(a: Tensor, b: Tensor, p: float) -> Tensor:
    return ((a**p + b**p) ** (1 / p)).clamp(max=1)


def schweizer_sklar(a: Tensor, b: Tensor, p: float) -> Tensor:
    return 1 - ((1 - a) ** p + (1 - b) ** p - 1) ** (1 / p)


def power_blindness(p: float) -> float:
    return 1e-30 ** (1 / p)


FAMILIES = {
    "hamacher": Family(lambda p: Hamacher(learned_p(p)), hamacher, (0.01, 0.5, 10.0)),
    "frank": Family(lambda p: Frank(learned_p(p)), frank, (1e-3, 1.0, 100.0)),
    "yager": Family(lambda p: Yager(learned_p(p)), yager, (0.5, 1.0, 3.0), power_blindness),
    "aczel_alsina": Family(
        lambda p: AczelAlsina(learned_p(p)), aczel_alsina, (0.5, 1.0, 3.0), power_blindness
    ),
    "dombi": Family(lambda p: Dombi(learned_p(p)), dombi, (0.5, 1.0, 3.0), power_blindness),
    "schweizer_sklar": Family(
        lambda p: SchweizerSklar(learned_p(-p)),
        schweizer_sklar,
        (-0.1, -1.0, -3.0),
        lambda p: power_blindness(-p),
    ),
}


@dataclass(frozen=True)
class Case:
    """One T-conorm: see `Family`; `join` is None if there is no formula for two arguments."""

    make: Callable[[], Aggregation]
    join: Join | None
    blind: float = 0.0


@torch.no_grad()
def random_generator(size: float, seed: int) -> MonotoneGenerator:
    """Return a learned generator with random weights."""
    aggregation = MonotoneGenerator(bins=6, reach=5.0)
    generator = torch.Generator().manual_seed(seed)
    for weight in aggregation.parameters():
        weight.add_(size * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    return aggregation


def member(family: Family, p: float) -> Case:
    return Case(lambda: family.make(p), lambda a, b: family.join(a, b, p), family.blind(p))


CASES = {
    "probabilistic": Case(Probabilistic, lambda a, b: a + b - a * b),
    "max": Case(Max, torch.maximum),
    "bounded": Case(BoundedSum, lambda a, b: (a + b).clamp(max=1)),
    "einstein": Case(Einstein, lambda a, b: (a + b) / (1 + a * b)),
    "hamacher_0": Case(lambda: Hamacher(0), lambda a, b: hamacher(a, b, 0)),
    **{
        f"{name}_{p:g}": member(family, p)
        for name, family in FAMILIES.items()
        for p in family.members
    },
    "monotone": Case(MonotoneGenerator, lambda a, b: a + b - a * b),
    "monotone_random": Case(lambda: random_generator(1.0, 3), None),
    "monotone_wild": Case(lambda: random_generator(5.0, 4), None),
}
