"""Another library's renderer in the place of ours: as much of it as tasks of silhouettes call."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

import taichisoft as ts


class OtherRenderer(ABC):
    """Silhouettes by another library, whose problems are then solved as with ours."""

    @abstractmethod
    def silhouette(self, mesh: ts.Mesh | ts.MeshBatch, camera: ts.Camera) -> Tensor:
        """Return coverage in [0, 1], (B, H, W), in the dtype of the mesh.

        It has a first derivative with respect to vertices and camera. Batch sizes of mesh and camera must be
        equal or 1.
        """

    @abstractmethod
    def set_progress(self, progress: float) -> None:
        """Say how much of an optimisation is done, from 0 (before its first step) to 1 (at its last)."""
