"""Outer steps: problems, meta-gradient, update."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from meta.config.parts import RATE
from meta.config.softness import initial_renderer, learned_parameters, scale_in_pixels
from meta.learning.group import Alone, Group
from meta.learning.method import Method
from meta.learning.objective import WINDOWS, Rollout, TrajectoryObjective
from meta.learning.outer import OuterOptimizer
from meta.learning.settings import LearningSettings, TrainSettings, build_families
from meta.learning.sharding import Part, parts_of
from meta.runs.checkpoint import Checkpoint
from meta.runs.history import Record
from meta.runs.seeds import derived_seed
from meta.runs.selection import Judged, Selection
from meta.runs.subject import Subject
from meta.runs.validation import Validation
from meta.runs.verdict import Verdict
from taichisoft import Positive, SoftRasterizer
from tasks import Split


class Trainer:
    """Learns a softness. All of its state is in `checkpoint`.

    Parameters
    ----------
    settings : LearningSettings
        Everything that matters but for the subject.
    group : Group, optional
        The processes that share the problems of a step; default: this one alone.
    subject : Subject, optional
        What is learned, and of which problems. Default: what the settings describe, which are `TrainSettings`
        then.

    Raises
    ------
    FileNotFoundError, ValueError
        A file that the settings name cannot be read, there is nothing to learn, or there are fewer shards
        than processes.
    """

    def __init__(
        self,
        settings: LearningSettings,
        group: Group | None = None,
        subject: Subject | None = None,
    ):
        self.settings = settings
        self.group = Alone() if group is None else group
        self.parts = parts_of(settings.counts, settings.outer.shards, self.group)
        subject = described(settings) if subject is None else subject
        self.families, self.method = subject.families, subject.method
        self.validation = Validation(settings, self.families, self.group)
        self.selection: Selection | None = None
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

    def verdict(self) -> Verdict | None:
        """Return what validation says so far; None if nothing was judged."""
        return None if self.selection is None else self.selection.verdict(self.done)

    def trained(self) -> dict[str, Any]:
        """Return what is to be said of the softness to keep: its step, learned rate, settings and verdict."""
        verdict = self.verdict()
        return {
            "step": verdict.kept.step if verdict else self.done,
            **self.kept().learned_rate(self.settings.inner.rate),
            "settings": self.settings.to_json(),
            **({"validation": verdict.to_json()} if verdict else {}),
        }

    def save_softness(self, path: Path) -> None:
        """Write the softness to keep, with what is to be said of it."""
        self.kept().renderer.softness.save(path, self.trained())

    def steps(self) -> Iterator[Record]:
        """Take the steps that are left, one after the other."""
        while self.done < self.settings.outer.steps:
            yield self.step()

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


def described(settings: TrainSettings) -> Subject:
    """Return the subject that settings describe."""
    families = [build_families(replace(settings, image_size=n)) for n in settings.sizes]
    renderer = initial_renderer(settings.softness, settings.seed)
    rate = Positive(1.0, learn=RATE in settings.softness.learn)
    return Subject(Method(renderer, rate), families)
