"""Who takes part in the comparison of renderers, and what each may choose from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from benchmarks import deodr_renderer, other_renderer
from benchmarks.deodr_renderer import Deodr
from benchmarks.other_renderer import solve_with
from meta.evaluation.candidates import FIXED, Candidate, Choice, Grid, Learned, annealed, constant
from meta.evaluation.measurements import OnStep
from meta.learning.inner import InnerSettings, Trajectory
from meta.learning.method import rate_of, usual_situation
from taichisoft import Scale, Softness
from taichisoft.softness.pretrained import SUFFIX, shipped
from tasks.base import Task, TaskFamily

# In pixels. As many as fixed softnesses have scales.
WIDTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
GENERAL = "general"


@final
@dataclass(frozen=True)
class DeodrCandidate(Candidate):
    """DEODR; it chooses the width of its edges and a learning rate.

    Parameters
    ----------
    schedule : callable
        Makes the width from its length in pixels. Of the top level of a module, so that it can be pickled.
    """

    code = (deodr_renderer, other_renderer)

    schedule: Callable[[float], Scale | float]

    def choices(self, grid: Grid) -> list[Choice]:
        """Return every width with every rate; the gamma, which silhouettes do not depend on, is a filler."""
        gamma = grid.gammas[0]
        return [Choice(width, gamma, rate) for width in WIDTHS for rate in grid.learning_rates]

    def renderer(self, choice: Choice) -> Deodr:
        """Return DEODR with edges of that width."""
        return Deodr(self.schedule(choice.scale))

    def solve(
        self, task: Task, renderer: Deodr, settings: InnerSettings, on_step: OnStep
    ) -> Trajectory:
        """Solve a batch of problems with such a renderer."""
        return solve_with(task, renderer, settings, on_step)


DEODR = (
    DeodrCandidate("deodr", "DEODR", constant),
    DeodrCandidate("deodr-annealed", "DEODR, annealed edges", annealed),
)
TUNED = FIXED["gaussian-annealed"]


def general(family: TaskFamily, image_height: int) -> Learned:
    """Return the softness for all families that comes with the library, at the rate it was learned under."""
    path = Path(str(shipped())) / f"{GENERAL}{SUFFIX}"
    return Learned(
        GENERAL,
        "Learned: general",
        path=path,
        image_height=image_height,
        learning_rate=rate_of(Softness.load(path), 1.0, family) * family.learning_rate,
        situation=usual_situation(family),
    )
