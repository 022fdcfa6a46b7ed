"""Outer steps: problems, meta-gradient, update."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import torch

from meta.config.parts import RATE
from meta.config.softness import initial_renderer, learned_parameters, scale_in_pixels
from meta.learning.group import Alone, Group
from meta.learning.method import Method
from meta.learning.objective import WINDOWS, Rollout, TrajectoryObjective
from meta.learning.outer import OuterOptimizer
from meta.learning.settings import TrainSettings, build_families
from meta.learning.sharding import Part, parts_of
from meta.runs.checkpoint import Checkpoint
from meta.runs.history import Record
from taichisoft import Positive, SoftRasterizer
from tasks import Split


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
        counts = [family.problems for family in settings.families]
        self.parts = parts_of(counts, settings.outer.shards, self.group)
        self.families = build_families(settings)
        learn = settings.softness.learn
        self.method = Method(
            initial_renderer(settings.softness, settings.seed), Positive(1.0, learn=RATE in learn)
        )
        self.gradient = settings.gradient.build(settings.inner.steps)
        self.outer = OuterOptimizer(
            self.method,
            learning_rate=settings.outer.learning_rate,
            steps=settings.outer.steps,
            clip=settings.outer.clip,
        )
        self.done = 0

    @property
    def renderer(self) -> SoftRasterizer:
        """The softness that is learned."""
        return self.method.renderer

    @property
    def learned_rate(self) -> dict[str, float]:
        """The learned multiple of each family's own learning rate, by its name; empty if it is fixed."""
        return self.method.learned_rate(self.settings.inner.rate)

    def save_softness(self, path: Path) -> None:
        """Write the softness, with its step, the rate that was learned with it, and the settings."""
        trained = {"step": self.done, **self.learned_rate, "settings": self.settings.to_json()}
        self.renderer.softness.save(path, trained)

    def step(self) -> Record:
        """Take one outer step."""
        begin = time.perf_counter()
        objective = self.objective(self.gradient.objective_step(self.done))
        generator = torch.Generator().manual_seed(
            derived_seed(self.settings.seed, self.done, "perturbations")
        )
        estimate = self.gradient.estimate(objective, self.method, generator)
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
            parameters={**learned_parameters(self.renderer.softness), **self.learned_rate},
        )

    def objective(self, step: int) -> TrajectoryObjective:
        """Return the objective of a step, with new training problems; equal for equal steps."""
        rollouts = tuple(self._rollout(part, step) for part in self.parts)
        inner = self.settings.inner
        return TrajectoryObjective(rollouts, WINDOWS[inner.objective], inner.sharpness, self.group)

    def _rollout(self, part: Part, step: int) -> Rollout:
        settings, family = self.settings, self.families[part.family]
        seed = derived_seed(settings.seed, step, f"problems {part.number}")
        return Rollout(
            family.sample(seed, part.count, Split.TRAIN),
            settings.inner.of(family),
            family.error_cap,
            part.weight,
        )

    def checkpoint(self) -> Checkpoint:
        """Return a copy of the state."""
        return Checkpoint.take(self.done, self.method, self.outer, self.gradient)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint."""
        checkpoint.apply(self.method, self.outer, self.gradient)
        self.done = checkpoint.step


def derived_seed(seed: int, step: int, purpose: str) -> int:
    """Return a seed that depends on all three, in [0, 2^48).

    Seeds made from the step leave no generator state to save, and sums of seed and step would give two
    runs with neighbouring seeds the same problems.
    """
    digest = hashlib.sha256(f"{seed} {step} {purpose}".encode()).digest()
    return int.from_bytes(digest[:6], "little")
