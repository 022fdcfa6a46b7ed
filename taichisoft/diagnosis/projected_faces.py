"""Faces as they look in the image: where they are, how large, how far from a pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from taichisoft.engine.coverage import accumulate
from taichisoft.engine.job import RasterJob
from taichisoft.engine.scene import Scene
from taichisoft.softness.aggregation import Max
from taichisoft.softness.coverage import Uniform
from taichisoft.softness.curves import SoftnessCurves
from taichisoft.softness.softness import Softness

# Radius in pixels within which faces are looked for first; it is doubled until there is one.
FIRST_RADIUS = 8.0


@dataclass(frozen=True, eq=False)
class ProjectedFaces:
    """The N faces of all images of a scene, in pixels and without gradients.

    Parameters
    ----------
    scene : Scene
        What is drawn.
    """

    scene: Scene

    @cached_property
    def corners(self) -> Tensor:
        """(N, 3, 4) points of the scene, detached."""
        return self.scene.points.detach()[self.scene.faces]

    @cached_property
    def in_front(self) -> Tensor:
        """(N,) bool: no vertex is nearer than the near plane."""
        return self.corners[..., 2].amin(-1) >= self.scene.near

    @cached_property
    def in_image(self) -> Tensor:
        """(N,) bool: in front, and the bounding box overlaps the image."""
        height, width = self.scene.image_size
        places = self.corners[..., :2]
        size = places.new_tensor([width, height])
        inside = (places.amax(1) > 0) & (places.amin(1) < size)
        return self.in_front & inside.all(-1)

    @cached_property
    def edges(self) -> Tensor:
        """(N, 3) lengths of the edges in pixels."""
        places = self.corners[..., :2]
        return torch.linalg.vector_norm(places - places.roll(1, 1), dim=-1)

    @cached_property
    def areas(self) -> Tensor:
        """(N,) areas in square pixels."""
        places = self.corners[..., :2]
        first, second = places[:, 1] - places[:, 0], places[:, 2] - places[:, 0]
        return (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).abs() / 2

    @cached_property
    def median_edge(self) -> float:
        """Median length in pixels of the edges in the image; of those in front if none is in it.

        Raises
        ------
        ValueError
            No face is in front of the camera.
        """
        visible = self.in_image if bool(self.in_image.any()) else self.in_front
        if not bool(visible.any()):
            raise ValueError("mesh must have a face in front of the camera, got none")
        return float(self.edges[visible].median())

    def distances(self, wanted: Tensor) -> Tensor:
        """Return how far pixels are from the nearest face that is in front of the camera.

        By rendering: where coverage rises linearly over a radius, its maximum tells the distance.

        Parameters
        ----------
        wanted : Tensor, (B, H, W), bool
            Which pixels. Of the others, those within the same radius are told as well.

        Returns
        -------
        Tensor, (B, H, W)
            In pixels, from the centre to the nearest point of a face, 0 inside; infinite where not told, and
            in an image that has no face in front.
        """
        scene = replace(self.scene, points=self.scene.points.detach())
        job = RasterJob(scene)
        images = torch.zeros(scene.batch_size, dtype=torch.bool, device=scene.points.device)
        images[job.face_image[self.in_front].long()] = True
        wanted = wanted & images[:, None, None]
        distances = scene.points.new_full(wanted.shape, torch.inf)
        radius = FIRST_RADIUS
        while True:
            nearness = _nearness(job, radius)
            found = (nearness > 0) & distances.isinf()
            distances[found] = (radius * (1 - 2 * nearness[found])).clamp(min=0)
            if not bool(distances[wanted].isinf().any()):
                return distances
            radius *= 2


def _nearness(job: RasterJob, radius: float) -> Tensor:
    """Return (1 + d / radius) / 2 in [0, 1], d the largest signed distance of a pixel to a face."""
    curves = SoftnessCurves(Softness(Uniform(radius), Max()))
    return accumulate(job, curves.generator(job.height), takes_max=True)
