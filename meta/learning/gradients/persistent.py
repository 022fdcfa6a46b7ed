"""Persistent evolution strategies: short segments of long trajectories, without the bias of cutting them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from meta.config.settings import Count
from meta.learning.gradients.base import rollouts_of
from meta.learning.gradients.evolution import Evolution, EvolutionSettings, directions
from meta.learning.gradients.point import Point
from meta.learning.gradients.steps import advance, counted
from meta.learning.inner import AdamState, start
from meta.learning.method import Method
from meta.learning.objective import Objective, Outcome, Rollout, capped
from taichisoft.base.checks import check_integer

# Of one rollout each.
States = list[AdamState]


@dataclass(frozen=True, eq=False)
class Segment:
    """Where the particles were during one outer step.

    Parameters
    ----------
    center : Tensor, (D,)
        The parameters then.
    directions : Tensor, (n, D)
        Particle 2 i is at ``center + sigma directions[i]``, particle 2 i + 1 at the opposite place.
    """

    center: Tensor
    directions: Tensor


class PersistentEvolution(Evolution):
    """Antithetic pairs that go on solving the same problems from one outer step to the next.

    An episode is a whole trajectory, cut into ``ceil(steps / horizon)`` segments, one for each outer step. In
    each segment s every pair i has a new direction e_si, and the share L_s of the objective that falls into
    the segment is weighed with all directions of the pair so far, since all of them shaped the trajectory:
    ``g = S sum_i (L_s(+) - L_s(-)) (e_1i + ... + e_si) / (2 n sigma)``, with S segments, so that the mean of
    the estimates of an episode has the expectation of the objective's (smoothed) gradient. Taking e_si alone
    would be a truncated evolution strategy, blind to what earlier segments did.

    The share is the objective with the errors of all other segments set to zero. Shares add up to
    the objective if it is a mean over steps of something that is zero for an error of zero, as
    `TrajectoryObjective` is. With a window at the end of trajectories, segments before it have no share:
    their estimate is zero, while their directions are remembered.

    Parameters
    ----------
    sigma : float
        See `Evolution`.
    pairs : int
        Number n of pairs, at least 1.
    horizon : int
        Number of inner steps per outer step, at least 1.
    steps : int
        Number of inner steps T of a whole trajectory; that of every rollout.

    Notes
    -----
    Vicol, Metz and Sohl-Dickstein, "Unbiased gradient estimation in unrolled computation graphs with
    persistent evolution strategies" (ICML 2021), with directions that are orthogonal within a segment. An
    outer step costs ``2 n horizon`` inner steps.

    The state is where the particles have been in the episode. Their unknowns are found by going there again,
    so that a checkpoint is small, the same for all processes, and free of problems.

    The outcome has the value ``S L_s``, and error and success where the segment ends, each a mean over all
    particles.
    """

    def __init__(self, sigma: float, pairs: int, horizon: int, steps: int):
        super().__init__(sigma)
        self.pairs = check_integer(pairs, "pairs", minimum=1)
        self.horizon = check_integer(horizon, "horizon", minimum=1)
        self.steps = check_integer(steps, "steps", minimum=1)
        self._past: list[Segment] = []
        self._particles: list[States] | None = None

    @property
    def segments(self) -> int:
        """Number S of outer steps of an episode."""
        return -(-self.steps // self.horizon)

    def objective_step(self, step: int) -> int:
        """Return the outer step at which the episode of an outer step began."""
        return step - step % self.segments

    def state_dict(self) -> dict[str, Any]:
        """Return the segments of the episode: "centers" (s, D) and "directions" (s, n, D), float64.

        Empty between episodes.
        """
        if not self._past:
            return {}
        return {
            "centers": torch.stack([segment.center for segment in self._past]),
            "directions": torch.stack([segment.directions for segment in self._past]),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue an episode; see `MetaGradient.load_state_dict`."""
        past = [Segment(*pair) for pair in zip(*self._checked(state), strict=True)] if state else []
        self._past, self._particles = past, None

    def explore(
        self, objective: Objective, point: Point, generator: torch.Generator
    ) -> tuple[Tensor, Outcome]:
        """Return gradient and outcome; see `Evolution.explore`."""
        self._check(rollouts_of(objective, "persistent evolution"))
        found = directions(self.pairs, len(point.center), generator).to(point.center.device)
        now = Segment(point.center, found)
        particles, shares = self._run(objective, point, now, self._continued(objective, point))
        self._past, self._particles = [*self._past, now], particles
        moved = torch.stack([segment.directions for segment in self._past]).sum(0)
        if len(self._past) == self.segments:
            self._past, self._particles = [], None
        slopes = (shares[0::2, 0] - shares[1::2, 0]) / (2 * self.sigma)
        gradient = self.segments * (slopes.to(moved)[:, None] * moved).mean(0)
        value, error_mean, success = shares.mean(0).tolist()
        return gradient, Outcome(self.segments * value, error_mean, success)

    def _continued(self, objective: Objective, point: Point) -> list[States]:
        """Return where the particles are, going there again after `load_state_dict`."""
        if self._particles is not None:
            return self._particles
        particles = [
            [start(rollout.task) for rollout in objective.rollouts] for _ in range(2 * self.pairs)
        ]
        for segment in self._past:
            particles, _ = self._run(objective, point, segment, particles)
        return particles

    def _run(
        self, objective: Objective, point: Point, segment: Segment, particles: list[States]
    ) -> tuple[list[States], Tensor]:
        """Return the particles after a segment, and their shares summed over processes, (2 n, 3)."""
        after, shares = [], []
        for index, states in enumerate(particles):
            offset = (-1) ** index * self.sigma * segment.directions[index // 2]
            method = point.moved(segment.center + offset)
            pairs = zip(objective.rollouts, states, strict=True)
            ran = [self._run_one(objective, *pair, method) for pair in pairs]
            after.append([state for state, _ in ran])
            shares.append(torch.stack([share for _, share in ran]).sum(0))
        return after, objective.group.sum(torch.stack(shares))

    def _run_one(
        self, objective: Objective, rollout: Rollout, state: AdamState, method: Method
    ) -> tuple[AdamState, Tensor]:
        """Return the state after a segment, and weighted share, last capped error and success, (3,)."""
        error, cap, counts = rollout.task.error, rollout.error_cap, counted(objective, rollout)
        rows = {0: error(state.unknowns)} if state.step == 0 else {}
        for step in range(state.step + 1, min(state.step + self.horizon, self.steps) + 1):
            state = advance(rollout, method, state)
            if counts[step]:
                rows[step] = error(state.unknowns)
        last = error(state.unknowns)
        nothing = torch.zeros_like(last)
        errors = torch.stack([rows.get(step, nothing) for step in range(self.steps + 1)])
        success = rollout.task.success(last).float().mean()
        numbers = [objective.reduce(errors, cap), capped(last, cap).mean(), success]
        return state, rollout.weight * torch.stack([n.detach().double().cpu() for n in numbers])

    def _check(self, rollouts: tuple[Rollout, ...]) -> None:
        for rollout in rollouts:
            if rollout.inner.steps != self.steps:
                raise ValueError(
                    f"objective must have rollouts of {self.steps} inner steps, as the estimator has, "
                    f"got one of {rollout.inner.steps}"
                )

    def _checked(self, state: dict[str, Any]) -> tuple[Tensor, Tensor]:
        if state.keys() != {"centers", "directions"}:
            raise ValueError(
                f"state must have centers and directions, got {', '.join(sorted(state))}"
            )
        centers, found = state["centers"].clone(), state["directions"].clone()
        size = (len(centers), self.pairs, centers.shape[-1])
        if found.shape != size or not 0 < len(centers) < self.segments:
            raise ValueError(
                f"state must be of 1 to {self.segments - 1} segments and {self.pairs} pairs, "
                f"got directions of shape {tuple(found.shape)}"
            )
        return centers, found


@dataclass(frozen=True)
class PersistentSettings(EvolutionSettings):
    """Persistent evolution strategies."""

    name: ClassVar[str] = "es-persistent"
    label: ClassVar[str] = "evolution, persistent"

    horizon: Count = 8  # Inner steps of an outer step.

    def build(self, steps: int) -> PersistentEvolution:
        """Return the estimator."""
        return PersistentEvolution(self.sigma, self.pairs, self.horizon, steps)
