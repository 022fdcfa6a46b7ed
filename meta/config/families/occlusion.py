"""Planes that hide each other in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from meta.config.families.base import FamilyRun, ProblemCounts
from meta.config.settings import AtLeast, Count, PositiveFloat
from tasks import MeshSplit, OcclusionFamily


@dataclass(frozen=True)
class OcclusionRun(FamilyRun):
    """Coloured planes that hide each other."""

    name: ClassVar[str] = "occlusion"
    evaluation: ClassVar[ProblemCounts] = ProblemCounts(32, 8)

    problems: Count = 8  # Problems per outer step.
    planes: Annotated[int, AtLeast(3)] = 5  # Planes of a problem, at most 6.
    # Smallest and largest offset at the start in image heights.
    displacement: tuple[PositiveFloat, PositiveFloat] = (0.1, 0.25)
    # Smallest and largest distance of a wall behind the planes in image heights; none: no wall.
    background_gap: tuple[PositiveFloat, ...] = ()

    def __post_init__(self):
        if len(self.background_gap) not in (0, 2):
            raise ValueError(
                f"background_gap must have 0 or 2 values, got {len(self.background_gap)}"
            )

    @property
    def has_depth(self) -> bool:
        """Whether gamma has an effect: it has."""
        return True

    def build(self, image_size: int, meshes: MeshSplit) -> OcclusionFamily:
        """Return the family, which has no meshes."""
        return OcclusionFamily(
            image_size=(image_size, image_size),
            planes=self.planes,
            displacement=self.displacement,
            background_gap=self.background_gap or None,
        )
