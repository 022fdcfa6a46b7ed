"""`ProgressWatch`: notices an optimisation through a softness that is not told what it follows."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import torch
from torch import Tensor

from taichisoft.softness.annealing import FollowsProgress
from taichisoft.softness.conditioned import FollowsSituation
from taichisoft.softness.softness import Softness
from taichisoft.softness.untouched import ModuleTree

# Backward passes before a word is said: a gradient or two may be wanted of the widest softness.
PASSES = 10
# What stands between a program and the hooks of its tensors.
INNER = tuple(str(Path(file).parent) for file in (torch.__file__, Path(__file__).parent))


class ProgressWatch:
    """Counts the renders of an annealed or conditioned softness that gradients were passed back through.

    At the tenth, if the progress or the situation was never set, a UserWarning says so, once.
    """

    def __init__(self) -> None:
        self.passes = 0
        self._tree = ModuleTree()

    def watch(self, softness: Softness, *results: Tensor) -> None:
        """Count a render, given what it made, if a gradient comes back through any of it."""
        if self.passes >= PASSES or not any(result.requires_grad for result in results):
            return
        modules = self._tree.of(softness)
        annealed = any(not m.told for m in modules if isinstance(m, FollowsProgress))
        conditioned = any(not m.knows_situation for m in modules if isinstance(m, FollowsSituation))
        if not annealed and not conditioned:
            return
        counted = False

        def count(gradient: Tensor) -> None:
            nonlocal counted
            if not counted:
                counted = True
                self._count(annealed, conditioned)

        for result in results:
            if result.requires_grad:
                result.register_hook(count)

    def _count(self, annealed: bool, conditioned: bool) -> None:
        self.passes += 1
        if self.passes == PASSES and annealed:
            warnings.warn(
                f"{PASSES} backward passes went through an annealed softness that was never told its "
                "progress, so that it stays as wide as at the start: write `for step in "
                "renderer.anneal(steps):`, or call renderer.set_progress(k / (steps - 1)) before step k, or "
                "give ts.fit the renderer; renderer.set_progress(0.0) keeps it so without a word",
                UserWarning,
                stacklevel=_level_of_the_caller(),
            )
        if self.passes == PASSES and conditioned:
            warnings.warn(
                f"{PASSES} backward passes went through a conditioned softness that was never told its "
                "situation, so that it is as for another scene: call "
                "renderer.set_situation(ts.situation_of(mesh, camera, colors=...)) before the first step; "
                "renderer.set_situation(ts.Situation()) keeps it so without a word",
                UserWarning,
                stacklevel=_level_of_the_caller(),
            )


def _level_of_the_caller() -> int:
    """Return the stack level, for the function that asks, of the program that wanted the gradient."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_code.co_filename.startswith(INNER):
        frame, level = frame.f_back, level + 1
    return level
