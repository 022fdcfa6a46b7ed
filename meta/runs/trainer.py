"""Outer steps: problems, meta-gradient, update."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
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
from meta.runs.seeds import derived_seed
from meta.runs.selection import Judged, Selection
from meta.runs.validation import Validation
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
        self.families = [build_families(replace(settings, image_size=n)) for n in settings.sizes]
        self.validation = Validation(settings, self.families, self.group)
        self.selection: Selection | None = None
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

    def kept(self) -> Method:
        """Return what the run has learned so far: the best that was judged, or else the current one."""
        if self.selection is None:
            return self.method
        kept = copy.deepcopy(self.method)
        kept.load_state_dict(self.selection.method)
        return kept

    def save_softness(self, path: Path) -> None:
        """Write the softness to keep, with its step, the rate that was learned with it, and the settings."""
        kept, step, judged = self.kept(), self.done, {}
        if self.selection is not None:
            verdict = self.selection.verdict(self.done)
            step, judged = verdict.kept.step, {"validation": verdict.to_json()}
        rate = kept.learned_rate(self.settings.inner.rate)
        trained = {"step": step, **rate, "settings": self.settings.to_json(), **judged}
        kept.renderer.softness.save(path, trained)

    def step(self) -> Record:
        """Take one outer step, and judge the softness if that is due; before the first one, the start."""
        if self.done == 0:
            self.judge()
        begin = time.perf_counter()
        objective = self.objective(self.gradient.objective_step(self.done))
        generator = torch.Generator().manual_seed(
            derived_seed(self.settings.seed, self.done, "perturbations")
        )
        estimate = self.gradient.estimate(objective, self.method, generator)
        self.outer.step(estimate, self.done)
        self.done += 1
        record = Record(
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
            noise=estimate.outcome.noise,
        )
        return replace(record, **self.judge())

    def judge(self) -> dict[str, float]:
        """Judge the softness if that is due, and return the numbers for the history."""
        if not self.settings.validation.due(self.done, self.settings.outer.steps):
            return {}
        begin = time.perf_counter()
        judged = Judged(self.done, self.validation.judge(self.method))
        state = self.method.state_dict()
        if self.selection is None:
            self.selection = Selection.of(judged, state)
        else:
            self.selection = self.selection.extended(judged, state)
        ahead, noise = judged.ahead(self.selection.start)
        score = judged.score
        numbers = {
            "objective": score.objective,
            "error_mean": score.error_mean,
            "success": score.success,
            "ahead": ahead,
            "noise": noise,
            "seconds": time.perf_counter() - begin,
        }
        return {f"validation_{name}": value for name, value in numbers.items()}

    def objective(self, step: int) -> TrajectoryObjective:
        """Return the objective of a step, with new training problems; equal for equal steps."""
        rollouts = tuple(self._rollout(part, step) for part in self.parts)
        inner = self.settings.inner
        return TrajectoryObjective(rollouts, WINDOWS[inner.objective], inner.sharpness, self.group)

    def _rollout(self, part: Part, step: int) -> Rollout:
        settings = self.settings
        size = derived_seed(settings.seed, step, f"image size {part.family}") % len(self.families)
        family = self.families[size][part.family]
        seed = derived_seed(settings.seed, step, f"problems {part.number}")
        return Rollout(
            family.sample(seed, part.count, Split.TRAIN),
            settings.inner.of(family),
            family.error_cap,
            part.weight,
        )

    def checkpoint(self) -> Checkpoint:
        """Return a copy of the state."""
        return Checkpoint.take(self.done, self.method, self.outer, self.gradient, self.selection)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            It is not of such a run.
        """
        checkpoint.apply(self.method, self.outer, self.gradient)
        self.done = checkpoint.step
        state = checkpoint.selection
        if self.settings.validation.problems and self.done and not state:
            raise ValueError("selection must have the start and the best softness, got nothing")
        self.selection = Selection.from_state(state) if state else None
        # It must fit.
        self.kept()
