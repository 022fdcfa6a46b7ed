"""Tasks and families of tasks: the interface of inverse-rendering problems that the learning code sees.

A `TaskFamily` is a distribution of problems; a `Task` is a batch of problems drawn from it, solved at
the same time in one render per step. Nothing here knows which softness is used, or that one is learned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from taichisoft import Situation, SoftRasterizer
from taichisoft.base.checks import check_integer, check_type
from tasks.arguments import Unknowns, check_problem


class Split(Enum):
    """Which problems: those to learn from, or those kept for testing (other meshes, other seeds)."""

    TRAIN = "train"
    HELD_OUT = "held-out"


class Task(ABC):
    """A batch of P independent problems. Tensors have the problem as first axis.

    Attributes
    ----------
    start : dict of Tensor, (P, ...)
        The unknowns at the start.
    targets : Tensor, (P, H, W) or (P, H, W, 3)
        What `views` should become, in [0, 1].
    solved_below : float
        Smaller errors count as solved.
    """

    start: Unknowns
    targets: Tensor
    solved_below: float

    @property
    def count(self) -> int:
        """Number of problems P."""
        return len(self.targets)

    def init(self) -> Unknowns:
        """Return the start of every problem: new leaf tensors, (P, ...)."""
        return {name: value.clone() for name, value in self.start.items()}

    def solution(self) -> Unknowns | None:
        """Return unknowns with which every problem is solved, like `init`.

        None if the unknowns cannot express the solution exactly, or it is not known.
        """
        return None

    @abstractmethod
    def loss(self, unknowns: Unknowns, renderer: SoftRasterizer) -> Tensor:
        """Return the soft image loss of each problem, (P,): all that the inner optimisation sees."""

    @abstractmethod
    def error(self, unknowns: Unknowns) -> Tensor:
        """Return the distance of each problem from its solution, (P,), without any softness."""

    @abstractmethod
    def situation(self) -> Situation:
        """Return what is known of the scenes before the first step: of the start, never of the solution."""

    def tell(self, renderer: SoftRasterizer) -> None:
        """Tell a renderer the situation, which is measured once, if its softness follows any."""
        if renderer.softness.is_conditioned:
            renderer.set_situation(self._situation)

    @cached_property
    def _situation(self) -> Situation:
        return self.situation()

    def differentiable_error(self, unknowns: Unknowns) -> Tensor:
        """Return a smooth stand-in for the error, (P,), in its unit, for gradients through a trajectory.

        No softness that is being learned takes part in it. By default it is the error itself; a task whose
        error has no useful derivative (one of hard images, or of an order) overrides this.
        """
        return self.error(unknowns)

    def success(self, error: Tensor) -> Tensor:
        """Return which errors count as solved, (P,) bool."""
        return error < self.solved_below

    @abstractmethod
    def views(self, unknowns: Unknowns, problem: int) -> Tensor:
        """Return a picture of one problem's current state from the hard renderer, in [0, 1].

        (H, W), or (H, W, 3) if the problem is about colours.
        """

    def target(self, problem: int) -> Tensor:
        """Return the picture that `views` should become, of the same shape."""
        check_problem(problem, self.count)
        return self.targets[problem]


class TaskFamily(ABC):
    """A distribution of problems. Called without arguments, it has its usual settings."""

    name: ClassVar[str]
    """Short name, as on the command line."""

    error_unit: ClassVar[str]
    """What `Task.error` measures, for axis labels."""

    error_cap: ClassVar[float]
    """An error that is as good as lost; the outer objective does not look beyond it."""

    learning_rate: ClassVar[float]
    """A learning rate of Adam that suits the unknowns."""

    def __init_subclass__(cls) -> None:
        """Raise TypeError unless the class has all of these attributes."""
        missing = [name for name in TaskFamily.__annotations__ if not hasattr(cls, name)]
        if missing:
            raise TypeError(f"{cls.__name__} must have the class attributes {', '.join(missing)}")

    def sample(self, seed: int, count: int, split: Split) -> Task:
        """Return `count` problems of a split. Equal arguments give equal problems."""
        check_integer(seed, "seed", minimum=0)
        check_integer(count, "count", minimum=1)
        check_type(split, "split", Split)
        return self.draw(count, split, generator_for(seed, split))

    @abstractmethod
    def draw(self, count: int, split: Split, generator: torch.Generator) -> Task:
        """Return `count` random problems of a split."""


def generator_for(seed: int, split: Split) -> torch.Generator:
    """Return the random numbers of a seed, different for the two splits."""
    offset = {Split.TRAIN: 0, Split.HELD_OUT: 1}[split]
    return torch.Generator().manual_seed(2 * seed + offset)
