"""Charts as inline SVG, of which some lines follow a slider.

The SVG shows one place of it and needs no program. `motion` gives what the program of the page needs to show
the others: numbers in the units of the axes, and the box that they are drawn in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 420, 290
LEFT, RIGHT, TOP, BOTTOM = 60, 12, 12, 46
# More points of a line could not be told apart.
MOST_POINTS = 400


@dataclass(frozen=True)
class Line:
    """A line over the common x of a chart.

    Parameters
    ----------
    label : str
        For the legend; empty: not in the legend.
    look : str
        Class of the style sheet.
    steps : tuple of (tuple of float)
        Values at each place of the slider; only one if it stays. A value that is not finite is a gap.
    extra : bool
        Whether it is shown only when all lines are asked for.
    """

    label: str
    look: str
    steps: tuple[tuple[float, ...], ...]
    extra: bool = False

    @property
    def classes(self) -> str:
        """Its classes of the style sheet."""
        return f"{self.look} extra" if self.extra else self.look

    @property
    def last(self) -> tuple[float, ...]:
        """The values at the last place."""
        return self.steps[-1]

    @property
    def moves(self) -> bool:
        """Whether it follows the slider."""
        return len(self.steps) > 1


@dataclass(frozen=True)
class Chart:
    """Lines over a common x.

    Parameters
    ----------
    key : str
        Its name in the page, of letters, digits and hyphens.
    title, x_label, y_label : str
        Texts, with units.
    x : tuple of float
        Of the points of every line.
    lines : tuple of Line
        What is drawn, the most important last.
    y_limits : tuple of float
        Lower and upper end.
    x_limits : tuple of float, optional
        Left and right end; default: those of `x`.
    along_steps : bool
        Whether x is the outer step, of which the one of the slider is marked.
    description : str
        What is to be seen, for those who cannot see it.
    note : str
        What the words in it mean, to be read below it.
    place : int
        Which place of the slider the SVG shows; -1: the last.
    now, kept : float, optional
        Outer steps that are marked: that of the place, by default the last of `x`, and that of the softness
        that a run keeps, by default none.
    """

    key: str
    title: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    lines: tuple[Line, ...]
    y_limits: tuple[float, float]
    x_limits: tuple[float, float] | None = None
    along_steps: bool = False
    description: str = ""
    note: str = ""
    place: int = -1
    now: float | None = None
    kept: float | None = None

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """Left, right, lower and upper end of the axes."""
        left, right = self.x_limits or (self.x[0], self.x[-1])
        return (*widened(left, right), *widened(*self.y_limits))

    @property
    def legend(self) -> tuple[Line, ...]:
        """The lines that are named, the most important first."""
        return tuple(line for line in reversed(self.lines) if line.label)

    @property
    def svg(self) -> Markup:
        """The chart at its place of the slider."""
        title = Markup("<title>{}</title>").format(self.description or self.title)
        parts = [title, self._axes(), self._clip(), *self._paths(), *self._marks()]
        label = Markup('<svg viewBox="0 0 {} {}" class="chart" role="img" id="chart-{}">').format(
            WIDTH, HEIGHT, self.key
        )
        return label + Markup("").join(parts) + Markup("</svg>")

    def motion(self) -> dict[str, Any]:
        """Return JSON-able numbers for the lines that follow the slider, and for the mark of the step."""
        moving = {index: line for index, line in enumerate(self.lines) if line.moves}
        return {
            "limits": list(self.limits),
            "box": [LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM],
            "marked": self.along_steps,
            "x": [_rounded(x) for x in self.x] if moving else [],
            "lines": {
                f"line-{self.key}-{index}": [[_rounded(y) for y in step] for step in line.steps]
                for index, line in moving.items()
            },
        }

    def _axes(self) -> Markup:
        left, right, low, high = self.limits
        right_end, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for value in _ticks(low, high):
            y = _place(value, low, high, bottom, TOP)
            parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(LEFT, y, right_end))
            parts.append(_text(LEFT - 6, y, _tick(value), "end", "middle"))
        for value in _ticks(left, right):
            x = _place(value, left, right, LEFT, right_end)
            parts.append(Markup('<path class="grid" d="M{} {}V{}"/>').format(x, TOP, bottom))
            parts.append(_text(x, bottom + 15, _tick(value), "middle", "auto"))
        parts.append(_text((LEFT + right_end) / 2, HEIGHT - 8, self.x_label, "middle", "auto"))
        return Markup("").join(parts)

    def _clip(self) -> Markup:
        return Markup(
            '<clipPath id="box-{}"><rect x="{}" y="{}" width="{}" height="{}"/></clipPath>'
        ).format(self.key, LEFT, TOP - 1, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM + 2)

    def _paths(self) -> list[Markup]:
        return [
            Markup(
                '<path class="line {}" id="line-{}-{}" clip-path="url(#box-{})" d="{}"/>'
            ).format(
                line.classes,
                self.key,
                index,
                self.key,
                self.path(line.steps[self.place if line.moves else 0]),
            )
            for index, line in enumerate(self.lines)
        ]

    def _marks(self) -> list[Markup]:
        if not self.along_steps:
            return []
        marks = []
        if self.kept is not None:
            marks.append(self._upright("kept", self.kept))
        return [*marks, self._upright("now", self.x[-1] if self.now is None else self.now)]

    def _upright(self, look: str, step: float) -> Markup:
        left, right, _, _ = self.limits
        x = _place(step, left, right, LEFT, WIDTH - RIGHT)
        return Markup('<path class="{}" id="{}-{}" d="M{} {}V{}"/>').format(
            look, look, self.key, x, TOP, HEIGHT - BOTTOM
        )

    def path(self, values: Sequence[float]) -> str:
        """Return the outline of a line in the notation of SVG, with gaps where a value is not finite."""
        left, right, low, high = self.limits
        words, drawing = [], False
        for x, y in zip(self.x, values, strict=True):
            if not math.isfinite(y):
                drawing = False
                continue
            across = _place(x, left, right, LEFT, WIDTH - RIGHT)
            down = _place(y, low, high, HEIGHT - BOTTOM, TOP)
            words.append(f"{'L' if drawing else 'M'}{across} {down}")
            drawing = True
        return "".join(words)


def widened(low: float, high: float) -> tuple[float, float]:
    """Return a range that is not empty."""
    if high > low:
        return low, high
    margin = 0.1 * abs(low) or 1.0
    return low - margin, high + margin


def around(values: Sequence[float], margin: float = 0.06) -> tuple[float, float]:
    """Return limits with room around all finite values; (0, 1) if there are none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = widened(min(finite), max(finite))
    return low - margin * (high - low), high + margin * (high - low)


def thinned(count: int, most: int) -> list[int]:
    """Return at most so many indices below a count, equally spaced, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def _ticks(low: float, high: float) -> list[float]:
    found = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(value) for value in found if low <= value <= high]


def _tick(value: float) -> str:
    # A true minus sign, and no negative zero.
    return f"{value + 0.0:.6g}".replace("-", "\N{MINUS SIGN}") if abs(value) > 1e-12 else "0"


def _text(x: float, y: float, text: str, anchor: str, baseline: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}" dominant-baseline="{}">{}</text>').format(
        x, y, anchor, baseline, escape(text)
    )


def _place(value: float, low: float, high: float, start: float, end: float) -> float:
    """Return where a value is drawn, to a tenth of a unit."""
    return round(start + (value - low) / (high - low) * (end - start), 1)


def _rounded(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
