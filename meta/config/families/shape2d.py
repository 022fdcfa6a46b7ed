"""Triangulated pictures in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from meta.config.families.base import FamilyRun
from meta.config.settings import AtLeast, PositiveFloat
from tasks import MeshSplit, Shape2DFamily


@dataclass(frozen=True)
class Shape2DRun(FamilyRun):
    """Pictures as coloured triangulations."""

    name: ClassVar[str] = "shape2d"

    triangles: Annotated[int, AtLeast(8)] = 100  # Triangles of a problem.
    # Displacement of the vertices at the start in mean edge lengths.
    displacement: PositiveFloat = 0.9

    def build(self, image_size: int, meshes: MeshSplit) -> Shape2DFamily:
        """Return the family, which has no meshes."""
        return Shape2DFamily(
            image_size=(image_size, image_size),
            triangles=self.triangles,
            displacement=self.displacement,
        )
