"""Plots of a softness: what it does to an image, in the units of the image and the scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from taichisoft.softness.depth_scale import DepthFraction
from taichisoft.softness.occlusion import FrontToBack, Occlusion

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from taichisoft.softness.coverage.base import Coverage, Surrogate
    from taichisoft.softness.softness import Softness
    from taichisoft.softness.tables.domain import Domain

LINE: dict[str, Any] = {"color": "#0072b2", "linewidth": 2.0}
MARK: dict[str, Any] = {"color": "0.45", "linewidth": 1.0, "linestyle": (0, (4, 3))}
# How many equal faces the panel of the aggregation shows, and how dark.
FACES = {2: "#0072b2", 4: "#56b4e9", 16: "#a6d4f2"}
POINTS = 1201
# A share of the rise that is shown at least; heavy tails go on for very long.
MOST = 0.9
# A slope this many times as large as the next to it is unbounded, and shown up to a part of the latter.
UNBOUNDED = 10.0
SHOWN_PART = 0.3


def plot_softness(
    softness: Softness, image_height: int, axes: Sequence[Axes] | None = None
) -> Figure:
    """Draw a softness; see `taichisoft.softness.softness.Softness.plot`."""
    panels = _new_axes() if axes is None else list(np.ravel(np.asarray(axes)))
    if len(panels) != 4:
        raise ValueError(f"axes must be four, got {len(panels)}")
    _draw_coverage(softness, image_height, panels[0], panels[1])
    _draw_aggregation(softness, panels[2])
    _draw_occlusion(softness, panels[3])
    for panel in panels:
        panel.grid(color="0.92", linewidth=0.7)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_axisbelow(True)
    return cast("Figure", panels[0].figure)


def coverage_curve(coverage: Coverage, image_height: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return distances in pixels, and the coverage and its slope per pixel there.

    Parameters
    ----------
    coverage : Coverage
        At its current scale.
    image_height : int
        Height of the image in pixels.

    Returns
    -------
    tuple of Tensor
        (N,) float64 each, without gradient: the curve that the renderer uses, that is without its tail,
        from beyond the cut-off to where it is nearly at its end, and the slope that gradients follow.
    """
    scale = coverage.scale.in_pixels(image_height).detach()
    s = _shown_range(coverage).requires_grad_()
    with torch.enable_grad():
        value = coverage.without_tail(s)
        followed = value if coverage.surrogate is None else coverage.surrogate.without_tail(s)
        # The second term is for a step, which does not depend on `s` in the eyes of autograd.
        (slope,) = torch.autograd.grad(followed.sum() + 0 * s.sum(), s)
    return s.detach() * scale, value.detach(), slope / scale


def _shown_range(coverage: Coverage) -> Tensor:
    """Return signed distances in scales, close to each other, with both sides of every special point."""
    curves = [coverage] if coverage.surrogate is None else [coverage, coverage.surrogate]
    lows, highs = zip(*(_shown_ends(curve) for curve in curves), strict=True)
    low, high = min(lows), max(highs)
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    special = {at for curve in curves for at in _special_points(curve.domain())}
    inside = [at for at in special if low < at < high]
    beside = [at + side * 1e-9 * (high - low) for at in inside for side in (-1, 1)]
    grid = torch.linspace(low, high, POINTS, dtype=torch.float64)
    return torch.cat([grid, grid.new_tensor(beside)]).sort().values


def _shown_ends(curve: Surrogate) -> tuple[float, float]:
    """Return a range of scales with the boundary and the cut-off in it that shows most of the rise."""
    domain = curve.domain()
    # Both a light and a heavy tail have points here, the latter over many orders of magnitude.
    even = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    steps = torch.cat([even, torch.logspace(-14, 0, POINTS // 2, dtype=torch.float64)])
    candidates = domain.low + domain.span * steps.sort().values
    with torch.no_grad():
        value = curve.without_tail(candidates)
    most = float(candidates[value >= MOST * value[-1]][0])
    # As much inside as outside, where the curve still rises, and twice the distance of most of the rise.
    high = max(min(max(2 * most, -domain.low), domain.high), most, 0.0)
    return min(domain.low, 0.0), high


def _special_points(domain: Domain) -> set[float]:
    return {domain.low, domain.high, *domain.kinks, *(at for at, _ in domain.graded)}


def _draw_coverage(softness: Softness, image_height: int, left: Axes, right: Axes) -> None:
    coverage = softness.coverage
    d, value, slope = coverage_curve(coverage, image_height)
    width = float(coverage.scale.in_pixels(image_height).detach())
    left.plot(d, value, **LINE)
    right.plot(d, slope, **LINE)
    left.set(
        ylabel="coverage",
        ylim=(-0.03, 1.05),
        title=f"{type(coverage).__name__}, scale {width:.3g} px (image height {image_height} px)",
    )
    top, bottom = _shown_slope(slope), min(float(slope.min()), 0.0)
    right.set(
        ylabel="slope of coverage [1/px]",
        ylim=(bottom - 0.03 * top, 1.05 * top),
        title="slope of the same curve"
        if coverage.surrogate is None
        else "slope that gradients follow",
    )
    for panel, curve in ((left, coverage), (right, coverage.surrogate or coverage)):
        cutoff = curve.domain().low * width
        panel.set(xlabel="signed distance to the boundary [px], positive inside")
        panel.set_xlim(float(d[0]), float(d[-1]))
        panel.axvline(0, color="0.8", linewidth=0.8, zorder=0)
        _mark(panel, cutoff, f"cut-off at {cutoff + 0.0:.3g} px")


def _shown_slope(slope: Tensor) -> float:
    """Return the largest slope to show: all of them, unless they are unbounded."""
    steepest, beside = float(slope.max()), float(torch.minimum(slope[1:], slope[:-1]).max())
    top = SHOWN_PART * beside if steepest > UNBOUNDED * beside else steepest
    # A step has no slope anywhere, and the picture still needs a height.
    return top or 1.0


def _draw_aggregation(softness: Softness, panel: Axes) -> None:
    aggregation = softness.aggregation
    d = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    with torch.no_grad():
        generator = aggregation.generator(d)
        for count, color in FACES.items():
            total = generator if aggregation.takes_max else count * generator
            alpha = aggregation.inverse(total)
            panel.plot(d, alpha, color=color, linewidth=2.0, label=f"{count} faces")
    panel.plot([0, 1], [0, 1], label="1 face", **MARK)
    panel.set(
        xlabel="coverage of each face",
        ylabel="alpha of equal faces",
        xlim=(0, 1),
        ylim=(-0.03, 1.05),
        title=type(aggregation).__name__,
    )
    panel.legend(fontsize=8, frameon=False, loc="lower right")


def _draw_occlusion(softness: Softness, panel: Axes) -> None:
    occlusion = softness.occlusion
    with torch.no_grad():
        gamma = float(occlusion.gamma())
    # A fraction of the extent is told as it is, since the extent is that of a scene.
    unit = "extents in depth" if isinstance(occlusion.gamma, DepthFraction) else "scene units"
    if isinstance(occlusion, FrontToBack):
        _draw_order(occlusion, gamma, unit, panel)
    else:
        _draw_weight(occlusion, gamma, unit, panel)
    panel.set(ylim=(-0.03, 1.05), title=f"{type(occlusion).__name__}, gamma {gamma:.3g} {unit}")


def order_curve(occlusion: FrontToBack) -> tuple[Tensor, Tensor]:
    """Return depth differences, in gammas, and how much a face that is in front by them counts as being so.

    Returns
    -------
    tuple of Tensor
        (N,) float64 each, without gradient: the order that the renderer uses, from before its lower end to
        where it is nearly at its end, and as far to both sides of equal depths as that needs.
    """
    low, high = _shown_ends(occlusion.order)
    reach = 1.06 * max(-low, high) or 1.0
    inside = [at for at in _special_points(occlusion.domain()) if abs(at) < reach]
    beside = [at + side * 1e-9 * reach for at in inside for side in (-1, 1)]
    grid = torch.linspace(-reach, reach, POINTS, dtype=torch.float64)
    u = torch.cat([grid, grid.new_tensor(beside)]).sort().values
    with torch.no_grad():
        return u, torch.where(u >= occlusion.domain().high, 1.0, occlusion(u))


def _draw_order(occlusion: FrontToBack, gamma: float, unit: str, panel: Axes) -> None:
    u, order = order_curve(occlusion)
    panel.plot(u * gamma, order, **LINE)
    panel.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    panel.locator_params(axis="x", nbins=5)
    panel.set(
        xlabel=f"how far a face is in front of another [{unit}]",
        ylabel="share of it that counts as in front",
        xlim=(float(u[0]) * gamma, float(u[-1]) * gamma),
    )
    high = occlusion.domain().high
    if high < float(u[-1]):
        _mark(panel, high * gamma, f"hides wholly from {high * gamma + 0.0:.3g}")


def _draw_weight(occlusion: Occlusion, gamma: float, unit: str, panel: Axes) -> None:
    low = occlusion.domain().low
    with torch.no_grad():
        u = torch.linspace(1.08 * low, 0, POINTS, dtype=torch.float64)
        u = torch.cat([u, u.new_tensor([low * (1 + 1e-9), low * (1 - 1e-9)])]).sort().values
        weight = torch.where(u < low, 0, occlusion(u))
    panel.plot(-u * gamma, weight, **LINE)
    panel.set(
        xlabel=f"depth behind the front-most face [{unit}]",
        ylabel="weight",
        xlim=(0, -float(u[0]) * gamma),
    )
    _mark(panel, -low * gamma, f"hidden from {-low * gamma:.3g}")


def _mark(panel: Axes, x: float, text: str) -> None:
    panel.axvline(x, label=text, **MARK)
    panel.annotate(
        text,
        (x, 0.88),
        xycoords=("data", "axes fraction"),
        xytext=(-3, 0),
        textcoords="offset points",
        rotation=90,
        ha="right",
        va="top",
        fontsize=8,
        color=MARK["color"],
    )


def _new_axes() -> list[Axes]:
    return list(new_figure(9.6, 6.6).subplots(2, 2).flat)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches that pyplot does not know.

    Raises ImportError if matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "drawing needs matplotlib, which is not installed: pip install 'taichisoft[train]'"
        ) from error
    # A figure with a canvas of its own, so that no state of pyplot is touched.
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
