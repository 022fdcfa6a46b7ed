"""The report of one softness against fixed settings that were chosen on equal information."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from meta.evaluation.candidates import Learned
from meta.evaluation.comparison import Comparison, Result
from meta.evaluation.paired import Paired
from meta.evaluation.pooled.aim import BY_MUCH, Aim
from meta.evaluation.pooled.given import DEFAULTS, FAR, NEAR
from meta.evaluation.pooled.halving import NUMBERS, Chosen
from meta.evaluation.pooled.job import ALL
from meta.evaluation.pooled.pool import BEST, Pool
from meta.evaluation.pooled.table import MEAN, PairedTable, Stand
from meta.evaluation.statistics import Interval
from meta.evaluation.verdicts import Standing, number
from meta.report.markdown import markdown_table
from meta.report.row import Row
from meta.report.tables import origin


@dataclass(frozen=True, eq=False)
class PooledReport:
    """Comparisons with pooled settings, a family each, and all that is told of them.

    Parameters
    ----------
    title : str
        Heading.
    about : str
        What was compared, in a sentence or two.
    comparisons : tuple of Comparison
        The first learned softness of each is meant, and fixed ones with the same keys: see `Pool.with_best`.
    seed, resamples : int
        Of the statistics.
    other : str
        What the first of the fixed ones is called.
    aim : Aim
        What it is to win against it.
    suffix : str
        What the name of its picture ends with.
    """

    title: str
    about: str
    comparisons: tuple[Comparison, ...]
    seed: int = 0
    resamples: int = 2000
    other: str = "the one fixed setting"
    aim: Aim = BY_MUCH
    suffix: str = ""

    @cached_property
    def paired(self) -> PairedTable:
        """All paired differences."""
        return PairedTable.of(self.comparisons, seed=self.seed, resamples=self.resamples)

    @property
    def families(self) -> tuple[str, ...]:
        """The names of the families."""
        return self.paired.families

    @property
    def entries(self) -> list[tuple[Result, ...]]:
        """The results of each softness in all families, by falling mean success; the learned one first."""
        columns = [(c.learned[0], *c.fixed) for c in self.comparisons]
        learned, *others = zip(*columns, strict=True)
        return [learned, *sorted(others, key=lambda row: -_mean(r.success.estimate for r in row))]

    @property
    def headline(self) -> str:
        """The outcome against the first of the fixed ones, in a few sentences."""
        cells, label = self.paired.cells[BEST], self.paired.label
        stands = {s: _listed(self.paired.where(BEST, s)) for s in Standing}
        points, ratio = cells[MEAN].success, cells[MEAN].ratio
        won = "is" if self.aim.reached(self.paired, BEST) else "is not"
        return (
            f"Against {self.other}, {label} is ahead in {stands[Standing.AHEAD]}, level in "
            f"{stands[Standing.LEVEL]} and behind in {stands[Standing.BEHIND]}. In the mean of the families "
            f"the difference is {_points(points)} points of success, and {number(ratio)} times the error is "
            f"left. By the measure set beforehand ({self.aim.text}) that {won} a win."
        )

    def markdown(self) -> str:
        """Return the whole report."""
        parts = [f"## {self.title}", self.about, self.headline]
        parts += ["### Solved, %", self._success(), "### Median error", self._errors()]
        parts += ["### Steps and processor seconds to success", self._steps()]
        parts += [f"### Paired differences: {self.paired.label} minus", self._differences()]
        return "\n\n".join(parts) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            "title": self.title,
            "rows": [
                Row.of(comparison, result).to_json()
                for comparison in self.comparisons
                for result in (comparison.learned[0], *comparison.fixed)
            ],
            "paired": self.paired.to_json(),
            "headline": self.headline,
            "reached": self.aim.reached(self.paired, BEST),
        }

    def _success(self) -> str:
        means = self._means(lambda r: r.outcome.solved[-1].double())
        rows = [
            [_name(row), *(_percent(r.success) for r in row), _percent(means[row[0].key])]
            for row in self.entries
        ]
        return markdown_table(["", *self._heads(), MEAN], rows)

    def _errors(self) -> str:
        means = self._means(lambda r: (r.errors[-1] / r.error_cap).clamp(max=1))
        rows = [
            [_name(row), *(number(r.error) for r in row), number(means[row[0].key])]
            for row in self.entries
        ]
        units = [
            f"{head} [{c.family.error_unit}]"
            for head, c in zip(self._heads(), self.comparisons, strict=True)
        ]
        return markdown_table(["", *units, "mean error in caps"], rows)

    def _steps(self) -> str:
        rows = [[_name(row), *map(_effort, row)] for row in self.entries]
        return markdown_table(["", *self._heads()], rows)

    def _differences(self) -> str:
        labels = {result.key: result.label for result in self.comparisons[0].fixed}
        names = (*self.families, MEAN)
        rows = [
            [labels[key], *(cell_text(self.paired.cells[key][name]) for name in names)]
            for key in (row[0].key for row in self.entries[1:])
        ]
        return markdown_table(["", *names], rows)

    def _heads(self) -> list[str]:
        return [f"{c.family.name} ({c.protocol.total})" for c in self.comparisons]

    def _means(self, value: Callable[[Result], Tensor]) -> dict[str, Interval]:
        """Return the mean over the families of a mean over problems, by the key of the first result."""
        entries = self.entries
        columns = [
            torch.stack([value(row[i]) for row in entries]) for i in range(len(self.families))
        ]
        every = Paired(self.families, tuple(columns), self.seed, self.resamples).intervals()
        return {row[0].key: found[-1] for row, found in zip(entries, every, strict=True)}


STATISTICS = """\
Every softness solves the same held-out problems. A difference is ours minus theirs, problem by problem, with
its 95 % bootstrap interval: points of success, and the geometric mean of the ratio of errors (in caps, at
most 1). *p* is that of the sign-flip test of the same differences, corrected by Holm's method over all
comparisons of a table, the mean's too: *ahead* and *behind* are said where it is below 0.05. The mean is that
of the families, each of the same weight, resampled within each. *Steps* is the median number of steps until
a problem is first measured as solved, an unsolved one counting as never; *seconds* is that times the time
that processors spend on a step of one problem: not of a clock on the wall, all threads together, without the
first step, in which kernels are loaded or compiled. Each softness solves the problems of a seed together.
"""


def defaults_text() -> str:
    """Return what the published defaults are, in a paragraph."""
    found = "; ".join(
        f"{d.label}: {type(d.coverage()).__name__}, {d.coverage().scale.in_pixels(1):.4g} heights of the "
        f"image, gamma {d.gamma:g}"
        for d in DEFAULTS.values()
    )
    return (
        f"Published defaults, with the probabilistic sum, the depth softmax and each family's own learning "
        f"rate: {found}. Gamma is in extents of depth from {NEAR:g} to {FAR:g}, as it is there. They are "
        "those functions in this renderer, not those renderers."
    )


def pooled_markdown(reports: Sequence[PooledReport], pool: Pool, command: str) -> str:
    """Return the reports with how the fixed settings were chosen, and how the numbers were made."""
    comparisons = [c for report in reports for c in report.comparisons]
    parts = ["# One setting for all", f"`{command}`\n\n{origin(comparisons).strip()}"]
    parts += [report.markdown().strip() for report in reports]
    parts += ["## Statistics", STATISTICS.strip()]
    parts += ["## What was chosen", choices_markdown(pool), defaults_text()]
    return "\n\n".join(parts) + "\n"


def choices_markdown(pool: Pool) -> str:
    """Return a table of what every entrant chose for all families, by falling score."""
    best = pool.best()
    chosen = {key: choices.chosen[ALL] for key, choices in pool.choices.items()}
    families = list(chosen[best].success)
    rows = [
        [
            f"**{key}**" if key == best else key,
            _setting(c),
            *(f"{100 * c.success[name]:.0f}" for name in families),
            f"{c.score:.3f}",
            f"{c.solved:,}",
        ]
        for key, c in sorted(chosen.items(), key=lambda one: -one[1].score)
    ]
    solved = [f"{name}, %" for name in families]
    head = ["", "setting for all families", *solved, "score", "problems solved"]
    return (
        f"{markdown_table(head, rows)}\n\nThe score is the mean over the families of success rate minus mean "
        "error in caps, on training problems; the best one, in bold, is the one fixed setting. The first "
        f"{len(pool.finalists)} met held-out problems. Numbers marked * are at an end of the grid: a wider "
        "one might hold better. For all choices, those of the finalists without a family and for one alone "
        f"too where they were made, {pool.solved:,} problems were solved."
    )


def _setting(chosen: Chosen) -> str:
    setting = chosen.setting
    scale, gamma, rate = (
        f"{getattr(setting, name):g}{'*' if name in chosen.at_edge else ''}" for name in NUMBERS
    )
    return f"{scale} px, {setting.conorm}, gamma {gamma}, rate x {rate}"


def _name(row: Sequence[Result]) -> str:
    first = row[0]
    stands_out = first.key == BEST or isinstance(first.candidate, Learned)
    return f"**{first.label}**" if stands_out else first.label


def _percent(rate: Interval) -> str:
    return f"{100 * rate.estimate:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def _points(difference: Interval) -> str:
    center, low, high = (100 * value for value in astuple(difference))
    return f"{center:+.1f} [{low:+.1f}, {high:+.1f}]"


def _effort(result: Result) -> str:
    steps = result.steps_to_success.estimate
    if not math.isfinite(steps):
        return "never"
    return f"{steps:g}; {steps * result.outcome.cpu_seconds_per_step:.3g} s"


def cell_text(cell: Stand) -> str:
    """Return where ours stands against another one, and by how much."""
    return (
        f"{cell.overall.value}: {_points(cell.success)} (p {_p(cell.success_p)}); "
        f"error x {number(cell.ratio)} (p {_p(cell.ratio_p)})"
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 1e-3 else f"{value:.3f}"


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
