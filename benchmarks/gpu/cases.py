"""The scenes of a run: those of `make bench`, and 200,000 faces at 1024 x 1024."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import taichisoft as ts
from benchmarks.bench import FULL, QUICK
from benchmarks.gpu.plan import Plan
from benchmarks.renderers import Renderer, fused, fused_color
from benchmarks.scenes import Scene, Setting, around

# Around the axis and around the tube of a torus: 2 x 500 x 200 faces.
SEGMENTS, SIDES = 500, 200

Make = Callable[[], Renderer]


@dataclass(frozen=True)
class Torus:
    """A torus of 200,000 faces in the place of the sphere of a `Setting`, whose subdivisions do not count."""

    like: Setting

    @property
    def faces(self) -> int:
        """Number of faces."""
        return 2 * SEGMENTS * SIDES

    @property
    def label(self) -> str:
        """What it is called in the tables."""
        of = self.like
        return f"{self.faces} faces, {of.views} x {of.size} x {of.size}, sigma {of.sigma:g}"

    @property
    def scene(self) -> Scene:
        """The torus and its views."""
        camera = around(self.like.views, self.like.size)
        return Scene(ts.shapes.torus(SEGMENTS, SIDES), camera).to(self.like.device)

    @property
    def renderer(self) -> ts.SoftRasterizer:
        """A rasterizer of its softness."""
        return self.like.renderer

    @property
    def size(self) -> int:
        """Height and width of the images."""
        return self.like.size

    @property
    def views(self) -> int:
        """Number of the images."""
        return self.like.views

    @property
    def sigma(self) -> float:
        """Its softness."""
        return self.like.sigma

    @property
    def device(self) -> str:
        """Where its tensors are."""
        return self.like.device


def silhouettes(plan: Plan) -> list[Setting | Torus]:
    """Return the scenes of silhouettes, the largest ones before those that only differ in softness."""
    if plan.quick:
        return _placed(QUICK.silhouettes, plan)
    return [
        *_placed(FULL.silhouettes[:1], plan),
        Torus(Setting(size=1024, views=1, sigma=1e-5, device=plan.device)),
        *_placed(FULL.silhouettes[1:], plan),
    ]


def colors(plan: Plan) -> list[Setting | Torus]:
    """Return the scenes with colours."""
    if plan.quick:
        return _placed(QUICK.colors, plan)
    torus = Torus(Setting(size=1024, views=1, sigma=1e-5, device=plan.device))
    return [*_placed(FULL.colors, plan), torus]


def _placed(settings: tuple[Setting, ...], plan: Plan) -> list[Setting | Torus]:
    return [replace(setting, device=plan.device) for setting in settings]


def renderers(plan: Plan) -> Iterator[tuple[str, Make]]:
    """Yield the label of each scene, and what makes our renderer of it."""
    for setting in silhouettes(plan):
        yield setting.label, partial(fused, setting)
    for setting in colors(plan):
        yield f"colour, {setting.label}", partial(fused_color, setting)
