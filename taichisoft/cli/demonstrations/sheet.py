"""A sheet with lines over steps and rows of pictures, by pillow: a plain installation has no matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import PIL.Image
from PIL.ImageDraw import Draw
from PIL.ImageFont import load_default

PAPER, INK, FAINT, RULE = "#ffffff", "#1c1e21", "#5a5f66", "#d9dce0"
# Told apart with colour-blind vision (Okabe and Ito 2008), the first apart from the others.
COLORS = ("#c5310d", "#0072b2", "#00805d", "#b87a00")
# The chart is drawn as many times as large, so that lines become smooth.
FINE = 3
LEFT, RIGHT, TOP, BOTTOM, GAP = 44, 12, 34, 42, 4
CHART_HEIGHT, NAME_WIDTH = 320, 140
TEXT, LINE = 13, 17


@dataclass(frozen=True, eq=False)
class Entry:
    """What one of several does.

    Parameters
    ----------
    name : str
        For the reader.
    values : sequence of float
        At steps 0, 1, 2, ...; as many as of the other entries, at least two.
    pictures : sequence of Image
        All of one size.
    """

    name: str
    values: Sequence[float]
    pictures: Sequence[PIL.Image.Image]


def draw_sheet(
    entries: Sequence[Entry], *, title: str, below: str, ticks: Sequence[float]
) -> PIL.Image.Image:
    """Return a chart of the values, and below it a row of pictures of each entry.

    Parameters
    ----------
    entries : sequence of Entry
        At most as many as there are colours; the first is drawn on top.
    title, below : str
        Of the chart, with the unit of the values, and of the rows.
    ticks : sequence of float
        Values that are marked, rising. The axis ends at the first and the last.
    """
    row, pictures = entries[0].pictures[0].height + GAP, entries[0].pictures
    width = LEFT + NAME_WIDTH + len(pictures) * (pictures[0].width + GAP) + RIGHT
    height = CHART_HEIGHT + LINE + GAP + len(entries) * row + RIGHT
    sheet = PIL.Image.new("RGB", (width, height), PAPER)
    sheet.paste(_chart(entries, title, ticks, width))
    draw, font = Draw(sheet), load_default(TEXT)
    draw.text((LEFT, CHART_HEIGHT), below, INK, font)
    top = CHART_HEIGHT + LINE + GAP
    for color, entry in zip(COLORS, entries, strict=False):
        draw.text((LEFT, top + row / 2), entry.name, color, font, "lm")
        for place, picture in enumerate(entry.pictures):
            sheet.paste(picture, (LEFT + NAME_WIDTH + place * (picture.width + GAP), top))
        top += row
    return sheet


def _chart(
    entries: Sequence[Entry], title: str, ticks: Sequence[float], width: int
) -> PIL.Image.Image:
    fine = PIL.Image.new("RGB", (FINE * width, FINE * CHART_HEIGHT), PAPER)
    draw, font = Draw(fine), load_default(FINE * TEXT)
    last = len(entries[0].values) - 1
    right, bottom = width - RIGHT, CHART_HEIGHT - BOTTOM

    def write(x: float, y: float, text: str, color: str, anchor: str) -> None:
        draw.text((FINE * x, FINE * y), text, color, font, anchor)

    def across(step: float) -> float:
        return LEFT + step / last * (right - LEFT)

    def down(value: float) -> float:
        inside = min(max(value, ticks[0]), ticks[-1])
        return bottom - (inside - ticks[0]) / (ticks[-1] - ticks[0]) * (bottom - TOP)

    write(LEFT, 8, title, INK, "la")
    for tick in ticks:
        ends = [(FINE * x, FINE * down(tick)) for x in (LEFT, right)]
        draw.line(ends, RULE, FINE)
        write(LEFT - 6, down(tick), f"{tick:g}", FAINT, "rm")
    for step in (0, last):
        write(across(step), bottom + 5, f"step {step}", FAINT, "ra" if step else "la")
    for color, entry in reversed(list(zip(COLORS, entries, strict=False))):
        points = [(FINE * across(x), FINE * down(y)) for x, y in enumerate(entry.values)]
        draw.line(points, color, 2 * FINE, joint="curve")
    for place, (color, entry) in enumerate(zip(COLORS, entries, strict=False)):
        write(right - 4, TOP + GAP + LINE * place, entry.name, color, "ra")
    return fine.resize((width, CHART_HEIGHT), PIL.Image.Resampling.LANCZOS)
