"""Figures that touch no state of pyplot, and their PNG files."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from taichisoft.base.files import write_atomically

DPI = 130


def new_figure(width: float, height: float, dpi: float = DPI) -> Figure:
    """Return an empty figure of a size in inches, with a canvas of its own."""
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def decorate(axes: Axes, grid: str = "both") -> None:
    """Draw a light grid along "x", "y" or "both" below everything else, and no frame above and right."""
    axes.grid(axis=grid, color="0.92", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def save_figure(figure: Figure, path: Path, dpi: float | str = "figure") -> None:
    """Write a figure to a PNG file, atomically, with its own dots per inch or other ones."""
    # Without the version of matplotlib, so that equal pictures are equal files.
    options = {"format": "png", "dpi": dpi, "metadata": {"Software": None}}
    write_atomically(path, lambda partial: figure.savefig(partial, **options))
