"""One outer step after another: problems of a step, meta-gradient, update."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

import torch

from meta.config.families import build_families
from meta.config.softness import initial_renderer, learned_parameters, scale_in_pixels
from meta.config.training import TrainSettings
from meta.learning.gradients import (
    EvolutionStrategies,
    FirstOrder,
    MetaGradient,
    OneSidedEvolution,
    PersistentEvolution,
    Truncated,
    Unrolled,
)
from meta.learning.group import Alone, Group
from meta.learning.inner import InnerSettings
from meta.learning.objective import Rollout, TrajectoryObjective, Window, final, late, throughout
from meta.learning.outer import OuterOptimizer
from meta.learning.sharding import Part, parts_of
from meta.runs.checkpoint import Checkpoint
from meta.runs.history import Record
from tasks import Split

GRADIENTS: dict[str, Callable[[TrainSettings], MetaGradient]] = {
    "es": lambda settings: EvolutionStrategies(settings.es_sigma, settings.es_pairs),
    # As many directions as antithetic pairs have evaluations, so that both cost about the same.
    "es-plain": lambda settings: OneSidedEvolution(settings.es_sigma, 2 * settings.es_pairs),
    "es-persistent": lambda settings: PersistentEvolution(
        settings.es_sigma, settings.es_pairs, settings.horizon, settings.inner_steps
    ),
    "unrolled": lambda settings: Unrolled(),
    "truncated": lambda settings: Truncated(settings.horizon),
    "first-order": lambda settings: FirstOrder(),
}
"""Estimators of the meta-gradient by the names in `meta.config.training.GRADIENT_NAMES`."""

WINDOWS: dict[str, Window] = {"final": final, "late": late, "all": throughout}


class Trainer:
    """Learns a softness. All of its state is in `checkpoint`.

    Parameters
    ----------
    settings : TrainSettings
        Everything that matters.
    group : Group, optional
        The processes that share the problems of a step; default: this one alone.

    Raises
    ------
    FileNotFoundError, ValueError
        A file that the settings name cannot be read, there is nothing to learn, or there are fewer shards
        than processes.
    """

    def __init__(self, settings: TrainSettings, group: Group | None = None):
        self.settings = settings
        self.group = Alone() if group is None else group
        self.parts = parts_of(settings, self.group)
        self.families = build_families(settings)
        self.renderer = initial_renderer(settings)
        self.gradient = GRADIENTS[settings.gradient](settings)
        self.outer = OuterOptimizer(
            self.renderer,
            learning_rate=settings.learning_rate,
            steps=settings.outer_steps,
            clip=settings.clip,
        )
        self.done = 0

    def step(self) -> Record:
        """Take one outer step."""
        begin = time.perf_counter()
        objective = self.objective(self.gradient.objective_step(self.done))
        generator = torch.Generator().manual_seed(
            derived_seed(self.settings.seed, self.done, "perturbations")
        )
        estimate = self.gradient.estimate(objective, self.renderer, generator)
        self.outer.step(estimate, self.done)
        self.done += 1
        return Record(
            step=self.done,
            objective=estimate.outcome.value,
            error_mean=estimate.outcome.error_mean,
            success=estimate.outcome.success,
            gradient_norm=estimate.norm(),
            skipped=self.outer.skipped,
            clipped=self.outer.clipped,
            scale=scale_in_pixels(self.renderer, self.settings.image_size),
            seconds=time.perf_counter() - begin,
            parameters=learned_parameters(self.renderer.softness),
        )

    def objective(self, step: int) -> TrajectoryObjective:
        """Return the objective of a step, with new training problems; equal for equal steps."""
        rollouts = tuple(self._rollout(part, step) for part in self.parts)
        settings = self.settings
        return TrajectoryObjective(
            rollouts, WINDOWS[settings.objective], settings.sharpness, self.group
        )

    def _rollout(self, part: Part, step: int) -> Rollout:
        settings, family = self.settings, self.families[part.family]
        seed = derived_seed(settings.seed, step, f"problems {part.number}")
        return Rollout(
            family.sample(seed, part.count, Split.TRAIN),
            InnerSettings(settings.inner_steps, settings.inner_rate * family.learning_rate),
            family.error_cap,
            part.weight,
        )

    def checkpoint(self) -> Checkpoint:
        """Return a copy of the state."""
        return Checkpoint.take(self.done, self.renderer, self.outer, self.gradient)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint."""
        checkpoint.apply(self.renderer, self.outer, self.gradient)
        self.done = checkpoint.step


def derived_seed(seed: int, step: int, purpose: str) -> int:
    """Return a seed that depends on all three, in [0, 2^48).

    Seeds made from the step leave no generator state to save, and sums of seed and step would give two
    runs with neighbouring seeds the same problems.
    """
    digest = hashlib.sha256(f"{seed} {step} {purpose}".encode()).digest()
    return int.from_bytes(digest[:6], "little")
