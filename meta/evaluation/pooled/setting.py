"""A setting for all families: a curve, its scale, T-conorm, gamma and a multiple of the learning rates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Literal

from meta.config.settings import PositiveFloat, Settings
from meta.evaluation.candidates import FIXED
from taichisoft import Aggregation, CubicHermite, Frank, FrontToBack, Probabilistic, SoftRasterizer
from taichisoft.softness.coverage.closed_form import ClosedForm

CONORMS: MappingProxyType[str, Callable[[], Aggregation]] = MappingProxyType(
    {
        "probabilistic": Probabilistic,
        "frank-10": partial(Frank, 10.0),
        "frank-100": partial(Frank, 100.0),
    }
)
"""T-conorms to choose from, by name: those that `benchmarks.conorms` finds good in some family."""

# Tails end here, in scales, or before: wider ones cost most of the time, and hardly help.
REACH = 5.0

# Stands for every gamma where none is seen.
UNSEEN = 1.0


@dataclass(frozen=True)
class PooledSetting(Settings):
    """A setting.

    Colours are composited front to back, in the cubic order: of the orders that `benchmarks.occlusion_order`
    compares it solves the most, and takes the least time.
    """

    entrant: Literal[tuple(FIXED)]  # Curve and schedule.
    scale: PositiveFloat  # In pixels; of an annealed one half-way.
    conorm: Literal[tuple(CONORMS)]  # T-conorm.
    gamma: PositiveFloat  # Of the occlusion, in scene units.
    rate: PositiveFloat  # Learning rate as a multiple of each family's own.

    def __post_init__(self):
        self.check()

    def renderer(self) -> SoftRasterizer:
        """Return a new renderer, whose parameters need no gradient."""
        fixed = FIXED[self.entrant]
        coverage = fixed.coverage(fixed.schedule(self.scale))
        if isinstance(coverage, ClosedForm) and float(coverage.low()) < -REACH:
            coverage.reach = REACH
        made = SoftRasterizer(
            coverage, CONORMS[self.conorm](), FrontToBack(CubicHermite(), self.gamma)
        )
        return made.requires_grad_(False)

    def seen(self, has_depth: bool) -> PooledSetting:
        """Return what a family can see of it: settings that look the same to it become equal."""
        return self if has_depth else replace(self, gamma=UNSEEN)
