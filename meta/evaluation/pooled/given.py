"""Candidates with nothing to choose: pooled settings, published defaults, and what this library suggests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from meta.evaluation.candidates import FIXED, Candidate, Choice, Grid
from meta.evaluation.pooled.setting import PooledSetting
from taichisoft import (
    DepthSoftmax,
    Gaussian,
    HeightFraction,
    Logistic,
    Probabilistic,
    SoftRasterizer,
    Uniform,
)
from taichisoft.diagnosis.suggest import scale_by_edge
from taichisoft.softness.coverage import Coverage
from tasks.base import TaskFamily

# Depths between which the three normalise theirs by default: gamma is counted in this extent.
NEAR, FAR = 1.0, 100.0


@dataclass(frozen=True)
class Given(Candidate):
    """A softness that is what it is.

    Parameters
    ----------
    make : callable
        Makes its renderer. Of the top level of a module, or a method, so that it can be pickled.
    choice : Choice
        What its settings are, for the family that it is for.
    """

    make: Callable[[], SoftRasterizer]
    choice: Choice

    def choices(self, grid: Grid) -> list[Choice]:
        """Return its own settings alone."""
        return [self.choice]

    def renderer(self, choice: Choice) -> SoftRasterizer:
        """Return a new renderer."""
        return self.make().requires_grad_(False)


@dataclass(frozen=True)
class Default:
    """The published default of a renderer, in the terms of this library.

    Coverage, T-conorm and the weights of depths are the same functions. The background has no weight of its
    own, and no face is left out as too far from a pixel or behind too many others.

    Parameters
    ----------
    label : str
        Name in tables.
    coverage : callable
        Makes the coverage.
    gamma : float
        As it is published: in extents from `NEAR` to `FAR`.
    """

    label: str
    coverage: Callable[[], Coverage]
    gamma: float

    @property
    def scene_gamma(self) -> float:
        """Gamma in scene units."""
        return self.gamma * (FAR - NEAR)

    def renderer(self) -> SoftRasterizer:
        """Return a new renderer."""
        return SoftRasterizer(self.coverage(), Probabilistic(), DepthSoftmax(self.scene_gamma))


def _softras() -> Coverage:
    return Logistic.softras(1e-5)


def _pytorch3d() -> Coverage:
    return Logistic.softras(1e-4)


def _gendr() -> Coverage:
    # Of half the height of the image.
    return Uniform(HeightFraction(1e-2 / 2))


DEFAULTS: Mapping[str, Default] = MappingProxyType(
    {
        # soft_renderer.SoftRasterizer: sigma_val, gamma_val.
        "default-softras": Default("SoftRas's default", _softras, 1e-4),
        # pytorch3d.renderer.BlendParams: sigma, gamma.
        "default-pytorch3d": Default("PyTorch3D's default", _pytorch3d, 1e-4),
        # gendr.GenDR: dist_func, dist_scale, aggr_rgb_gamma.
        "default-gendr": Default("GenDR's default", _gendr, 1e-3),
    }
)
"""Defaults by the keys of their candidates."""


def defaults(family: TaskFamily, image_height: int) -> list[Given]:
    """Return the published defaults as candidates, at the family's own learning rate."""
    found = []
    for key, default in DEFAULTS.items():
        scale = float(default.coverage().scale.in_pixels(image_height))
        choice = Choice(scale, default.scene_gamma, family.learning_rate)
        found.append(Given(key, default.label, default.renderer, choice))
    return found


# What `suggest_scale` suggests where no target is looked at, with what else a renderer has by default.
SUGGESTED, SUGGESTED_LABEL = "suggested", "suggest_scale"


def suggested_renderer() -> SoftRasterizer:
    """Return a new renderer whose scale is the suggested one in every scene that it is told of."""
    return SoftRasterizer(Gaussian(scale_by_edge()))


def suggested(family: TaskFamily, image_height: int) -> Given:
    """Return what is suggested as a candidate; its scale is told as of the usual scene."""
    made = suggested_renderer()
    scale = float(made.coverage.scale.in_pixels(image_height))
    choice = Choice(scale, float(made.occlusion.gamma()), family.learning_rate)
    return Given(SUGGESTED, SUGGESTED_LABEL, suggested_renderer, choice)


def pooled(setting: PooledSetting, family: TaskFamily) -> Given:
    """Return a setting that was chosen as a candidate on a family."""
    fixed = FIXED[setting.entrant]
    choice = Choice(setting.scale, setting.gamma, setting.rate * family.learning_rate)
    return Given(f"pooled-{fixed.key}", fixed.label, setting.renderer, choice)
