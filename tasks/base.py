"""What an inverse-rendering problem is: the interface that the learning code sees.

A `TaskFamily` is a distribution of problems; a `Task` is a batch of problems drawn from it, solved at
the same time in one render per step. Nothing here knows which softness is used, or that one is learned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum

import torch
from torch import Tensor

from taichisoft import SoftRasterizer

Unknowns = dict[str, Tensor]


class Split(Enum):
    """Which problems: those to learn from, or those kept for testing (other meshes, other seeds)."""

    TRAIN = "train"
    HELD_OUT = "held-out"


class Task(ABC):
    """A batch of independent problems. Tensors have the problem as first axis."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of problems P."""

    @abstractmethod
    def init(self) -> Unknowns:
        """Return the start of every problem: new leaf tensors, (P, ...)."""

    @abstractmethod
    def loss(self, unknowns: Unknowns, renderer: SoftRasterizer) -> Tensor:
        """Return the soft image loss of each problem, (P,): all that the inner optimisation sees."""

    @abstractmethod
    def error(self, unknowns: Unknowns) -> Tensor:
        """Return the distance of each problem from its solution, (P,), without any softness."""

    def differentiable_error(self, unknowns: Unknowns) -> Tensor:
        """Return a smooth stand-in for the error, (P,), in its unit, for gradients through a trajectory.

        No softness that is being learned takes part in it. By default it is the error itself; a task whose
        error has no useful derivative (one of hard images, or of an order) overrides this.
        """
        return self.error(unknowns)

    @abstractmethod
    def success(self, error: Tensor) -> Tensor:
        """Return which errors count as solved, (P,) bool."""

    @abstractmethod
    def solution(self) -> Unknowns | None:
        """Return unknowns with which every problem is solved, like `init`.

        None if the unknowns cannot express the solution exactly.
        """

    @abstractmethod
    def views(self, unknowns: Unknowns, problem: int) -> Tensor:
        """Return a picture of one problem's current state from the hard renderer, in [0, 1].

        (H, W), or (H, W, 3) if the problem is about colours.
        """

    @abstractmethod
    def target(self, problem: int) -> Tensor:
        """Return the picture that `views` should become, of the same shape."""


class TaskFamily(ABC):
    """A distribution of problems."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Short name, as on the command line."""

    @property
    @abstractmethod
    def error_unit(self) -> str:
        """What `Task.error` measures, for axis labels."""

    @property
    @abstractmethod
    def error_cap(self) -> float:
        """An error that is as good as lost; the outer objective does not look beyond it."""

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """A learning rate of Adam that suits the unknowns."""

    @abstractmethod
    def sample(self, seed: int, count: int, split: Split) -> Task:
        """Return `count` problems of a split. Equal arguments give equal problems."""


def generator_for(seed: int, split: Split) -> torch.Generator:
    """Return the random numbers of a seed, different for the two splits."""
    offset = {Split.TRAIN: 0, Split.HELD_OUT: 1}[split]
    return torch.Generator().manual_seed(2 * seed + offset)
