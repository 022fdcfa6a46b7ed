"""A family of problems in a run: its options, and how many of its problems are solved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from meta.config.settings import Count, Settings
from tasks import MeshSplit, TaskFamily


@dataclass(frozen=True)
class ProblemCounts(Settings):
    """Numbers of problems of a family in an evaluation."""

    problems: Count = 16  # Held-out problems per seed.
    tuning: Count = 8  # Training problems for choosing settings.


@dataclass(frozen=True)
class FamilyRun(Settings, ABC):
    """A family of problems to learn from.

    Attributes
    ----------
    evaluation : ProblemCounts
        The usual numbers of its problems in an evaluation.
    """

    evaluation: ClassVar[ProblemCounts] = ProblemCounts()

    problems: Count = 4  # Problems per outer step.

    @property
    def has_depth(self) -> bool:
        """Whether faces overlap and are told apart by more than a silhouette, so that gamma has an effect."""
        return False

    @abstractmethod
    def build(self, image_size: int, meshes: MeshSplit) -> TaskFamily:
        """Return the family, for square images of so many pixels."""
