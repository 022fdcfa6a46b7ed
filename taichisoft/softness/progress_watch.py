"""`ProgressWatch`: notices an optimisation through an annealed softness that is told no progress."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import torch
from torch import Tensor

from taichisoft.softness.annealing import FollowsProgress
from taichisoft.softness.softness import Softness
from taichisoft.softness.untouched import ModuleTree

# Backward passes before a word is said: a gradient or two may be wanted of the widest softness.
PASSES = 10
# What stands between a program and the hooks of its tensors.
INNER = tuple(str(Path(file).parent) for file in (torch.__file__, Path(__file__).parent))


class ProgressWatch:
    """Counts the renders of an annealed softness that gradients were passed back through.

    At the tenth, if the progress was never set, a UserWarning says so, once.
    """

    def __init__(self) -> None:
        self.passes = 0
        self._tree = ModuleTree()

    def watch(self, softness: Softness, *results: Tensor) -> None:
        """Count a render, given what it made, if a gradient comes back through any of it."""
        if self.passes >= PASSES or not any(result.requires_grad for result in results):
            return
        modules = self._tree.of(softness)
        if all(module.told for module in modules if isinstance(module, FollowsProgress)):
            return
        counted = False

        def count(gradient: Tensor) -> None:
            nonlocal counted
            if not counted:
                counted = True
                self._count()

        for result in results:
            if result.requires_grad:
                result.register_hook(count)

    def _count(self) -> None:
        self.passes += 1
        if self.passes == PASSES:
            warnings.warn(
                f"{PASSES} backward passes went through an annealed softness that was never told its "
                "progress, so that it stays as wide as at the start: write `for step in "
                "renderer.anneal(steps):`, or call renderer.set_progress(k / (steps - 1)) before step k, or "
                "give ts.fit the renderer; renderer.set_progress(0.0) keeps it so without a word",
                UserWarning,
                stacklevel=_level_of_the_caller(),
            )


def _level_of_the_caller() -> int:
    """Return the stack level, for the function that asks, of the program that wanted the gradient."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_code.co_filename.startswith(INNER):
        frame, level = frame.f_back, level + 1
    return level
