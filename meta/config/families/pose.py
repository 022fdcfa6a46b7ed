"""Poses in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from meta.config.families.base import FamilyRun, ProblemCounts
from meta.config.settings import Count, PositiveFloat
from tasks import MeshSplit, PoseFamily, Shaded, Silhouette


@dataclass(frozen=True)
class PoseRun(FamilyRun):
    """Poses of known meshes."""

    name: ClassVar[str] = "pose"
    evaluation: ClassVar[ProblemCounts] = ProblemCounts(64, 16)

    problems: Count = 16  # Problems per outer step.
    # Smallest and largest start angle in degrees.
    start: tuple[PositiveFloat, PositiveFloat] = (15.0, 35.0)
    shaded: bool = False  # Whether to see a shaded image instead of a silhouette.

    @property
    def has_depth(self) -> bool:
        """Whether gamma has an effect: on shaded images."""
        return self.shaded

    def check(self, prefix: str = "") -> None:
        """Check every field; see `Settings.check`."""
        super().check(prefix)
        low, high = self.start
        if not low <= high <= 180:
            raise ValueError(f"{prefix}start must be low <= high <= 180 degrees, got {low} {high}")

    def build(self, image_size: int, meshes: MeshSplit) -> PoseFamily:
        """Return the family."""
        return PoseFamily(
            image_size=(image_size, image_size),
            start_angle=self.start,
            meshes=meshes,
            image=Shaded() if self.shaded else Silhouette(),
        )
