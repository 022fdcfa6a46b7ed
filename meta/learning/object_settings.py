"""Settings of a learning by objects, which say of these what can be said in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from meta.config.settings import Count, Index
from meta.learning.gradients import MetaGradientSettings
from meta.learning.settings import (
    InnerLoop,
    LearningSettings,
    OuterLoop,
    ValidationSettings,
)


@dataclass(frozen=True)
class ObjectSettings(LearningSettings):
    """How `meta.learn` learns, and the names of what it was given.

    They do not make the objects again: who goes on brings them along.
    """

    name: ClassVar[str] = "objects"

    families: tuple[str, ...]  # Names of the families.
    problems: tuple[Count, ...]  # Problems of each family per outer step.
    image_size: Count  # Height in pixels of the images of the first family.
    learn: tuple[str, ...]  # Parts of the softness that are learned, and the rate if it is.
    start: str  # Hash of the numbers that the softness starts from.
    gradient: MetaGradientSettings  # Estimator of the meta-gradient.
    inner: InnerLoop  # How problems are solved.
    validation: ValidationSettings  # How the softness is judged.
    outer: OuterLoop  # How the softness is improved.
    seed: Index  # Seed of the problems and perturbations.

    def __post_init__(self):
        self.check()

    @property
    def family_names(self) -> tuple[str, ...]:
        """The names of the families."""
        return self.families

    @property
    def counts(self) -> tuple[int, ...]:
        """How many problems of each family make an outer step."""
        return self.problems

    @property
    def sizes(self) -> tuple[int, ...]:
        """The one image size: families have the images that they have."""
        return (self.image_size,)
