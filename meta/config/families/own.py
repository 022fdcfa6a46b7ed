"""Families of the user in a run, by import path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from meta.config.families.base import FamilyRun
from meta.config.imported import imported
from tasks import MeshSplit, TaskFamily

OWN = "own"
"""What the options of such families have in front on the command line."""


@dataclass(frozen=True)
class OwnRun(FamilyRun):
    """A family of the user, which is imported when it is asked for, and has its own images and meshes."""

    # Import path of the family, or of a class that is called without arguments.
    path: Annotated[str, tyro.conf.Suppress] = ""

    @property
    def name(self) -> str:
        """The import path."""
        return self.path

    def build(self, image_size: int, meshes: MeshSplit) -> TaskFamily:
        """Return the family."""
        return imported(self.path, "families", TaskFamily)

    def to_json(self) -> dict[str, Any]:
        """Return them as a JSON-able dict; the path is the name."""
        return {key: value for key, value in super().to_json().items() if key != "path"}
