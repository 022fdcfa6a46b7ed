"""Pictures of a comparison: the softness curves, and how solving converges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from meta.evaluation.candidates import Learned
from meta.evaluation.comparison import Comparison, Result
from meta.report.figures import decorate, new_figure, save_figure
from taichisoft import SoftRasterizer

# More curves in one picture could not be told apart.
MOST_LEARNED = 3
MOST_FIXED = 6
LEARNED_COLORS = ("#d1350f", "#111111", "#f2a08a")
# Distinguishable with colour-blind vision (Okabe and Ito 2008), apart from the red of the learned one.
FIXED_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#7f7f7f")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
BAND = 0.13
# Scales from the boundary, farther than any picture shows.
FAR = 1e4
# Slopes per pixel that are shown; some functions have an infinite one on the boundary.
SLOPES = (1e-2, 1e2)

Look = dict[str, object]


def drawn_results(comparison: Comparison) -> tuple[Result, ...]:
    """Return the results that are drawn: the first learned softnesses, and the best of the fixed ones."""
    by_success = sorted(comparison.fixed, key=lambda r: (-r.success.estimate, r.error.estimate))
    ordered = [result.key for result in (comparison.best_by_error, *by_success)]
    chosen = list(dict.fromkeys(ordered))[:MOST_FIXED]
    fixed = [result for result in comparison.fixed if result.key in chosen]
    return (*comparison.learned[:MOST_LEARNED], *fixed)


def looks(comparison: Comparison) -> dict[str, Look]:
    """Return how to draw each softness that is shown, the same in every picture of the family."""
    drawn: dict[str, Look] = {}
    learned = [
        result for result in drawn_results(comparison) if isinstance(result.candidate, Learned)
    ]
    fixed = [
        result for result in drawn_results(comparison) if not isinstance(result.candidate, Learned)
    ]
    for index, result in enumerate(learned):
        look = {"color": LEARNED_COLORS[index], "linewidth": 2.6 - 0.6 * index}
        drawn[result.key] = look | {"linestyle": "-", "zorder": 5 - 0.1 * index}
    for index, result in enumerate(fixed):
        drawn[result.key] = {
            "color": FIXED_COLORS[index % len(FIXED_COLORS)],
            "linewidth": 1.4,
            "linestyle": DASHES[index % len(DASHES)],
            "zorder": 3,
        }
    return drawn


def save_softness_curves(comparisons: Sequence[Comparison], path: Path, image_height: int) -> None:
    """Draw coverage and its slope over the signed distance in pixels, a row for each family.

    Parameters
    ----------
    comparisons : sequence of Comparison
        At least one; fixed functions are at the scales tuned for its family.
    path : Path
        PNG file to write.
    image_height : int
        Height in pixels of the images that the scales apply to.
    """
    figure, axes = _panels(len(comparisons))
    for comparison, (left, right) in zip(comparisons, axes, strict=True):
        drawn = looks(comparison)
        curves = {
            result.key: pixel_curve(result.candidate.renderer(result.tuned.choice), image_height)
            for result in drawn_results(comparison)
        }
        reach = shared_reach(curves)
        for result in drawn_results(comparison):
            d, value, slope = curves[result.key]
            label = f"{result.label}, {result.tuned.choice.scale:.2g} px"
            left.plot(d, value, label=label, **drawn[result.key])
            right.plot(d, slope, label=label, **drawn[result.key])
        _decorate_curves(comparison, left, right, reach)
    save_figure(figure, path)


def pixel_curve(
    renderer: SoftRasterizer, image_height: int, points: int = 2001
) -> tuple[Tensor, Tensor, Tensor]:
    """Return signed distances in pixels, and coverage and its slope per pixel there, (N,) each.

    The curve is the one that the renderer uses, without its tail; of an annealed one, that half-way, and of a
    conditioned one, that for the situation that was set. The slope is the one that gradients follow. The
    first and the last point are far outside of the range in which it varies.
    """
    renderer.set_progress(0.5)
    coverage = renderer.coverage
    scale = coverage.scale.in_pixels(image_height).detach()
    domain = coverage.domain()
    low, high = domain.low - 0.01 * domain.span, domain.high + 0.01 * domain.span
    inner = torch.linspace(low, high, points - 2, dtype=torch.float64)
    far = FAR * inner.new_tensor([-1.0, 1.0])
    s = torch.cat([far[:1], inner, far[1:]]).requires_grad_()
    value = coverage.without_tail(s)
    followed = coverage.surrogate or coverage
    (slope,) = torch.autograd.grad(followed.without_tail(s).sum(), s)
    return s.detach() * scale, value.detach(), slope / scale


def save_convergence(comparisons: Sequence[Comparison], path: Path) -> None:
    """Draw median error and success rate over the inner steps, a row for each family.

    Bands are the quartiles of the error, and the bootstrap interval of the success rate, of the
    first learned softness and the best fixed one.
    """
    figure, axes = _panels(len(comparisons))
    for comparison, (left, right) in zip(comparisons, axes, strict=True):
        drawn, best = looks(comparison), comparison.best_by_success
        for result in drawn_results(comparison):
            band = result in (comparison.learned[0], best)
            look = drawn[result.key] | ({"linewidth": 2.2} if result is best else {})
            _draw_errors(left, result, look, band=band)
            _draw_success(right, result, look, band=band)
        _decorate_convergence(comparison, left, right)
    save_figure(figure, path)


def _draw_errors(axes: Axes, result: Result, look: Look, *, band: bool) -> None:
    outcome = result.outcome
    low, middle, high = (result.errors.quantile(q, dim=1) for q in (0.25, 0.5, 0.75))
    axes.plot(outcome.steps, middle, label=result.label, **look)
    if band:
        axes.fill_between(outcome.steps, low, high, color=look["color"], alpha=BAND, linewidth=0)


def _draw_success(axes: Axes, result: Result, look: Look, *, band: bool) -> None:
    outcome = result.outcome
    rates = result.bootstrap.rates(outcome.solved)
    center, low, high = (100 * value for value in rates)
    axes.plot(outcome.steps, center, label=result.label, **look)
    if band:
        axes.fill_between(outcome.steps, low, high, color=look["color"], alpha=BAND, linewidth=0)


def shared_reach(curves: dict[str, tuple[Tensor, Tensor, Tensor]]) -> tuple[float, float]:
    """Return a range of distances that shows the narrow curves and most of the wide ones.

    Parameters
    ----------
    curves : dict
        What `pixel_curve` gives, by any names.
    """
    lows = [float(d[value > 0.01][0]) for d, value, _ in curves.values()]
    highs = [float(d[value >= min(0.99, float(value.max()))][0]) for d, value, _ in curves.values()]
    low, high = min(lows), max(highs)
    margin = 0.15 * (high - low)
    return low - margin, high + margin


def _decorate_curves(
    comparison: Comparison, left: Axes, right: Axes, reach: tuple[float, float]
) -> None:
    name = comparison.family.name
    left.set(ylabel="coverage", ylim=(-0.03, 1.03), title=f"{name}: coverage at the tuned scales")
    right.set(
        ylabel="slope of coverage [1/px]",
        yscale="log",
        ylim=SLOPES,
        title=f"{name}: slope at the tuned scales",
    )
    for axes in (left, right):
        axes.set(xlabel="signed distance to the face's boundary [px], positive inside", xlim=reach)
        axes.axvline(0, color="0.75", linewidth=0.8, zorder=1)
    left.legend(fontsize=8, frameon=False, loc="best")


def _decorate_convergence(comparison: Comparison, left: Axes, right: Axes) -> None:
    family, protocol = comparison.family, comparison.protocol
    count = protocol.total
    left.set(
        ylabel=f"median error [{family.error_unit}]",
        title=f"{family.name}: error on {count} held-out problems (quartile bands)",
    )
    left.set_ylim(bottom=0)
    right.set(
        ylabel="success rate [%]",
        ylim=(-2, 102),
        title=f"{family.name}: success rate (95 % bands)",
    )
    for axes in (left, right):
        axes.set(xlabel="inner step", xlim=(0, protocol.steps))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.legend(fontsize=8, frameon=False, loc="best")


def _panels(count: int) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    figure = new_figure(12, 4.1 * count)
    axes = figure.subplots(count, 2, squeeze=False)
    for panel in axes.flat:
        decorate(panel)
    return figure, [(left, right) for left, right in axes]
