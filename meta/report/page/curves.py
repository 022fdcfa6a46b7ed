"""Charts of the curves of a softness at each checkpoint, next to the fixed ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from meta.report.page.chart import Chart, Line
from meta.report.page.checkpoints import Checkpoint, at_progress, is_annealed
from meta.report.plots import pixel_curve, shared_reach
from taichisoft import (
    DepthFraction,
    DepthSoftmax,
    FrontToBack,
    Max,
    Probabilistic,
    Softness,
    SoftRasterizer,
)

POINTS = 181
# Fixed curves that are shown beside the learned one; the others on demand.
SHOWN_FIXED = 3
FACES = 4
# A slope this many times as large as those of the other curves is not shown whole: some are infinite.
UNUSUAL = 3.0
# Less weight could not be told from none.
LEAST_WEIGHT = 0.01

Curve = Callable[[Softness], Tensor]


@dataclass(frozen=True, eq=False)
class Reference:
    """A fixed softness to compare with.

    Parameters
    ----------
    label : str
        Name in the legend.
    softness : Softness
        At the scale at which it is drawn.
    """

    label: str
    softness: Softness


def curve_charts(
    checkpoints: Sequence[Checkpoint],
    fixed: Sequence[Reference],
    learn: Sequence[str],
    image_height: int,
) -> list[Chart]:
    """Return charts of coverage and slope and, where they are learned, of aggregation and occlusion.

    Parameters
    ----------
    checkpoints : sequence of Checkpoint
        At least one.
    fixed : sequence of Reference
        At most as many as there are looks in the style sheet, the most important first.
    learn : sequence of str
        Parts that are learned, see `meta.config.parts.LEARNABLE`.
    image_height : int
        Height in pixels of the images that scales apply to.
    """
    d = _distances(checkpoints, fixed, image_height)
    charts = [
        _coverage(checkpoints, fixed, d, image_height),
        _slope(checkpoints, fixed, d, image_height),
    ]
    if "aggregation" in learn:
        charts.append(_aggregation(checkpoints))
    if {"occlusion", "gamma"} & set(learn):
        charts.append(_occlusion(checkpoints))
    return charts


def coverage_at(softness: Softness, d: Tensor, progress: float, image_height: int) -> Tensor:
    """Return the coverage at signed distances in pixels, without its tail, as the renderer has it."""
    coverage = at_progress(softness, progress).coverage
    with torch.no_grad():
        return coverage.without_tail(d / coverage.scale.in_pixels(image_height))


def slope_at(softness: Softness, d: Tensor, progress: float, image_height: int) -> Tensor:
    """Return the slope per pixel that gradients follow, at signed distances in pixels."""
    coverage = at_progress(softness, progress).coverage
    scale = coverage.scale.in_pixels(image_height).detach()
    s = (d / scale).requires_grad_()
    followed = coverage.surrogate or coverage
    with torch.enable_grad():
        # The second term is for a step, which does not depend on `s` in the eyes of autograd.
        total = followed.without_tail(s).sum() + 0 * s.sum()
        (slope,) = torch.autograd.grad(total, s)
    return slope / scale


def _distances(
    checkpoints: Sequence[Checkpoint], fixed: Sequence[Reference], image_height: int
) -> Tensor:
    """Return signed distances that show all curves at the first and the last checkpoint."""
    softnesses = [checkpoints[0].softness, checkpoints[-1].softness, *(f.softness for f in fixed)]
    curves = {
        str(i): pixel_curve(SoftRasterizer(softness=at_progress(s, 0.5)), image_height)
        for i, s in enumerate(softnesses)
    }
    low, high = shared_reach(curves)
    return torch.linspace(low, max(high, 0.3 * -low), POINTS, dtype=torch.float64)


def _coverage(
    checkpoints: Sequence[Checkpoint], fixed: Sequence[Reference], d: Tensor, image_height: int
) -> Chart:
    def at(progress: float) -> Curve:
        return lambda softness: coverage_at(softness, d, progress, image_height)

    lines = _still(fixed, at(0.5))
    if is_annealed(checkpoints[-1].softness, image_height):
        lines += [
            _moving("learned, first inner step", "learned-first", checkpoints, at(0.0), extra=True),
            _moving("learned, last inner step", "learned-last", checkpoints, at(1.0), extra=True),
            _moving("learned, half-way", "learned", checkpoints, at(0.5)),
        ]
    else:
        lines.append(_moving("learned", "learned", checkpoints, at(0.5)))
    return Chart(
        "coverage",
        "Coverage",
        "signed distance to the boundary [px], positive inside",
        "",
        tuple(d.tolist()),
        tuple(lines),
        (-0.03, 1.03),
        description="Coverage over the signed distance to the boundary of a face in pixels: the learned "
        f"curve at the step of the slider, and {', '.join(f.label for f in fixed) or 'no fixed one'}.",
        note="How much a face covers a pixel, from 0 to 1: on the left the pixel is outside of the face, on "
        "the right inside. The width of the rise is the scale.",
    )


def _slope(
    checkpoints: Sequence[Checkpoint], fixed: Sequence[Reference], d: Tensor, image_height: int
) -> Chart:
    def at(softness: Softness) -> Tensor:
        return slope_at(softness, d, 0.5, image_height)

    lines = [*_still(fixed, at), _moving("learned, half-way", "learned", checkpoints, at)]
    tops = [_largest([value for step in line.steps for value in step]) for line in lines]
    top = min(max(tops), UNUSUAL * median(tops)) or 1.0
    return Chart(
        "slope",
        "Slope of coverage, which gradients follow",
        "signed distance to the boundary [px], positive inside",
        "slope [1/px]",
        tuple(d.tolist()),
        tuple(lines),
        (-0.03 * top, 1.05 * top),
        description="The slope of the same curves per pixel, half-way through the inner steps.",
        note="How far away a boundary is still felt, and how strongly: where the slope is 0, a pixel tells "
        "nothing about the face.",
    )


def _aggregation(checkpoints: Sequence[Checkpoint]) -> Chart:
    d = torch.linspace(0, 1, POINTS, dtype=torch.float64)

    def alpha(softness: Softness) -> Tensor:
        aggregation = at_progress(softness, 0.5).aggregation
        with torch.no_grad():
            generator = aggregation.generator(d)
            total = generator if aggregation.takes_max else FACES * generator
            return aggregation.inverse(total)

    usual = [
        Reference("probabilistic sum", Softness(aggregation=Probabilistic())),
        Reference("maximum", Softness(aggregation=Max())),
    ]
    return Chart(
        "aggregation",
        f"Aggregation of {FACES} equal faces, half-way",
        "coverage of each face",
        "alpha of the pixel",
        tuple(d.tolist()),
        (*_still(usual, alpha), _moving("learned", "learned", checkpoints, alpha)),
        (-0.03, 1.03),
        description=f"Alpha of {FACES} faces of equal coverage, learned, as a probabilistic sum and as "
        "a maximum, half-way through the inner steps.",
        note="Aggregation makes one number, alpha, of the coverages of all faces at a pixel.",
    )


def _occlusion(checkpoints: Sequence[Checkpoint]) -> Chart:
    usual = [Reference("softmax, gamma 0.05", Softness(occlusion=DepthSoftmax()))]
    ends = [checkpoints[0].softness, checkpoints[-1].softness, usual[0].softness]
    reach = max(map(_seen_up_to, ends))
    depth = torch.linspace(0, 1.1 * reach, POINTS, dtype=torch.float64)

    def weight(softness: Softness) -> Tensor:
        return weight_at(softness, depth, 0.5)

    return Chart(
        "occlusion",
        "Occlusion, half-way",
        f"depth behind the front-most face [{_depth_unit(checkpoints[0].softness)}]",
        "weight",
        tuple(depth.tolist()),
        (*_still(usual, weight), _moving("learned", "learned", checkpoints, weight)),
        (-0.03, 1.03),
        description="How much a face still shows over its depth behind the nearest one, half-way "
        "through the inner steps.",
        note="Occlusion weighs the colours of faces by their depth; gamma is how deep they blend.",
    )


def weight_at(softness: Softness, depth: Tensor, progress: float) -> Tensor:
    """Return the weight of a face at depths behind the nearest one; 0 beyond the cut-off.

    Depths are in the unit of gamma. Of an occlusion from front to back it is the weight behind a face that
    covers the pixel.
    """
    occlusion = at_progress(softness, progress).occlusion
    with torch.no_grad():
        if isinstance(occlusion, FrontToBack):
            return 1 - occlusion(depth / occlusion.gamma())
        u = -depth / occlusion.gamma()
        low = occlusion.domain().low
        return torch.where(u < low, 0, occlusion(u.clamp(min=low)))


def _seen_up_to(softness: Softness) -> float:
    """Return the depth up to which a face has a weight of a hundredth."""
    occlusion = at_progress(softness, 0.5).occlusion
    domain = occlusion.domain()
    end = domain.high if isinstance(occlusion, FrontToBack) else -domain.low
    hidden_from = end * float(occlusion.gamma().detach())
    depth = torch.linspace(0, hidden_from, POINTS, dtype=torch.float64)
    return float(
        depth[weight_at(softness, depth, 0.5) >= LEAST_WEIGHT].amax() if hidden_from else 0.0
    )


def _depth_unit(softness: Softness) -> str:
    fraction = isinstance(softness.occlusion.gamma, DepthFraction)
    return "extents in depth" if fraction else "scene units"


def _largest(values: Sequence[float]) -> float:
    return max((value for value in values if math.isfinite(value)), default=0.0)


def _still(fixed: Sequence[Reference], curve: Curve) -> list[Line]:
    return [
        Line(
            one.label,
            f"fixed-{index}",
            (tuple(curve(one.softness).tolist()),),
            extra=index >= SHOWN_FIXED,
        )
        for index, one in enumerate(fixed)
    ]


def _moving(
    label: str,
    look: str,
    checkpoints: Sequence[Checkpoint],
    curve: Curve,
    *,
    extra: bool = False,
) -> Line:
    steps = tuple(tuple(curve(c.softness).tolist()) for c in checkpoints)
    return Line(label, look, steps, extra)
