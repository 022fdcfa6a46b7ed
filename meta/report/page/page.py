"""The HTML page about a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2

from meta.evaluation.baselines import BASELINES
from meta.evaluation.candidates import FIXED, Choice
from meta.learning.settings import TrainSettings
from meta.report.page.chart import Chart, Line, around
from meta.report.page.checkpoints import Checkpoint, scale_of
from meta.report.page.curves import Reference, curve_charts
from meta.report.page.problems import Example, data_address
from meta.report.page.ranking import Ranking, cells
from meta.report.page.run_data import RunData
from meta.report.page.training import (
    MEASURES,
    SCALE,
    SHOWN_MEASURES,
    digits,
    history_charts,
    parameter_charts,
    readings,
)
from meta.report.row import Row
from meta.runs.history import number_in
from taichisoft import Situation

# Fixed softnesses in a chart, for which the style sheet has looks.
MOST_FIXED = 6
ANNEALED = "-annealed"
# It has no part in a coverage.
USUAL_GAMMA = 0.05
# A larger animation is left out.
MOST_BYTES = 1_500_000
FOLDER = Path(__file__).parent
ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Compared:
    """A ranking with its chart."""

    ranking: Ranking
    chart: Chart


def page(run: RunData, problems: Sequence[Example]) -> str:
    """Return the page.

    Parameters
    ----------
    run : RunData
        The run.
    problems : sequence of Example
        Problems being solved.
    """
    checkpoints = run.checkpoints
    height = run.settings.image_size
    learn = run.settings.softness.learn
    curves = curve_charts(checkpoints, references(run), learn, height) if checkpoints else []
    parameters = parameter_charts(checkpoints, height)
    measures = MEASURES if parameters else (*MEASURES, SCALE)
    training = history_charts(run.history, measures, run.verdict)
    curves, training, parameters = (
        [_shown(chart, run) for chart in charts] for charts in (curves, training, parameters)
    )
    compared = [Compared(ranking, _progress(ranking)) for ranking in run.rankings]
    places = readings(checkpoints, run.history, height, run.verdict)
    return ENVIRONMENT.get_template("page.html").render(
        run=run,
        style=(FOLDER / "page.css").read_text(encoding="utf-8"),
        program=(FOLDER / "page.js").read_text(encoding="utf-8"),
        summary=summary(run),
        curves=curves,
        tuned=bool(tuned_rows(run)),
        places=places,
        extra=any(line.extra for chart in curves for line in chart.lines),
        training=training[:SHOWN_MEASURES],
        details=[*training[SHOWN_MEASURES:], *parameters],
        compared=compared,
        cells=cells,
        problems=problems,
        animation=_animation(run.evaluation),
        settings=_settings(run.settings),
        data={
            "shown": run.learned,
            "places": [
                {"step": c.step, "words": words(c, run), "values": list(place.values())}
                for c, place in zip(checkpoints, places, strict=True)
            ],
            "charts": {chart.key: chart.motion() for chart in [*curves, *training, *parameters]},
        },
    )


def _shown(chart: Chart, run: RunData) -> Chart:
    """Return a chart at the place of the softness that the run keeps."""
    if run.verdict is None or not run.checkpoints:
        return chart
    step = run.checkpoints[run.learned].step
    return replace(chart, place=run.learned, now=step, kept=run.verdict.kept.step)


def words(checkpoint: Checkpoint, run: RunData) -> str:
    """Return what the slider says at a place."""
    kept = run.verdict is not None and checkpoint.step == run.verdict.kept.step
    end = ": kept" if kept else ""
    if checkpoint.step == 0:
        return f"before the first outer step{end}"
    return f"after outer step {checkpoint.step} of {run.settings.outer.steps}{end}"


def summary(run: RunData) -> dict[str, str]:
    """Return what there is to say of the training in a few numbers, by name.

    Two numbers are side by side only if they are of the same problems, those of validation: every step of the
    training solves others.
    """
    rows, settings = run.history, run.settings
    state = "finished" if run.done >= settings.outer.steps else "not finished"
    texts = {"steps": f"{run.done} of {settings.outer.steps}, {state}"}
    texts["families"] = ", ".join(settings.family_names)
    texts["learned"] = ", ".join(settings.softness.learn)
    if run.checkpoints and run.checkpoints[run.learned].softness.is_conditioned:
        # A file says nothing of a situation.
        texts["numbers and curves are for"] = str(Situation())
    if run.verdict:
        start, kept = run.verdict.start, run.verdict.kept
        texts["kept"] = f"step {kept.step}" if kept.step else "the start"
        texts["validation loss, start and kept"] = _both(start.objective, kept.objective)
        texts["validation solved, start and kept"] = _both(
            100 * start.success, 100 * kept.success, " %"
        )
    if rows:
        seconds = sum(value for row in rows if math.isfinite(value := number_in(row, "seconds")))
        texts["time of the steps"] = f"{seconds / 60:.1f} min"
        counts = [f"{digits(number_in(rows[-1], name))} {name}" for name in ("clipped", "skipped")]
        texts["gradients"] = ", ".join(counts)
    return texts


def _both(start: float, kept: float, unit: str = "") -> str:
    return f"{digits(start, unit)}, {digits(kept, unit)}"


def references(run: RunData) -> list[Reference]:
    """Return fixed softnesses at the scales that an evaluation tuned, or else at the learned one's.

    Those of an evaluation are the ones that took part on the first family of the run; of a constant and an
    annealed one, which counts with its scale half-way, the better. The one that solved most is the first.
    """
    if not run.checkpoints:
        return []
    better = [_better(key, tuned_rows(run)) for key in BASELINES]
    tuned = sorted((r for r in better if r is not None), key=lambda r: -r.success.estimate)
    found = [_reference(row.softness, row.label, row.scale) for row in tuned]
    scale = float(scale_of(run.checkpoints[run.learned].softness, 0.5, run.settings.image_size))
    usual = [_reference(key, baseline.label, scale) for key, baseline in BASELINES.items()]
    return (found or usual)[:MOST_FIXED]


def tuned_rows(run: RunData) -> tuple[Row, ...]:
    """Return the fixed softnesses of an evaluation on the first family of the run; none without one."""
    first = run.settings.family_names[0]
    rows = next((ranking.fixed for ranking in run.rankings if ranking.family == first), ())
    return tuple(row for row in rows if row.softness.removesuffix(ANNEALED) in BASELINES)


def _better(key: str, rows: Sequence[Row]) -> Row | None:
    both = [row for row in rows if row.softness.removesuffix(ANNEALED) == key]
    return max(both, key=lambda row: row.success.estimate, default=None)


def _reference(key: str, label: str, scale: float) -> Reference:
    renderer = FIXED[key].renderer(Choice(scale, USUAL_GAMMA, 1.0))
    return Reference(f"{label}, {scale:.2g} px", renderer.softness)


def _progress(ranking: Ranking) -> Chart:
    """Return the chart of problems solved so far, of the learned and the best fixed softnesses."""
    subject = ranking.subject
    best = sorted(ranking.fixed, key=lambda row: -row.success.estimate)[:MOST_FIXED]
    looks = {f"fixed-{index}": row for index, row in enumerate(best)} | {"learned": subject}
    lines = [
        Line(row.label, look, (tuple(100 * rate for rate in row.solved_by),))
        for look, row in looks.items()
    ]
    _, top = around([value for line in lines for value in line.last])
    return Chart(
        f"solved-{ranking.family}",
        f"{ranking.family}: solved so far",
        "inner step",
        "problems [%]",
        subject.solved_by_steps,
        tuple(lines),
        (0.0, min(top, 100.0)),
        description=f"Share of the held-out problems of {ranking.family} that were solved by each inner "
        "step; the numbers at the last step are in the table.",
    )


def _animation(evaluation: Path) -> str:
    """Return the animation beside an evaluation as an address, or nothing."""
    path = evaluation.parent / "examples.gif"
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        return ""
    return data_address(path.read_bytes(), "image/gif")


def _settings(settings: TrainSettings) -> list[dict[str, Any]]:
    rows = []
    for option in settings.options():
        value = option.value
        text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        rows.append(
            {
                "name": option.name,
                "value": text or "\N{EN DASH}",
                "help": option.help,
                "changed": option.value != option.default,
            }
        )
    return rows
