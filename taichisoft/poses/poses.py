"""Poses: some poses of one mesh, how well each fits, and which of them are different."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.geometry.rotations import angle_between


@dataclass(frozen=True, eq=False)
class Poses:
    """P poses of one mesh in front of a camera, and how well they fit.

    Parameters
    ----------
    rotation : Tensor, (P, 3, 3)
        Mesh to camera.
    translation : Tensor, (P, 3)
        Mesh to camera.
    loss : Tensor, (P,)
        By which they are compared, that of `Evidence.loss` for hard images; less is better.
    iou, background_iou : Tensor, (P,)
        Of the hard silhouette and the mask, and of what is outside of both; means over the views.
    """

    rotation: Tensor
    translation: Tensor
    loss: Tensor
    iou: Tensor
    background_iou: Tensor

    def __len__(self) -> int:
        return len(self.loss)

    def __getitem__(self, index: Tensor | list[int]) -> Poses:
        """Select poses by their indices."""
        return Poses(*(value[index] for value in vars(self).values()))

    def best(self, count: int) -> Poses:
        """Return the best of them, the very best first."""
        return self[self.loss.argsort(stable=True)[:count]]

    def apart(self, degrees: float) -> list[int]:
        """Return which of these, the best first, differ from all that were chosen before by an angle or more.

        The angle is that between their rotations. The first is always chosen.
        """
        chosen = [0]
        for index in range(1, len(self)):
            angles = angle_between(self.rotation[index], self.rotation[chosen])
            if torch.rad2deg(angles).min() >= degrees:
                chosen.append(index)
        return chosen
