"""Charts and numbers of a run over its outer steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from meta.report.page.chart import MOST_POINTS, Chart, Line, around, thinned
from meta.report.page.checkpoints import Checkpoint, distance, numbers_of
from meta.runs.history import number_in
from meta.runs.verdict import KEYS, Verdict

# Of the history: key, title and unit, and whether 0 belongs into the picture; so many are shown at once.
MEASURES = (
    ("objective", "Loss (1: everything lost)", True),
    ("success", "Solved problems (rate)", True),
    ("error_mean", "Mean last error (1: lost)", True),
    ("gradient_norm", "Norm of the meta-gradient", True),
)
SHOWN_MEASURES = 2
# For runs whose history has no parameters.
SCALE = ("scale", "Scale at the first inner step [px]", False)
CHANGE = "change of all weights (root mean square)"


def history_charts(
    history: Sequence[dict],
    measures: Sequence[tuple[str, str, bool]],
    verdict: Verdict | None = None,
) -> list[Chart]:
    """Return a chart of each measure; there are none without steps.

    With a verdict, the start has its place, and what was judged is a line next to that of the training.
    """
    if not history:
        return []
    rows = [*([_of_start(verdict)] if verdict else []), *history]
    judged = {key: _between(rows, f"validation_{key}") for key in KEYS} if verdict else {}
    places = thinned(len(rows), MOST_POINTS)
    rows = [rows[i] for i in places]
    charts = []
    for key, title, from_zero in measures:
        values = [[number_in(row, key) for row in rows]]
        if key in judged:
            values.append([judged[key][i] for i in places])
        charts.append(_chart(key.replace("_", "-"), title, rows, values, from_zero))
    return charts


def _of_start(verdict: Verdict) -> dict:
    """Return what is known of the start, as a row of the history."""
    return {"step": 0} | {f"validation_{key}": getattr(verdict.start, key) for key in KEYS}


def _between(rows: Sequence[dict], key: str) -> list[float]:
    """Return a number of every row, on straight lines between those that have it; NaN beyond them."""
    steps, values = [row["step"] for row in rows], [number_in(row, key) for row in rows]
    known = [i for i, value in enumerate(values) if math.isfinite(value)]
    if not known:
        return values
    at, of = [steps[i] for i in known], [values[i] for i in known]
    return np.interp(steps, at, of, left=math.nan, right=math.nan).tolist()


def parameter_charts(checkpoints: Sequence[Checkpoint], image_height: int) -> list[Chart]:
    """Return a chart of each learned number, and of how far weights have moved.

    There are none if only the two ends are known, since a line between these would say what nobody knows.
    """
    if len(checkpoints) < 3:
        return []
    numbers = [numbers_of(checkpoint.softness, image_height) for checkpoint in checkpoints]
    series = {name: [each.get(name, math.nan) for each in numbers] for name in numbers[-1]}
    moved = [distance(checkpoint.softness, checkpoints[0].softness) for checkpoint in checkpoints]
    if moved[-1] is not None:
        series[CHANGE] = [value for value in moved if value is not None]
    rows = [{"step": checkpoint.step} for checkpoint in checkpoints]
    return [
        _chart(f"parameter-{index}", name, rows, [values], False)
        for index, (name, values) in enumerate(series.items())
    ]


def readings(
    checkpoints: Sequence[Checkpoint],
    history: Sequence[dict],
    image_height: int,
    verdict: Verdict | None = None,
) -> list[dict[str, str]]:
    """Return what is said at each place of the slider: texts by name, the same names everywhere.

    With a verdict, loss and solved problems are those of validation, the same problems everywhere, and a dash
    where none were solved. Else they are of the problems of the step, which are others at each place.
    """
    return [_reading(each, history, image_height, verdict) for each in checkpoints]


def _reading(
    checkpoint: Checkpoint, history: Sequence[dict], image_height: int, verdict: Verdict | None
) -> dict[str, str]:
    # The row of a step tells of the problems that were solved before its update.
    row = history[checkpoint.step - 1] if 0 < checkpoint.step <= len(history) else {}
    if verdict is not None and checkpoint.step == 0:
        row = _of_start(verdict)
    key, whose = ("validation_", "validation") if verdict else ("", "this step's problems")
    texts = {
        f"loss, {whose}": digits(number_in(row, f"{key}objective")),
        f"solved, {whose}": digits(100 * number_in(row, f"{key}success"), " %"),
        "gradient norm": digits(number_in(row, "gradient_norm")),
    }
    numbers = numbers_of(checkpoint.softness, image_height)
    return texts | {name: digits(value) for name, value in numbers.items()}


def digits(value: float, unit: str = "") -> str:
    """Return a number to four digits, or a dash."""
    return f"{value:.4g}{unit}" if math.isfinite(value) else "\N{EN DASH}"


def _chart(
    key: str, title: str, rows: Sequence[dict], lines: Sequence[Sequence[float]], from_zero: bool
) -> Chart:
    """Return a chart of a line, or of those of training and validation problems."""
    steps = tuple(float(row["step"]) for row in rows)
    low, high = around([value for values in lines for value in values])
    finite = [value for value in lines[0] if math.isfinite(value)]
    span = f"from {digits(finite[0])} to {digits(finite[-1])}" if finite else "no numbers"
    labels = ("training problems", "validation problems") if len(lines) > 1 else ("",)
    return Chart(
        key,
        title,
        "outer step",
        "",
        steps,
        tuple(
            Line(label, look, (tuple(values),))
            for label, look, values in zip(labels, ("learned", "fixed-0"), lines, strict=False)
        ),
        (min(0.0, low) if from_zero else low, high),
        along_steps=True,
        description=f"{title} over outer steps {steps[0]:g} to {steps[-1]:g}: {span}.",
    )
