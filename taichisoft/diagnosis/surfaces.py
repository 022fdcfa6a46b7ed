"""Surfaces: what covers the centre of a pixel, how deep it is there, and how far the next one is behind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from taichisoft.engine.depth_extent import LEAST_WIDTH, depth_range
from taichisoft.engine.fragments import Fragments
from taichisoft.engine.job import RasterJob
from taichisoft.engine.scene import Scene
from taichisoft.softness.aggregation import Max
from taichisoft.softness.coverage import Heaviside
from taichisoft.softness.curves import SoftnessCurves
from taichisoft.softness.softness import Softness

# Of the depth: nearer to each other surfaces are one, but for rounding.
ROUNDING = 1e-5
# Nine tenths of all gaps are at least as wide as the one that counts.
SMALL_GAPS = 0.1
# Of that gap. A Gaussian order leaves 3e-5 of a surface four gammas behind another, a logistic one 2 %.
OF_A_GAP = 1 / 4
# Of the extent in depth, where no surface is behind another.
OF_THE_EXTENT = 0.02


@dataclass(frozen=True, eq=False)
class Surfaces:
    """What a hard renderer sees of a scene, without gradients; P are the pixels of all images.

    Parameters
    ----------
    depth : Tensor, (P,)
        Of the nearest face that covers the centre of the pixel; infinite where there is none.
    slope : Tensor, (P,)
        How much the depth of that face changes over a pixel; 0 where there is none.
    next_depth : Tensor, (P,)
        Of the nearest face that covers it and is behind that one; infinite where there is none.
    extent : float
        In depth, of what is drawn; the mean of the images.
    size : float
        The largest absolute depth.
    """

    depth: Tensor
    slope: Tensor
    next_depth: Tensor
    extent: float
    size: float

    @classmethod
    @torch.no_grad()
    def of(cls, scene: Scene, job: RasterJob) -> Surfaces:
        """Find them."""
        numbers = _hard_curves().coverage(scene.image_size[0]).numbers(scene.points)
        fragments = Fragments.within_reach(job, numbers)
        pixel = fragments.pixels_as_index
        depth, slope = _depths(scene, fragments)
        none = depth.new_full((job.pixels,), torch.inf)
        nearest = none.scatter_reduce(0, pixel, depth, "amin")
        is_nearest = depth == nearest[pixel]
        slopes = torch.zeros_like(none).scatter_reduce(
            0, pixel[is_nearest], slope[is_nearest], "amax"
        )
        behind = depth > nearest[pixel] + ROUNDING * depth.abs()
        after = none.scatter_reduce(0, pixel[behind], depth[behind], "amin")
        ends = depth_range(scene)
        size = float(torch.maximum(ends[0].abs(), ends[1].abs()).max())
        return cls(nearest, slopes, after, float((ends[1] - ends[0]).mean()), size)

    @property
    def covered(self) -> Tensor:
        """(P,) bool: whether there is a face."""
        return self.depth.isfinite()

    @property
    def gamma(self) -> float:
        """The widest gamma that separates the surfaces, in scene units; see `suggest_gamma`."""
        gaps = (self.next_depth - self.depth)[self.next_depth.isfinite()].double()
        if len(gaps):
            gamma = OF_A_GAP * float(np.quantile(gaps.cpu().numpy(), SMALL_GAPS))
        else:
            gamma = OF_THE_EXTENT * self.extent
        return max(gamma, LEAST_WIDTH * self.size if self.size else 1.0)

    def slack(self, reach: float) -> Tensor:
        """Return how far behind the nearest a part of the same surface may be, (P,).

        `reach` is how far away it may be in the image, in pixels.
        """
        return self.slope * reach + ROUNDING * torch.where(self.covered, self.depth.abs(), 0)


def _depths(scene: Scene, fragments: Fragments) -> tuple[Tensor, Tensor]:
    """Return depths at the centres of pixels that faces cover, and how much they change over a pixel."""
    corners = scene.points.detach()[scene.faces[fragments.faces_as_index]].double()
    height, width = scene.image_size
    place = fragments.pixels_as_index % (height * width)
    centre = torch.stack([place % width, place // width], -1).double() + 0.5
    places, depths, inverse_w = corners[..., :2], corners[..., 2], corners[..., 3]
    # Twice the areas of the triangles between the centre and each of the three opposite edges.
    parts = torch.stack(
        [
            _cross(places[:, (k + 1) % 3] - centre, places[:, (k + 2) % 3] - centre)
            for k in range(3)
        ],
        -1,
    )
    weights = parts * inverse_w
    total = weights.sum(-1, keepdim=True)
    # Of a face without area, that is of an edge on the centre, the mean.
    weights = torch.where(total != 0, weights / torch.where(total != 0, total, 1), 1 / 3)
    depth = (weights * depths).sum(-1)
    first, second = places[:, 1] - places[:, 0], places[:, 2] - places[:, 0]
    rises = depths[:, 1:] - depths[:, :1]
    area = _cross(first, second)
    gradient = (rises[:, :1] * second - rises[:, 1:] * first).norm(dim=-1)
    slope = torch.where(area != 0, gradient / torch.where(area != 0, area.abs(), 1), torch.inf)
    like = scene.points.dtype
    return depth.to(like), slope.clamp(max=torch.finfo(like).max).to(like)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


@cache
def _hard_curves() -> SoftnessCurves:
    return SoftnessCurves(Softness(Heaviside(), Max()))
