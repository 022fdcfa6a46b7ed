"""Settings of choosing one setting for all families: what there is to choose from, and the budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from meta.config.settings import AtLeast, Count, PositiveFloat, Settings, check_different
from meta.evaluation.candidates import FIXED
from meta.evaluation.pooled.setting import CONORMS, PooledSetting


@dataclass(frozen=True)
class PooledSettings(Settings):
    """The grid of settings of every entrant, and how many problems are solved for choosing."""

    # Fixed softnesses, each of which chooses one setting.
    entrants: tuple[Literal[tuple(FIXED)], ...] = tuple(FIXED)
    # Scales in pixels to choose from; of an annealed one half-way.
    scales: tuple[PositiveFloat, ...] = (0.12, 0.25, 0.5, 1.0)
    # T-conorms to choose from.
    conorms: tuple[Literal[tuple(CONORMS)], ...] = ("probabilistic", "frank-10")
    gammas: tuple[PositiveFloat, ...] = (0.4, 0.8, 1.6)  # Gammas to choose from, in scene units.
    # Learning rates to choose from, as multiples of each family's own.
    rates: tuple[PositiveFloat, ...] = (0.5, 1.0, 2.0)
    # Training problems that all entrants together may solve to choose a setting for all families.
    budget: Count = 24_000
    keep: Annotated[int, AtLeast(2)] = 3  # One in so many settings is kept in every round.
    # How many fixed softnesses, those of the highest scores, are compared on held-out problems.
    finalists: Count = 2
    # Of these, each may solve this part of a family's share of the budget to choose for that one alone.
    alone: PositiveFloat = 0.25

    def __post_init__(self):
        self.check()
        for name in ("entrants", "scales", "conorms", "gammas", "rates"):
            check_different(getattr(self, name), name)

    @property
    def budget_each(self) -> int:
        """Problems that one entrant may solve."""
        return self.budget // len(self.entrants)

    def budget_alone(self, share: float) -> int:
        """Return the problems that a finalist may solve to choose for a family of that share of all."""
        return int(self.alone * share * self.budget)

    def choices(self, entrant: str) -> list[PooledSetting]:
        """Return all settings of an entrant."""
        return [
            PooledSetting(entrant, scale, conorm, gamma, rate)
            for scale in self.scales
            for conorm in self.conorms
            for gamma in self.gammas
            for rate in self.rates
        ]


# The few that first looks and tables have found good, for a try that takes minutes.
FEW = PooledSettings(
    entrants=("gaussian-annealed", "logistic-annealed", "logistic"),
    scales=(0.25, 0.5, 1.0),
    conorms=("probabilistic",),
    gammas=(0.8,),
    rates=(1.0,),
    budget=400,
)
"""A small choice, where none is published."""
