"""The softness that training starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from meta.config import TrainSettings
from taichisoft import (
    Aggregation,
    Coverage,
    Max,
    MLPCoverage,
    MonotoneSpline,
    Pixels,
    Probabilistic,
    Scale,
    Softness,
    SoftRasterizer,
)

COVERAGES: dict[str, Callable[[Scale, int], Coverage]] = {
    "mlp": lambda scale, seed: MLPCoverage(scale, seed=seed),
    "spline": lambda scale, seed: MonotoneSpline(scale),
}
AGGREGATIONS: dict[str, type[Aggregation]] = {"probabilistic": Probabilistic, "max": Max}


def initial_renderer(settings: TrainSettings) -> SoftRasterizer:
    """Return a renderer whose coverage and scale are parameters.

    Parameters
    ----------
    settings : TrainSettings
        `coverage`, `aggregation`, `scale` (pixels) and, for the weights of the network, `seed`.
    """
    scale = Pixels(settings.scale, learn=True)
    coverage = COVERAGES[settings.coverage](scale, settings.seed)
    return SoftRasterizer(coverage, AGGREGATIONS[settings.aggregation]())


def load_renderer(path: Path) -> SoftRasterizer:
    """Return a renderer with the softness of a file, see `taichisoft.Softness.load`."""
    return SoftRasterizer(softness=Softness.load(path))


def scale_in_pixels(renderer: SoftRasterizer, image_size: int) -> float:
    """Return the scale of a renderer's coverage in pixels, for an image of that height.

    That of an annealed scale is the one at its current progress.
    """
    return float(renderer.coverage.scale.in_pixels(image_size).detach())
