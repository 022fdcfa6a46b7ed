"""Shapes from silhouettes in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from meta.config.families.base import FamilyRun
from meta.config.settings import Count, Index
from tasks import MeshSplit, Shape3DFamily


@dataclass(frozen=True)
class Shape3DRun(FamilyRun):
    """Shapes from silhouettes."""

    name: ClassVar[str] = "shape3d"

    views: Count = 6  # Views of a problem.
    subdivisions: Index = 2  # Subdivisions of the sphere: 2 has 162 vertices, 3 has 642.

    def build(self, image_size: int, meshes: MeshSplit) -> Shape3DFamily:
        """Return the family."""
        return Shape3DFamily(
            image_size=(image_size, image_size),
            views=self.views,
            subdivisions=self.subdivisions,
            meshes=meshes,
        )
