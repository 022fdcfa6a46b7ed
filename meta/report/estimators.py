"""The measurements of meta-gradient estimators as a table and as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from meta.report.figures import decorate, new_figure
from meta.report.markdown import markdown_table

# Distinguishable with colour-blind vision (Okabe and Ito 2008).
EXACT_COLOR, SMOOTH_COLOR, PLAIN_COLOR = "#0072b2", "#d1350f", "#4d4d4d"
LENGTHS = "lengths of the smoothed gradient"


@dataclass(frozen=True)
class EstimatorStatistics:
    """Bias, spread and cost of one estimator.

    Lengths of gradients are in lengths of the smoothed gradient.

    Parameters
    ----------
    name, label : str
        As on the command line, and for people.
    draws : int
        Number of estimates; 1 if they are all equal.
    norm : float
        Length of their mean.
    cosine_exact, cosine_smooth : float
        Cosine of the angle between the mean, and the derivative or the smoothed gradient.
    bias_exact, bias_smooth : float
        Distance of the mean from these two.
    bias_error : float
        Standard error of the mean.
    spread : float
        Standard deviation of one estimate, over all parameters together.
    seconds, trajectories : float
        Cost of one estimate in CPU time, and as a multiple of a trajectory without gradients.
    """

    name: str
    label: str
    draws: int
    norm: float
    cosine_exact: float
    cosine_smooth: float
    bias_exact: float
    bias_smooth: float
    bias_error: float
    spread: float
    seconds: float
    trajectories: float


def markdown(rows: Sequence[EstimatorStatistics], settings: Mapping[str, Any], command: str) -> str:
    """Return the report as Markdown: how it was made, and the table."""
    table = _table(rows)
    picture = "![direction, bias, spread and cost](estimators.png)"
    title = "# Estimators of the meta-gradient"
    return "\n\n".join([title, f"`{command}`", _method(rows[0], settings), table, picture, ""])


def _method(derivative: EstimatorStatistics, settings: Mapping[str, Any]) -> str:
    size, steps, sigma = (settings[name] for name in ("image_size", "inner_steps", "sigma"))
    return (
        f"One batch of {settings['problems']} pose problems of {size} px, solved in {steps} Adam steps, and "
        f"one softness: a spline of {settings['knots']} knots with a scale of {settings['scale']:g} px. The "
        "*derivative* is that of the objective as it is, with all its small jumps, where a pixel's nearest "
        f"edge changes. The *smoothed gradient* is that of its mean over perturbations of size {sigma:g}, "
        f"from {settings['reference']} exhaustive sets of antithetic pairs. The cosine between the two is "
        f"{derivative.cosine_smooth:.2f}, and the derivative is {derivative.norm:.2g} times as long.\n\n"
        "Bias and spread are in lengths of the smoothed gradient; behind the bias of evolution strategies "
        f"is its standard error. Truncated and persistent gradients look back {settings['horizon']} steps; "
        "an estimate of the latter is the mean over an episode. Seconds are of CPU time."
    )


def _table(rows: Sequence[EstimatorStatistics]) -> str:
    head = (
        *("estimator", "cosine with derivative", "cosine with smoothed", "bias from derivative"),
        *("bias from smoothed", "spread of one estimate", "cost [trajectories]", "cost [CPU s]"),
    )
    return markdown_table(head, map(_cells, rows), right_aligned=True)


def _cells(row: EstimatorStatistics) -> list[str]:
    error = f" ± {row.bias_error:.2g}" if row.draws > 1 else ""
    return [
        row.label,
        f"{row.cosine_exact:.3f}",
        f"{row.cosine_smooth:.3f}",
        f"{row.bias_exact:.2g}{error}",
        f"{row.bias_smooth:.2g}{error}",
        f"{row.spread:.2g}",
        f"{row.trajectories:.1f}",
        f"{row.seconds:.2f}",
    ]


def draw(rows: Sequence[EstimatorStatistics]) -> Figure:
    """Return a figure of direction, bias, spread and cost, a line for each estimator."""
    figure = new_figure(13, 1.2 + 0.4 * len(rows))
    direction, bias, spread, cost = figure.subplots(1, 4, sharey=True)
    _two(direction, [r.cosine_exact for r in rows], [r.cosine_smooth for r in rows])
    direction.set(title="direction of the mean", xlabel="cosine", xlim=(-1.06, 1.06))
    direction.axvline(0, color="0.75", linewidth=0.8, zorder=1)
    _two(
        bias,
        [r.bias_exact for r in rows],
        [r.bias_smooth for r in rows],
        [r.bias_error for r in rows],
    )
    bias.set(title="bias of the mean", xlabel=LENGTHS)
    # Linear up to the lowest bias that can be told from noise, so that zero is on the axis.
    bias.set_xscale("symlog", linthresh=0.1)
    _one(spread, [r.spread for r in rows])
    spread.set(title="spread of one estimate", xlabel=LENGTHS)
    _one(cost, [r.trajectories for r in rows])
    cost.set(title="cost of one estimate", xlabel="trajectories")
    for axes in (bias, spread, cost):
        axes.set_xlim(left=0)
    direction.set_yticks(range(len(rows)), [row.label for row in rows])
    direction.invert_yaxis()
    figure.legend(
        *bias.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False
    )
    return figure


def _two(
    axes: Axes,
    exact: Sequence[float],
    smooth: Sequence[float],
    errors: Sequence[float] | None = None,
) -> None:
    """Draw a marker for each of the two references, with error bars that end at zero."""
    for values, shift, color, marker, label in (
        (exact, -0.14, EXACT_COLOR, "o", "against the derivative of the objective"),
        (smooth, 0.14, SMOOTH_COLOR, "D", "against the gradient of the smoothed objective"),
    ):
        bars = errors and [list(map(min, errors, values)), errors]
        places = [index + shift for index in range(len(values))]
        look = {"color": color, "marker": marker, "linestyle": "none", "clip_on": False}
        axes.errorbar(values, places, xerr=bars, label=label, elinewidth=1.2, **look)
    _decorate(axes)


def _one(axes: Axes, values: Sequence[float]) -> None:
    axes.plot(
        values, range(len(values)), clip_on=False, color=PLAIN_COLOR, marker="o", linestyle="none"
    )
    _decorate(axes)


def _decorate(axes: Axes) -> None:
    decorate(axes)
    axes.tick_params(axis="y", length=0)
