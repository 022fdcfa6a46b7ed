"""Animations of problems being solved: target, learned softness and best fixed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from meta.evaluation.comparison import Comparison, Result
from taichisoft.files.animations import write_gif
from tasks.base import Split, Task

WIDTH = 768
MARGIN = 10
HEAD = 40
FOOT = 24
FRAME_MS = 120
LAST_FRAME_MS = 2500

BACKGROUND = (255, 255, 255)
INK = (30, 30, 30)
EMPTY = np.array([38.0, 40.0, 46.0])
BOTH = np.array([232.0, 232.0, 228.0])
# What the estimate lacks, and what it has too much.
MISSING = np.array([58.0, 134.0, 210.0])
EXCESS = np.array([230.0, 126.0, 34.0])


@dataclass(frozen=True, eq=False)
class Panel:
    """A picture with the text above it.

    Parameters
    ----------
    picture : Image
        In its own pixels.
    title, caption : str
        Two lines.
    """

    picture: Image.Image
    title: str
    caption: str

    def enlarged(self, width: int) -> Image.Image:
        """Return the picture enlarged by a whole factor to at most a width, without smoothing."""
        factor = max(1, width // self.picture.width)
        size = (self.picture.width * factor, self.picture.height * factor)
        return self.picture.resize(size, Image.Resampling.NEAREST)


@dataclass(frozen=True, eq=False)
class Strip:
    """One problem of one family: a row of the animation.

    Parameters
    ----------
    comparison : Comparison
        Where it comes from.
    task : Task
        The held-out problems of the first seed.
    problem : int
        Which one.
    """

    comparison: Comparison
    task: Task
    problem: int

    @property
    def results(self) -> tuple[Result, Result]:
        """The learned softness and the best fixed one."""
        return self.comparison.learned[0], self.comparison.best_by_success

    def rows(self, frame: int) -> list[list[Panel]]:
        """Return the panels of a measurement: side by side, or wide ones below each other."""
        panels = self.panels(frame)
        target = self.task.target(self.problem)
        wide = target.shape[1] > 2 * target.shape[0]
        return [[panel] for panel in panels] if wide else [panels]

    def panels(self, frame: int) -> list[Panel]:
        """Return target, learned and best fixed at a measurement."""
        target = self.task.target(self.problem)
        title = f"{self.comparison.family.name}: target"
        panels = [Panel(overlay(target, target), title, self.rule)]
        for result in self.results:
            outcome = result.outcome
            unknowns = {name: value[frame] for name, value in outcome.states.items()}
            state = self.task.views(unknowns, self.problem)
            error = float(outcome.errors[frame, self.problem])
            caption = f"step {int(outcome.steps[frame])}, error {error:.3g} [{self._unit}]"
            panels.append(Panel(overlay(state, target), result.label, caption))
        return panels

    @property
    def rule(self) -> str:
        """How the problem was chosen, for the caption."""
        return "held-out, median difficulty"

    @property
    def _unit(self) -> str:
        return self.comparison.family.error_unit


def save_examples(comparisons: Sequence[Comparison], path: Path) -> None:
    """Save an animated GIF with a row for each family: target, learned, best fixed.

    The problem is the one of median difficulty of the first seed, see `Comparison.median_problem`. One
    frame per measurement of the error.
    """
    strips = [
        Strip(c, c.protocol.evaluation_tasks(c.family, Split.HELD_OUT)[0], c.median_problem())
        for c in comparisons
    ]
    counts = [len(strip.comparison.learned[0].outcome.steps) for strip in strips]
    frames = [
        _frame(
            [
                row
                for strip, count in zip(strips, counts, strict=True)
                for row in strip.rows(min(frame, count - 1))
            ]
        )
        for frame in range(max(counts))
    ]
    palette = _palette(frames, strips)
    indexed = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    write_gif(indexed, [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS], path)


def _frame(rows: Sequence[Sequence[Panel]]) -> Image.Image:
    """Return rows of panels, with a legend below."""
    pictures = [[panel.enlarged(WIDTH // len(row)) for panel in row] for row in rows]
    columns = [[picture.width + MARGIN for picture in row] for row in pictures]
    heights = [HEAD + max(picture.height for picture in row) + MARGIN for row in pictures]
    size = (MARGIN + max(map(sum, columns)), sum(heights) + FOOT)
    image = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(image)
    top = 0
    for row, enlarged, widths, height in zip(rows, pictures, columns, heights, strict=True):
        left = MARGIN
        for panel, picture, width in zip(row, enlarged, widths, strict=True):
            draw.text((left, top + 4), panel.title, INK, _font(14, bold=True))
            draw.text((left, top + 21), panel.caption, INK, _font(12))
            image.paste(picture, (left, top + HEAD))
            left += width
        top += height
    _legend(draw, MARGIN, top + 2)
    return image


def _legend(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    for color, text in ((MISSING, "target only"), (EXCESS, "estimate only"), (BOTH, "both")):
        draw.rectangle((left, top + 3, left + 11, top + 14), tuple(map(int, color)), INK)
        draw.text((left + 17, top), text, INK, _font(12))
        left += 130


def overlay(state: Tensor, target: Tensor) -> Image.Image:
    """Return the state over the target in colours that tell them apart, or a state in colour as it is.

    Parameters
    ----------
    state, target : Tensor, (H, W) or (H, W, 3)
        Pictures in [0, 1].
    """
    a, b = (image.detach().cpu().double().clamp(0, 1).numpy() for image in (state, target))
    if a.ndim == 3:
        return Image.fromarray(np.rint(255 * a).astype(np.uint8))
    a, b = a[..., None], b[..., None]
    both = np.minimum(a, b)
    colors = (
        EMPTY * (1 - np.maximum(a, b)) + BOTH * both + EXCESS * (a - both) + MISSING * (b - both)
    )
    return Image.fromarray(np.rint(colors).astype(np.uint8))


def _palette(frames: Sequence[Image.Image], strips: Sequence[Strip]) -> Image.Image:
    """Return an image with the colours of all frames: of the text, of masks, and of pictures in colour."""
    paper, ink = np.array(BACKGROUND, dtype=float), np.array(INK, dtype=float)
    ramps = [(ink, paper), (EMPTY, BOTH), (EMPTY, MISSING), (EMPTY, EXCESS)]
    in_color = any(strip.task.target(strip.problem).ndim == 3 for strip in strips)
    mix = np.linspace(0, 1, 16 if in_color else 64)[:, None]
    colors = np.concatenate([(1 - mix) * start + mix * end for start, end in ramps])
    numbers = list(np.rint(colors).astype(np.uint8).tobytes())
    if in_color:
        ends = np.concatenate([np.asarray(frame) for frame in (frames[0], frames[-1])])
        # The rest for what is in the pictures.
        numbers += Image.fromarray(ends).quantize(192).getpalette()[: 3 * 192]
    palette = Image.new("P", (1, 1))
    palette.putpalette(bytes(numbers))
    return palette


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    # Matplotlib brings this font; the system may have none.
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
